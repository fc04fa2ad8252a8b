import { describe, test } from 'vitest';
import { refused, type WrongPart } from './harness/sound-connector.ts';

/** Settings, sign-in, signature, gateway and envelope. */
const parts: WrongPart[] = [
  ['no stream', 'streams', {}, 'got an empty object, accepted at least one stream'],
  [
    'an option that is no setting',
    'gateway.system.params.shop',
    { option: 'shop' },
    '~gateway.system.params.shop.option: got "shop", accepted a setting that is no secret: shopId, digest',
  ],
  [
    'an app that no option names',
    'limits.app',
    'appSecret',
    'got "appSecret", accepted a setting that is no secret: shopId, digest',
  ],
  [
    'a secret that is no setting',
    'streams.orders.call.params.status',
    [{ secret: 'shopId' }],
    '~streams.orders.call.params.status.0.secret: got a text of 6 characters, accepted a secret setting: appSecret, databaseUrl',
  ],
  [
    'a static key that is no setting',
    'auth',
    { kind: 'static', secret: 'key', place: { in: 'query', name: 'key' } },
    '~auth.secret: got a text of 3 characters, accepted a secret setting: appSecret, databaseUrl',
  ],
  [
    'a default that is a secret',
    'settings.appSecret.default',
    'hunter2',
    `got a text of 7 characters, accepted nothing, or '' where the field may be left out`,
  ],
  [
    'no call for a token',
    'auth',
    { kind: 'token', place: { in: 'query', name: 'token' } },
    '~auth.obtain: got nothing, accepted a call, unless auth.refresh has one',
  ],
  [
    'no first refresh token',
    'auth.obtain',
    undefined,
    '~settings.refreshToken: got nothing, accepted a secret setting: nothing else gives auth.refresh its first refresh token',
  ],
  [
    'a token that is not sent',
    'auth.place',
    undefined,
    'got nothing, accepted a place, unless a value of gateway is { token: access }',
  ],
  [
    'a token that is sent twice',
    'gateway.system.params.token',
    { token: 'access' },
    '~auth.place: got "authorization", accepted nothing: gateway carries { token: access } already',
  ],
  [
    'a token without auth',
    'streams.gone.call.params.token',
    { token: 'refresh' },
    '~streams.gone.call.params.token.token: got "refresh", accepted "access"; the refresh token is sent by auth.refresh alone',
  ],
  ['a body in a GET', 'auth.refresh.in', 'form', 'got "form", accepted query: a GET has no body'],
  [
    'a signed call without signature',
    'gateway.sign',
    undefined,
    '~auth.obtain.signed: got true, accepted false: gateway.sign is absent',
  ],
  [
    'a signing secret that is no setting',
    'gateway.sign.secret.field',
    'signSecret',
    'got a text of 10 characters, accepted a secret setting: appSecret, databaseUrl',
  ],
  [
    'a digest option that is no setting',
    'gateway.sign.digest.option',
    'method',
    'got "method", accepted a setting that is no secret: shopId, digest',
  ],
  ['a digest that is none of the choice', 'settings.digest.default', 'md5', 'got "md5", accepted MD5, SHA'],
  [
    'a signature without secret',
    'gateway.sign.secret.place',
    'none',
    '~gateway.sign.digest.digests.MD5.algorithm: got "md5", accepted hmac-md5 or hmac-sha256, since secret.place is none',
  ],
  [
    'a key for a plain digest',
    'gateway.sign.digest.digests.MD5.keyOnly',
    true,
    'got true, accepted false: md5 has no key',
  ],
  [
    'a gateway that names no API',
    'gateway.path',
    '/{version}',
    'got "/{version}", accepted a path with {api}, unless a value is { api: name }',
  ],
  [
    'a version is missing',
    'streams.gone.call.version',
    undefined,
    'got nothing, accepted a text: gateway sends the version of each call',
  ],
  [
    'a shape that is never reached',
    'envelope.shapes.0.when',
    undefined,
    'got nothing, accepted a path: without one the shapes behind it are never reached',
  ],
  [
    'a rule that fits everything',
    'envelope.rules.0.code',
    undefined,
    '~envelope.rules.0: got a rule that fits every failure, accepted a rule with status, code, text or notJson',
  ],
  ['a text that is no pattern', 'envelope.rules.1.text', 'quota(', 'got "quota(", accepted a regular expression'],
  [
    'a moment for no quota',
    'envelope.rules.0.until',
    'midnight',
    'got "midnight", accepted nothing, since verdict is retry-after',
  ],
  [
    'a quota that nobody knows the end of',
    'envelope.rules.0',
    { code: [8], verdict: 'quota' },
    '~envelope.rules.0.until: got nothing, accepted midnight, unless waitMs, waitHeader or waitText says when a used-up quota is full again',
  ],
  [
    'a wait for no wait',
    'envelope.rules.0.verdict',
    'gone',
    '~envelope.rules.0.waitMs: got 1000, accepted nothing, since verdict is gone',
  ],
  [
    'seconds that no group of the text holds',
    'envelope.rules.0.waitText',
    'for \\d+ more seconds',
    '~envelope.rules.0.waitText: got "for \\\\d+ more seconds", accepted a regular expression with one group, which holds the seconds',
  ],
  [
    'a doubt about nothing',
    'unconfirmed.0.at',
    'streams.order.paging.size',
    'got "streams.order.paging.size", accepted keys that lead to a part of this connector',
  ],
];

describe('checkConnector, over the parts of a platform', () => {
  test.each(parts)('refuses %s', refused);
});
