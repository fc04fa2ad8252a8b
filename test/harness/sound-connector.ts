import { expect } from 'vitest';
import { checkConnector } from '../../connectors/check.ts';

const dayMs = 86_400_000;
/** Where the connector is said to stand. */
export const file = 'connectors/demo.ts';

/** A connector with a part of every kind that the rules look at; nothing is wrong with it. */
export function sound() {
  return {
    platform: 'demo',
    title: 'Demo',
    baseUrl: 'https://demo.example',
    settings: {
      shopId: { secret: false, about: 'number of the shop' },
      digest: { secret: false, about: 'MD5 or SHA', default: 'MD5' },
      appSecret: { secret: true, about: 'secret of the app' },
      databaseUrl: { secret: true, about: 'address of the push database', default: '' },
    },
    auth: {
      kind: 'token',
      obtain: {
        method: 'POST',
        path: '/token',
        in: 'json',
        params: { secret: { secret: 'appSecret' } },
        signed: true,
        answer: { access: 'token', refresh: 'refresh', lifeSeconds: 7_200 },
      },
      refresh: {
        method: 'GET',
        path: '/refresh',
        in: 'query',
        params: { refresh: { token: 'refresh' } },
        answer: { access: 'token', lifeSeconds: 7_200 },
      },
      place: { in: 'header', name: 'authorization', prefix: 'Bearer ' },
    },
    gateway: {
      path: '/{api}/{version}',
      method: 'GET',
      system: { in: 'query', params: { shop: { option: 'shopId' } } },
      business: { in: 'query' },
      sign: {
        kind: 'params',
        name: 'sign',
        over: 'all',
        pair: '=',
        joiner: '&',
        secret: { field: 'appSecret', place: 'around' },
        digest: {
          option: 'digest',
          digests: {
            MD5: { algorithm: 'md5', encoding: 'upper' },
            SHA: { algorithm: 'hmac-sha256', encoding: 'base64', keyOnly: true },
          },
        },
      },
    },
    envelope: {
      shapes: [
        { when: 'error', ok: 'failure', data: '' },
        { ok: { path: 'code', is: [0] }, data: 'data' },
      ],
      rules: [
        { code: [7], verdict: 'retry-after', waitMs: 1_000 },
        { text: 'quota|limit', verdict: 'quota', until: 'midnight' },
      ],
    },
    limits: { platform: [{ requests: 600, perMs: 1_000 }] },
    streams: {
      orders: {
        title: 'Orders',
        call: { api: 'orders', version: '1', params: { status: ['a', 'b'] } },
        rows: 'orders',
        key: 'id',
        time: { path: 'changed', format: 'local' },
        paging: {
          kind: 'page',
          param: 'page',
          first: 1,
          size: { param: 'size', rows: 100 },
          total: 'total',
          order: 'descending',
          deepest: { rows: 5_000 },
        },
        window: {
          from: 'from',
          to: 'to',
          format: 'local',
          capMs: 7 * dayMs,
          overlapMs: 0,
          lagMs: 0,
          floorMs: 90 * dayMs,
        },
        deletes: { kind: 'listed', by: 'gone' },
        columns: { paid: { path: 'paid', type: 'timestamptz', format: 'local' } },
        jsonText: ['extra'],
      },
      details: {
        title: 'Details',
        call: { api: 'order', version: '1', params: {} },
        rows: '',
        key: ['$over', 'no'],
        paging: { kind: 'whole' },
        over: { kind: 'each', stream: 'orders', param: 'id', batch: 1, when: 'changed' },
        deletes: { kind: 'status', path: 'status', is: ['closed'] },
        columns: {},
      },
      gone: {
        title: 'Deleted orders',
        call: { api: 'gone', version: '1', params: {} },
        rows: 'ids',
        key: '',
        paging: { kind: 'cursor', param: 'cursor', size: { rows: 50 }, next: 'next' },
        deletes: { kind: 'none', why: 'what is gone stays gone' },
        columns: {},
      },
      pushed: {
        title: 'Pushed orders',
        sql: {
          from: 'sys_info.jdp_tb_trade',
          select: ['tid', 'jdp_modified'],
          keyset: ['jdp_modified', 'tid'],
        },
        rows: '',
        key: 'tid',
        paging: { kind: 'keyset', size: { rows: 1_000 } },
        deletes: { kind: 'sweep' },
        columns: {},
      },
    },
    unconfirmed: [{ at: 'streams.orders.paging.size.param', what: 'its name' }],
  };
}

/** Puts a value where the keys lead, making nothing above it; `undefined` takes the key away. */
export function put(at: string, value: unknown): unknown {
  const connector: unknown = sound();
  const keys = at.split('.');
  const above = keys.slice(0, -1).reduce((part, key) => (part as Record<string, unknown>)[key], connector);
  const last = keys.at(-1) as string;
  if (value === undefined) delete (above as Record<string, unknown>)[last];
  else (above as Record<string, unknown>)[last] = value;
  return connector;
}

/** What the check says of a connector that it must refuse. */
export function message(connector: unknown): string {
  try {
    checkConnector(connector, file);
  } catch (error) {
    return (error as Error).message;
  }
  return expect.fail('the connector was accepted');
}

/** What is wrong, where and with which value; the message behind the key, or whole behind `~` where another key is told. */
export type WrongPart = [rule: string, at: string, value: unknown, message: string];

/** Expects the refusal of a sound connector with one wrong part. */
export function refused(...[_rule, at, value, expected]: WrongPart): void {
  const told = expected.startsWith('~') ? expected.slice(1) : `${at}: ${expected}`;
  expect(message(put(at, value))).toContain(`${file}: ${told}`);
}
