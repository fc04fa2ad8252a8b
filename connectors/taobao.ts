import type { Connector } from './shape.ts';
import { streams } from './taobao/streams.ts';

/** The answer tells in words alone how long the app, or one API of it, is refused: seconds, or the rest of a day. */
const banned = { waitMs: 2000, waitText: 'ban will last for (\\d+) more second' } as const;

/** Taobao and Tmall through TOP (/router/rest), and through the push database that TOP fills inside Jushita. */
export const taobao: Connector = {
  platform: 'taobao',
  title: 'Taobao and Tmall (TOP, push database)',
  baseUrl: 'https://gw.api.taobao.com',
  settings: {
    appKey: { secret: false, about: 'App Key of the app, from its page in the console.' },
    signMethod: { secret: false, about: 'md5, hmac or hmac-sha256.', default: 'md5' },
    sellerNick: {
      secret: false,
      about: "Nick of the seller, as the push database's seller_nick holds it; only for the push streams.",
      default: '',
    },
    appSecret: { secret: true, about: 'App Secret of the app, for signatures only; never sent.' },
    session: { secret: true, about: 'Session key from the consent of the seller; it ends with the subscription.' },
    databaseUrl: {
      secret: true,
      about:
        'Address of the push database, mysql://user:password@host (or postgres://… for a copy); only for the push streams.',
      default: '',
    },
  },
  auth: { kind: 'none' },
  gateway: {
    path: '/router/rest',
    method: 'POST',
    system: {
      in: 'form',
      params: {
        method: { api: 'name' },
        app_key: { option: 'appKey' },
        session: { secret: 'session' },
        timestamp: { now: 'local' },
        v: '2.0',
        sign_method: { option: 'signMethod' },
        format: 'json',
      },
    },
    business: { in: 'form' },
    sign: {
      kind: 'params',
      name: 'sign',
      over: 'all',
      pair: '',
      joiner: '',
      secret: { field: 'appSecret', place: 'around' },
      digest: {
        option: 'signMethod',
        digests: {
          md5: { algorithm: 'md5', encoding: 'upper' },
          hmac: { algorithm: 'hmac-md5', encoding: 'upper', keyOnly: true },
          'hmac-sha256': { algorithm: 'hmac-sha256', encoding: 'upper', keyOnly: true },
        },
      },
    },
  },
  envelope: {
    shapes: [
      {
        when: 'error_response',
        ok: 'failure',
        code: ['error_response.sub_code', 'error_response.code'],
        text: ['error_response.sub_code', 'error_response.sub_msg', 'error_response.msg'],
        data: '',
      },
      { ok: { absent: 'error_response' }, data: '' },
    ],
    rules: [
      {
        code: ['accesscontrol.limited-by-api-access-count'],
        verdict: 'retry-after',
        ...banned,
        level: 'api',
        hint: 'The app calls this API more than it was granted, in a second or a day: ask for more in the console, or lower requestsPerSecond.',
      },
      {
        code: [7, 8, 'accesscontrol.limited-by-app-access-count'],
        verdict: 'retry-after',
        ...banned,
        level: 'platform',
        hint: 'The app calls more than it was granted: ask for more in the console, or lower requestsPerSecond.',
      },
      {
        code: [26, 27],
        verdict: 'consent',
        hint: 'The session key is missing, ended or withdrawn: let the seller consent again and give the new one.',
      },
      { code: [11, 12], verdict: 'permission', hint: 'The app or the seller lacks the permission pack of this API.' },
      { text: '跨度|time.?span', verdict: 'too-big' },
      { code: ['isv.trade-not-exist'], verdict: 'gone' },
      { code: [10], verdict: 'busy', waitMs: 3000 },
      { text: '^isp\\.', verdict: 'busy', waitMs: 3000 },
      { code: [24, 25], verdict: 'app', hint: 'The signature was refused: check appSecret and signMethod.' },
      { code: [28, 29], verdict: 'app', hint: 'The app is not known: check appKey.' },
      { code: [30, 31], verdict: 'app', hint: 'The time of the call was refused: set the clock of the worker right.' },
      // Those two go by the code above them: permission and signature.
      { text: '^isv\\.(?!permission|invalid-signature)', verdict: 'bad-request' },
      { code: [21, 22, 23, 32, 33, 34, 40, 41], verdict: 'bad-request' },
      { code: [15], verdict: 'busy', waitMs: 3000 },
    ],
  },
  limits: { app: 'appKey', platform: [{ requests: 40, perMs: 1000 }] },
  streams,
  unconfirmed: [
    { at: 'auth', what: 'How long a session key lives; it depends on the kind of app and the subscription.' },
    { at: 'limits.platform', what: 'Requests a second of an app; the number is ours.' },
    { at: 'envelope.rules.0.code', what: 'The sub_codes of code 7, and the words for how long to wait.' },
    { at: 'envelope.rules.4.text', what: 'Words for a window that is too wide.' },
    { at: 'envelope.rules.5.code', what: 'The sub_code of a trade that does not exist.' },
    { at: 'streams.trades.call.params.type', what: 'All kinds of trades there are; what is not named is missing.' },
    { at: 'streams.trades.window.end', what: 'Whether a trade changed exactly at end_modified is in the answer.' },
    { at: 'streams.trades.window.lagMs', what: 'How late a change shows in the list.' },
    { at: 'streams.refunds.window.capMs', what: 'Longest window; none is named.' },
    { at: 'streams.refunds.paging.order', what: 'Order of the list.' },
    { at: 'streams.refunds.call.params.status', what: 'Whether a call without status lists every status.' },
    { at: 'streams.items_onsale.paging.size.rows', what: 'Largest page.' },
    { at: 'streams.items_onsale.window', what: 'Whether and how the lists can be asked by time of change.' },
    { at: 'streams.push_trades.window.lagMs', what: 'How late the platform pushes, and how long rows are kept.' },
    {
      at: 'streams.push_distributions.sql',
      what: 'Columns of jdp_fx_trade, known from the code of several who read it; and the words of its states.',
    },
    {
      at: 'streams.history',
      what: 'taobao.trades.sold.history.get (3 months to 2 years) is not read: no longest window and no largest page is named.',
    },
  ],
};
