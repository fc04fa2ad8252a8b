import type { Call, Fixture, Incoming, Reply } from './platform/fixture.ts';
import { Refusal } from './platform/refusal.ts';
import type { TokenDesk } from './platform/tokens.ts';
import { apis, lists, streams } from './youzan/lists.ts';

const day = 86_400_000;
const app = { id: 'sandbox-client', secret: 'sandbox-client-secret' };

function read({ path, query, json, method }: Incoming, tokens: TokenDesk): Call {
  const api = path.startsWith('/api/') ? path.slice(5) : '';
  if (!Object.hasOwn(apis, api)) throw new Refusal('api', api);
  if (method !== 'POST') throw new Refusal('invalid', 'method');
  const account = tokens.account(query.access_token);
  if (typeof json !== 'object' || json === null || Array.isArray(json)) throw new Refusal('invalid', 'body');
  const version = api.slice(api.indexOf('/') + 1);
  return { api, account, params: json as Record<string, unknown>, token: query.access_token, version };
}

/** The silent way: the app of the shop itself asks, as often as it likes. */
function tokenCall({ json, now }: Incoming, tokens: TokenDesk): Reply {
  const params = (json ?? {}) as Record<string, unknown>;
  if (params.authorize_type !== 'silent') throw new Refusal('invalid', 'authorize_type');
  if (params.client_id !== app.id || params.client_secret !== app.secret)
    return gateway(4202, 'client_id or client_secret is wrong');
  const account = /^shop-(\w+)$/.exec(String(params.grant_id))?.[1];
  if (!account) throw new Refusal('invalid', 'grant_id');
  const { access, lifeMs } = tokens.issue(account);
  // Written as a moment, in milliseconds.
  const data = {
    access_token: access,
    expires: now + lifeMs,
    scope: 'trade item',
    authority_id: params.grant_id,
  };
  return { status: 200, body: { success: true, code: 200, data, message: null } };
}

function refuse({ kind, about }: Refusal, call: Call | undefined): Reply {
  switch (kind) {
    case 'token':
      return gateway(4201, 'access_token is missing or unknown');
    case 'expired':
    case 'consent':
      return gateway(4203, 'access_token is expired');
    case 'permission':
      return gateway(4104, '应用没有该接口的权限');
    case 'api':
      return gateway(4004, 'api 不存在');
    case 'rate':
      return gateway(4005, '请求过于频繁，已限流');
    case 'quota':
      return gateway(4006, '流量包已用完');
    case 'busy':
      return failure(call, 50_000, '系统繁忙，请稍后再试');
    case 'window':
      return failure(call, 101_300, '查询时间跨度不能超过3个月');
    case 'backward':
      return failure(call, 101_301, '时间参数无效');
    case 'size':
      return failure(call, 101_302, 'page_size 超出最大值');
    case 'deep':
      return failure(call, 101_303, 'page_no * page_size 不能超过3200');
    case 'gone':
      return failure(call, 101_404, '数据不存在');
    default:
      return failure(call, 101_305, `参数无效 ${about}`);
  }
}

/** Faults of the gateway, HTTP 200. */
function gateway(err_code: number, err_msg: string): Reply {
  return { status: 200, body: { gw_err_resp: { err_code, err_msg, trace_id: 'sandbox' } } };
}

/** Business failures in the two shapes: by the version of the API. */
function failure(call: Call | undefined, code: number, message: string): Reply {
  if (call?.version?.startsWith('3'))
    return { status: 200, body: { error_response: { code, msg: message, sub_code: null } } };
  return { status: 200, body: { success: false, code, message, data: null } };
}

/** Youzan's open platform as its SDK and the comments of its generated parameters describe it. */
export const youzan: Fixture = {
  platform: 'youzan',
  resolutionMs: 1000,
  lists,
  streams,
  apis,
  tokens: { lifeMs: 7 * day },
  limits: { connection: [{ requests: 10, perMs: 1000 }] },
  connect: (account) => ({
    credential: { clientSecret: app.secret },
    options: { clientId: app.id, kdtId: `shop-${account}` },
  }),
  tokenPaths: ['/auth/token'],
  tokenCall,
  read,
  write: (payload, { version = '' }) =>
    version.startsWith('3') ? { response: payload } : { success: true, code: 200, data: payload, message: '操作成功' },
  refuse,
};
