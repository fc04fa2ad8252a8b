import { archivedOrders } from './jushuitan/lacking.ts';
import { rates, rules } from './jushuitan/rules.ts';
import { streams } from './jushuitan/streams.ts';
import type { Connector } from './shape.ts';

const token = {
  access: 'data.access_token',
  refresh: 'data.refresh_token',
  expires: { path: 'data.expires_in', unit: 's' },
  lifeSeconds: 30 * 86_400,
} as const;

/** Jushuitan ERP (聚水潭), new gateway. */
export const jushuitan: Connector = {
  platform: 'jushuitan',
  title: 'Jushuitan ERP (new gateway)',
  baseUrl: 'https://openapi.jushuitan.com',
  settings: {
    appKey: { secret: false, about: 'app_key of the app, from its page.' },
    appSecret: { secret: true, about: 'app_secret of the app, for signatures only; never sent.' },
  },
  auth: {
    kind: 'token',
    obtain: {
      method: 'POST',
      path: '/openWeb/auth/getInitToken',
      in: 'form',
      params: {
        app_key: { option: 'appKey' },
        timestamp: { now: 's' },
        charset: 'utf-8',
        grant_type: 'authorization_code',
        code: { random: 6 },
      },
      signed: true,
      answer: token,
    },
    refresh: {
      method: 'POST',
      path: '/openWeb/auth/refreshToken',
      in: 'form',
      params: {
        app_key: { option: 'appKey' },
        timestamp: { now: 's' },
        charset: 'utf-8',
        grant_type: 'refresh_token',
        scope: 'all',
        refresh_token: { token: 'refresh' },
      },
      signed: true,
      answer: token,
    },
    // A refresh changes the token for every process: seldom, and in quiet hours rather than at the last minute.
    earlySeconds: 3600,
  },
  gateway: {
    path: '/{api}',
    method: 'POST',
    system: {
      in: 'form',
      params: {
        app_key: { option: 'appKey' },
        access_token: { token: 'access' },
        timestamp: { now: 's' },
        charset: 'utf-8',
        version: '2',
      },
    },
    business: { in: 'form', as: 'biz' },
    sign: {
      kind: 'params',
      name: 'sign',
      over: 'system',
      pair: '',
      joiner: '',
      secret: { field: 'appSecret', place: 'front' },
      digest: { algorithm: 'md5', encoding: 'lower' },
    },
  },
  envelope: {
    shapes: [{ ok: { path: 'code', is: [0] }, code: ['code'], text: ['msg'], data: 'data' }],
    rules,
  },
  limits: { app: 'appKey', platform: rates },
  streams,
  unconfirmed: [
    { at: 'auth.obtain.answer.lifeSeconds', what: 'How long a token lives; 30 days by hearsay, the answer names it.' },
    { at: 'auth.refresh', what: 'How long a refresh token lives, and whether the old pair ends at once.' },
    { at: 'envelope.rules.0.text', what: 'Words for an address that is not on the white list.' },
    { at: 'envelope.rules.2.text', what: 'Words and code for too many calls.' },
    { at: 'envelope.rules.3.text', what: 'Words for a token that ended.' },
    { at: 'envelope.rules.4.text', what: 'Words for a window that is too wide.' },
    { at: 'limits.platform', what: 'Numbers from the code of clients; no page was seen.' },
    { at: 'streams.orders.call.params.archive', what: archivedOrders },
    { at: 'streams.skus.window.beginning', what: 'That no row was last changed before it.' },
    { at: 'streams.other_inout.paging.size.rows', what: '50 to 100 rows a page; and whether start_ts is understood.' },
    { at: 'streams.refunds.call.api', what: 'Known from the old gateway; its path here was not seen.' },
    { at: 'streams.inventory.rows', what: 'Name of the list in the answer.' },
    { at: 'streams.inventory.key', what: 'Whether one SKU has a row a warehouse.' },
    {
      at: 'streams.orders.paging.overlapMs',
      what: 'How late a row may show after its version was given, and whether modified moves whenever ts does.',
    },
    { at: 'streams.skus.window.end', what: 'Whether a row changed exactly at modified_end is in the answer.' },
  ],
};
