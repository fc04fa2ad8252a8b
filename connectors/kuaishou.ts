import { streams } from './kuaishou/streams.ts';
import type { Connector } from './shape.ts';

/** Kuaishou e-commerce (快手小店), gateway openapi.kwaixiaodian.com. Buyers' data comes encrypted and stays so. */
export const kuaishou: Connector = {
  platform: 'kuaishou',
  title: 'Kuaishou e-commerce',
  baseUrl: 'https://openapi.kwaixiaodian.com',
  settings: {
    appKey: { secret: false, about: 'appKey of the app (ks…), from its page in the console.' },
    signMethod: { secret: false, about: 'MD5 or HMAC_SHA256.', default: 'MD5' },
    appSecret: { secret: true, about: 'appSecret of the app, for tokens only.' },
    signSecret: { secret: true, about: 'signSecret of the app, for signatures only; never sent.' },
    refreshToken: {
      secret: true,
      about: 'refresh_token from the consent of the merchant. Used once; a new consent is needed every 180 days.',
    },
  },
  auth: {
    kind: 'token',
    refresh: {
      method: 'POST',
      path: '/oauth2/refresh_token',
      in: 'form',
      params: {
        app_id: { option: 'appKey' },
        app_secret: { secret: 'appSecret' },
        grant_type: 'refresh_token',
        refresh_token: { token: 'refresh' },
      },
      answer: {
        access: 'access_token',
        refresh: 'refresh_token',
        expires: { path: 'expires_in', unit: 's' },
        lifeSeconds: 172_800,
      },
    },
  },
  gateway: {
    path: '/{api}',
    dots: '/',
    method: 'GET',
    system: {
      in: 'query',
      params: {
        access_token: { token: 'access' },
        appkey: { option: 'appKey' },
        method: { api: 'name' },
        signMethod: { option: 'signMethod' },
        timestamp: { now: 'ms' },
        version: '1',
      },
    },
    business: { in: 'query', as: 'param' },
    sign: {
      kind: 'params',
      name: 'sign',
      over: 'system',
      only: ['access_token', 'appkey', 'method', 'param', 'signMethod', 'timestamp', 'version'],
      pair: '=',
      joiner: '&',
      secret: { field: 'signSecret', place: 'back', before: '&signSecret=' },
      digest: {
        option: 'signMethod',
        digests: {
          MD5: { algorithm: 'md5', encoding: 'lower' },
          HMAC_SHA256: { algorithm: 'hmac-sha256', encoding: 'base64' },
        },
      },
    },
  },
  envelope: {
    shapes: [
      {
        ok: { path: 'result', is: [1] },
        code: ['subCode', 'result', 'code'],
        text: ['error_msg', 'errorMsg', 'subMsg', 'msg'],
        data: 'data',
      },
    ],
    rules: [
      {
        text: 'exceed qps limit',
        verdict: 'retry-after',
        waitMs: 1000,
        level: 'api',
        hint: 'The app asks one API too often. Ask for more traffic in the console (应用流量), or lower apiRequestsPerSecond.',
      },
      {
        text: '\\[1017\\] ?exceed quota limit',
        verdict: 'quota',
        until: 'midnight',
        level: 'endpoint',
        hint: "The merchant's calls of this API are used up for the day.",
      },
      {
        text: 'exceed quota limit.*primaryUserId',
        verdict: 'quota',
        until: 'midnight',
        level: 'connection',
        hint: "The merchant's calls of the day are used up: test users have 2,000.",
      },
      {
        text: 'exceed quota limit',
        verdict: 'quota',
        until: 'midnight',
        level: 'platform',
        hint: "The app's calls of the day are used up. Ask for more traffic in the console (应用流量).",
      },
      {
        code: [24],
        verdict: 'consent',
        hint: 'The merchant withdrew the consent, or its subscription ended: get a new one and its refresh_token.',
      },
      {
        text: 'AUTHORIZATION_REVOKED|revokedAuthorization|refreshToken',
        verdict: 'consent',
        hint: 'The refresh_token is used up, ended or withdrawn: let the merchant consent again.',
      },
      {
        text: 'scope',
        verdict: 'permission',
        hint: 'The app or the consent lacks the scope of this API; a new scope needs a new consent.',
      },
      { code: [100200102], verdict: 'token' },
      { text: 'TOKEN过期|鉴权失败', verdict: 'token' },
      { code: [300004, 300019], verdict: 'too-big' },
      { code: [300011], verdict: 'gone' },
      {
        text: '验签失败|签名校验失败',
        verdict: 'app',
        hint: 'The signature was refused: check signSecret and signMethod.',
      },
      { code: [300003, 300005, 2001], verdict: 'bad-request' },
      {
        code: [100200100, 100200101, 100200103, 100200104, 100200105, 100200107],
        verdict: 'app',
        hint: 'The call for a token was refused: check appKey and appSecret.',
      },
      { code: [100200500], verdict: 'busy', waitMs: 5000 },
    ],
  },
  // Each API of an app is counted by itself, over all merchants; no sum of all is named.
  limits: { app: 'appKey' },
  streams,
  unconfirmed: [
    { at: 'streams.orders.window.end', what: 'Whether an order changed exactly at endTime is in the answer.' },
    { at: 'streams.orders.window.lagMs', what: 'How late a change shows in the list.' },
    { at: 'streams.orders.call.params.sort', what: 'Order of orders that changed in the same millisecond.' },
    {
      at: 'streams.refunds.window.capMs',
      what: 'Narrowed to hours or minutes during big sales; then windows are split.',
    },
    {
      at: 'streams.refunds.window.count',
      what: 'Name of the count on the first page, and whether a page may be of one row.',
    },
    { at: 'streams.items.paging.total', what: 'Name of the count; no published answer was seen.' },
    { at: 'streams.items.paging.order', what: 'Order of the list.' },
    { at: 'streams.deleted_items.call.params', what: 'SDKs send an itemId; whether all are listed without one.' },
    { at: 'streams.deleted_items.rows', what: 'Names in the answer; no published answer was seen.' },
    { at: 'streams.comments.paging.order', what: 'Order of the list.' },
    { at: 'streams.coupons.paging.size.rows', what: 'Largest page.' },
    { at: 'streams.coupons.rows', what: 'Names in the answer; no published answer was seen.' },
    { at: 'streams.shop.key', what: 'Name of the field; the answer has no id.' },
    { at: 'envelope.rules', what: 'Numbers of the codes for rate, quota, scope and signature; texts are matched.' },
  ],
};
