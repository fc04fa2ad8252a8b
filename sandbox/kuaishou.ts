import { createHash, createHmac } from 'node:crypto';
import { apis, lists, streams } from './kuaishou/lists.ts';
import type { Call, Fixture, Incoming, Reply } from './platform/fixture.ts';
import { Refusal } from './platform/refusal.ts';
import type { TokenDesk } from './platform/tokens.ts';

const hour = 3_600_000;
const app = { key: 'ks600000000000000001', secret: 'sandbox-app-secret', sign: 'sandbox-sign-secret' };
const signed = ['access_token', 'appkey', 'method', 'param', 'signMethod', 'timestamp', 'version'];
/** Codes that no page of the platform gives; clients read the texts. */
const unnumbered = { signature: 28, scope: 403, url: 404, qps: 1016, quota: 1017 };

/** Signature over the seven parameters that are signed, by the vendor's rule: the secret's suffix is hashed with them. */
export function kuaishouSign(params: Record<string, string>, secret: string): string {
  const pairs = signed.filter((name) => params[name] !== undefined).map((name) => `${name}=${params[name]}`);
  const text = `${pairs.join('&')}&signSecret=${secret}`;
  if (params.signMethod === 'HMAC_SHA256') return createHmac('sha256', secret).update(text).digest('base64');
  return createHash('md5').update(text).digest('hex');
}

function read(request: Incoming, tokens: TokenDesk): Call {
  const params = { ...request.query, ...request.form };
  const { method: api = '', appkey, access_token: token, timestamp, sign, param } = params;
  if (request.path !== `/${api.replaceAll('.', '/')}` || !Object.hasOwn(apis, api)) throw new Refusal('api', api);
  if (appkey !== app.key) throw new Refusal('invalid', 'appkey');
  if (params.version !== '1' || !/^\d{13}$/.test(timestamp ?? '')) throw new Refusal('invalid', 'timestamp');
  if (!['MD5', 'HMAC_SHA256'].includes(params.signMethod ?? '')) throw new Refusal('invalid', 'signMethod');
  if (sign !== kuaishouSign(params, app.sign)) throw new Refusal('signature');
  const account = tokens.account(token);
  return { api, account, params: business(param), token };
}

function business(param: string | undefined): Record<string, unknown> {
  if (param === undefined) return {};
  try {
    const value: unknown = JSON.parse(param);
    if (typeof value === 'object' && value !== null) return value as Record<string, unknown>;
  } catch {
    // Falls through to the platform's own words for it.
  }
  throw new Refusal('invalid', 'param');
}

function refreshed(request: Incoming, tokens: TokenDesk): Reply {
  const { app_id, app_secret, grant_type, refresh_token } = { ...request.query, ...request.form };
  if (app_id !== app.key || app_secret !== app.secret) return failure(100200101, 'invalid_client');
  if (grant_type !== 'refresh_token') return failure(100200104, 'invalid_grant');
  if (!refresh_token) return failure(100200100, 'refresh_token');
  const { access, refresh, lifeMs, refreshLifeMs } = tokens.refresh(refresh_token);
  return {
    status: 200,
    body: {
      result: 1,
      access_token: access,
      expires_in: Math.floor(lifeMs / 1000),
      refresh_token: refresh,
      refresh_token_expires_in: Math.floor(refreshLifeMs / 1000),
      token_type: 'bearer',
      scopes: ['merchant_order', 'merchant_refund', 'merchant_item', 'merchant_comment'],
    },
  };
}

function refuse({ kind, about }: Refusal, call: Call | undefined): Reply {
  switch (kind) {
    case 'signature':
      return failure(unnumbered.signature, '签名校验失败');
    case 'token':
    case 'expired':
      return failure(100200102, 'TOKEN过期', 'access_denied');
    case 'consent':
      return call
        ? failure(24, 'AUTHORIZATION_REVOKED')
        : failure(100200102, 'refreshToken.discarded', 'access_denied');
    case 'permission':
      return failure(unnumbered.scope, 'token中无scope权限');
    case 'api':
      return failure(unnumbered.url, 'Invalid url');
    case 'window':
      return call?.api === 'open.order.cursor.list'
        ? failure(300004, 'SEARCH TIME RANGE EXPAND 7 DAYS')
        : failure(300019, 'SEARCH TIME RANGE EXPAND LIMIT');
    case 'backward':
      return failure(300003, 'ENDTIME MUST AFTER BEGINTIME');
    case 'old':
      return failure(300005, 'CAN NOT SEARCH BEFORE 90 DAYS');
    case 'rate':
      return failure(unnumbered.qps, `Exceed qps limit, KEY [apiId:${about};appkey:${app.key}], MAX_QPS [100.0]`);
    case 'quota':
      return failure(unnumbered.quota, `Exceed quota limit, KEY [appkey:${app.key}]`);
    case 'busy':
      return failure(100200500, '服务器异常');
    case 'gone':
      return call?.api.includes('refund') ? failure(300011, 'REFUND ORDER NOT FOUND') : invalid('id');
    default:
      return invalid(kind === 'cursor' ? 'cursor' : about);
  }
}

function invalid(name: string): Reply {
  return failure(2001, `${name}无效`);
}

function failure(result: number, text: string, error?: string): Reply {
  return { status: 200, body: { result, error, error_msg: text, subCode: String(result), subMsg: text, data: null } };
}

/** Kuaishou e-commerce as its documentation describes it. */
export const kuaishou: Fixture = {
  platform: 'kuaishou',
  resolutionMs: 1,
  lists,
  streams,
  apis,
  tokens: { lifeMs: 48 * hour, refreshLifeMs: 180 * 24 * hour, inherits: true },
  // 100 or 300 requests a second for each API of the app, see the APIs.
  limits: {},
  connect: (account, tokens) => ({
    credential: { appSecret: app.secret, signSecret: app.sign, refreshToken: tokens.issue(account).refresh },
    options: { appKey: app.key },
  }),
  tokenPaths: ['/oauth2/refresh_token'],
  tokenCall: refreshed,
  read,
  write: (payload) => ({ result: 1, error_msg: 'success', data: payload }),
  refuse,
};
