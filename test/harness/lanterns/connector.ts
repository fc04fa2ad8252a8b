import type { Connector } from '../../../connectors/shape.ts';

const day = 86_400_000;

/** A platform that nobody runs, for platform.new.test.ts: a key in a header, two lists and a detail of one of them. */
export const lanterns: Connector = {
  platform: 'lanterns',
  title: 'Lanterns',
  baseUrl: 'https://api.lanterns.example',
  settings: { key: { secret: true, about: 'Key of the lamplighter.' } },
  auth: { kind: 'static', secret: 'key', place: { in: 'header', name: 'x-lantern-key' } },
  gateway: {
    path: '/v1/{api}',
    method: 'GET',
    system: { in: 'query', params: {} },
    business: { in: 'query' },
  },
  envelope: {
    shapes: [{ ok: { path: 'status', is: ['ok'] }, code: ['code'], data: 'content' }],
    rules: [
      { code: ['slow_down'], verdict: 'retry-after', waitMs: 1_000 },
      { code: ['key'], verdict: 'consent' },
      { code: ['not_yours'], verdict: 'permission' },
      { code: ['too_long'], verdict: 'too-big' },
      { code: ['parameter'], verdict: 'bad-request' },
      { code: ['lost'], verdict: 'gone' },
      { code: ['dark'], verdict: 'busy', waitMs: 500 },
    ],
  },
  limits: { connection: [{ requests: 100, perMs: 1_000 }] },
  streams: {
    lamps: {
      title: 'Lamps, by time of change',
      call: { api: 'lamps', params: {} },
      rows: 'lamps',
      key: 'no',
      time: { path: 'changed', format: 's' },
      paging: { kind: 'cursor', param: 'after', size: { param: 'count', rows: 50 }, next: 'after' },
      window: {
        from: 'from',
        to: 'until',
        format: 's',
        capMs: 10 * day,
        overlapMs: 60_000,
        lagMs: 1_000,
        floorMs: 60 * day,
      },
      deletes: { kind: 'status', path: 'state', is: ['scrapped'] },
      columns: {
        state: { path: 'state', type: 'text' },
        lumens: { path: 'lumens', type: 'bigint' },
        changed: { path: 'changed', type: 'timestamptz', format: 's' },
      },
    },
    lamp_details: {
      title: 'Lamps with their wicks',
      call: { api: 'lamp', params: {} },
      rows: '',
      key: '$over',
      paging: { kind: 'whole' },
      over: { kind: 'each', stream: 'lamps', param: 'no', batch: 1, when: 'changed' },
      deletes: { kind: 'status', path: 'state', is: ['scrapped'] },
      columns: {},
    },
    streets: {
      title: 'Streets',
      call: { api: 'streets', params: {} },
      rows: 'streets',
      key: 'name',
      paging: {
        kind: 'page',
        param: 'page',
        first: 1,
        size: { param: 'count', rows: 40 },
        total: 'total',
        order: 'unknown',
      },
      deletes: { kind: 'sweep' },
      columns: { length: { path: 'length', type: 'numeric' } },
    },
  },
  unconfirmed: [],
};
