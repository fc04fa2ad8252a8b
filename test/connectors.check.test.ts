import { describe, expect, test } from 'vitest';
import { checkConnector } from '../connectors/check.ts';
import type { Connector } from '../connectors/shape.ts';
import { file, message, put, refused, sound, type WrongPart } from './harness/sound-connector.ts';

const form: WrongPart[] = [
  ['a key is missing', 'title', undefined, 'got nothing, accepted a text'],
  [
    'a key too many',
    'streams.gone.paging.sise',
    7,
    '~streams.gone.paging: got the key "sise", accepted kind, param, size, next, first, more, sentinel, total, pageParam, livesMs',
  ],
  [
    'another kind of value',
    'streams.gone.paging.size.rows',
    '50',
    'got "50", accepted a whole number from 1 to 1000000',
  ],
  ['a number out of bounds', 'envelope.rules.0.waitMs', 0, 'got 0, accepted a whole number from 1 to 2678400000'],
  [
    'a word that is none',
    'streams.orders.paging.order',
    'up',
    'got "up", accepted ascending, descending, unknown, fixed',
  ],
  [
    'a kind that is none',
    'streams.gone.paging.kind',
    'scroll',
    'got "scroll", accepted whole, cursor, page, offset, link, version, keyset, export, custom',
  ],
  ['a kind is missing', 'auth.kind', undefined, 'got nothing, accepted none, static, token'],
  [
    'a value of no kind',
    'gateway.system.params.shop',
    { optoin: 'shopId' },
    'got an object with optoin, accepted a text, a number, true, false, { option }',
  ],
  [
    'a function is missing',
    'gateway.sign',
    { kind: 'custom', sign: 'md5' },
    '~gateway.sign.sign: got "md5", accepted a function',
  ],
  [
    'a path with an empty key',
    'streams.orders.rows',
    'data..list',
    `got "data..list", accepted keys joined by dots, or '' for the object itself`,
  ],
  ['an empty list', 'envelope.shapes', [], 'got a list of 0, accepted a list of at least one shape'],
  ['a name of a platform', 'platform', 'Demo', 'got "Demo", accepted a name of 1-50 characters'],
  [
    'a schema of ours',
    'platform',
    'org',
    'got "org", accepted a name of 1-50 characters a-z, 0-9 and _, beginning with a letter but not with pg_, none of public, org, syncline',
  ],
  [
    'a name of a stream',
    'streams.Gone-2',
    sound().streams.gone,
    'got "Gone-2", accepted a name of 1-50 characters a-z, 0-9 and _, beginning with a letter, not ending in _snapshots',
  ],
  ['a table that snapshots have', 'streams.orders_snapshots', sound().streams.gone, 'got "orders_snapshots", accepted'],
  [
    'a name of a column',
    'streams.orders.columns.Paid',
    { path: 'paid', type: 'text' },
    'got "Paid", accepted a name of 1-63 characters',
  ],
  [
    'a column that every row has',
    'streams.orders.columns.synced_at',
    { path: 'x', type: 'text' },
    'got "synced_at", accepted a name of 1-63 characters a-z, 0-9 and _, beginning with a letter, none of connection_id, id, data, source_time, generation, synced_at, deleted_at',
  ],
  [
    'an option that every connection has',
    'settings.since',
    { secret: false, about: 'x' },
    'got "since", accepted a name of 1-50 letters, digits and _, none of streams, since',
  ],
  [
    'an address without TLS',
    'baseUrl',
    'http://demo.example',
    'got a text of 19 characters, accepted an address https://host',
  ],
];
describe('checkConnector', () => {
  test('accepts a sound connector and gives back the same object', () => {
    const connector = sound();
    expect(checkConnector(connector, file)).toBe(connector);
  });

  test.each(form)('refuses %s', refused);

  test('refuses a token where auth has none', () => {
    const connector = {
      ...sound(),
      auth: { kind: 'none' },
      gateway: { ...sound().gateway, headers: { t: { token: 'access' } } },
    };
    expect(message(connector)).toContain(
      'gateway.headers.t.token: got "access", accepted no token, since auth.kind is not token',
    );
  });

  test('says how much more is wrong', () => {
    const connector = put('title', undefined) as Connector;
    Object.assign(connector, { baseUrl: 7 });
    expect(message(connector)).toBe(`${file}: title: got nothing, accepted a text (and 1 more)`);
  });

  test.each([undefined, null, 'demo', [], () => 1])('refuses %s as a connector', (wrong) => {
    expect(message(wrong)).toMatch(
      /^connectors\/demo\.ts: (the connector: got .+, accepted an object|platform: got nothing)/,
    );
  });

  test.each([
    ['settings.appSecret.default', 'Hunter2'],
    ['settings.appSecret', 'Hunter2?'],
    ['auth.obtain.params.secret.secret', 'Hunter2'],
    ['auth.obtain.path', 'token?secret=Hunter2'],
    ['gateway.sign.secret.field', 'Hunter2'],
    ['gateway.sign.secret.field', 'Hunter2 and more'],
    ['baseUrl', 'https://me:Hunter2@demo.example'],
  ])('never shows a secret that stands at %s', (at, secret) => {
    expect(message(put(at, secret))).toMatch(new RegExp(`a text of ${secret.length} characters|an object with`));
    expect(message(put(at, secret))).not.toContain('Hunter2');
  });
});
