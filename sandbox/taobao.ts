import { createHash, createHmac } from 'node:crypto';
import type { Call, Fixture, Incoming, Reply } from './platform/fixture.ts';
import { Refusal } from './platform/refusal.ts';
import type { TokenDesk } from './platform/tokens.ts';
import { moment } from './platform/values.ts';
import { apis, lists, sellerNick, streams } from './taobao/lists.ts';
import { pushStatements } from './taobao.push.ts';

const app = { key: '12345678', secret: 'helloworld' };
/** The clock of a caller may be this far off. */
const toleranceMs = 10 * 60_000;
const systemNames = ['method', 'app_key', 'session', 'timestamp', 'v', 'sign_method', 'format', 'sign', 'simplify'];

/** TOP's signature over every parameter but `sign`; empty ones are skipped. md5 wraps the text in the secret, HMAC does not. */
export function taobaoSign(params: Record<string, string>, secret: string): string {
  const names = Object.keys(params).filter((name) => name !== 'sign' && name !== '' && params[name] !== '');
  const text = names
    .sort()
    .map((name) => name + params[name])
    .join('');
  if (params.sign_method === 'hmac') return createHmac('md5', secret).update(text).digest('hex').toUpperCase();
  if (params.sign_method === 'hmac-sha256')
    return createHmac('sha256', secret).update(text).digest('hex').toUpperCase();
  return createHash('md5')
    .update(secret + text + secret)
    .digest('hex')
    .toUpperCase();
}

function read(request: Incoming, tokens: TokenDesk): Call {
  const params = { ...request.query, ...request.form };
  const { method: api, app_key, session, timestamp, v, sign_method, sign, format } = params;
  if (request.path !== '/router/rest' || !api) throw new Refusal('missing', 'method');
  if (!Object.hasOwn(apis, api)) throw new Refusal('api', api);
  // Without `format` TOP answers XML; nobody here reads it.
  if (format !== 'json') throw new Refusal('invalid', 'format');
  if (app_key !== app.key) throw new Refusal('invalid', 'app_key');
  if (v !== '2.0') throw new Refusal('invalid', 'v');
  const at = moment(timestamp, 'local');
  if (Number.isNaN(at) || Math.abs(at - request.now) > toleranceMs) throw new Refusal('clock');
  if (!['md5', 'hmac', 'hmac-sha256'].includes(sign_method ?? '')) throw new Refusal('invalid', 'sign_method');
  if (!sign) throw new Refusal('missing', 'sign');
  if (sign !== taobaoSign(params, app.secret)) throw new Refusal('signature');
  if (!session) throw new Refusal('token', 'missing');
  const account = tokens.account(session);
  const business = Object.fromEntries(Object.entries(params).filter(([name]) => !systemNames.includes(name)));
  return { api, account, params: business, token: session };
}

/** Codes of TOP for parameters it knows by name. */
const missingCodes: Record<string, number> = { method: 21, sign: 24, app_key: 28, timestamp: 30, v: 32 };
const invalidCodes: Record<string, number> = { format: 23, app_key: 29, v: 33 };

function refuse({ kind, about, waitMs, level }: Refusal, call: Call | undefined): Reply {
  switch (kind) {
    case 'signature':
      return failure(25, 'Invalid signature', 'isv.invalid-signature');
    case 'clock':
      return failure(31, 'Invalid timestamp');
    case 'token':
      return about === 'missing'
        ? failure(26, 'Missing session')
        : failure(27, 'Invalid session', 'invalid-sessionkey');
    case 'expired':
    case 'consent':
      return failure(27, 'Invalid session', 'session-expired', '授权已过期，请重新授权');
    case 'permission':
      return failure(11, 'Insufficient isv permissions', 'isv.permission-api-package-limit');
    case 'api':
      return failure(22, 'Invalid method');
    case 'missing':
      return failure(missingCodes[about] ?? 40, 'Missing required arguments', `isv.missing-parameter:${about}`);
    case 'window':
      return failure(15, 'Remote service error', 'isv.invalid-parameter', '查询时间跨度不能超过1天');
    case 'old':
      return failure(15, 'Remote service error', 'isv.invalid-parameter', '只能查询三个月以内的数据');
    case 'rate':
    case 'quota':
      return failure(
        7,
        'App Call Limited',
        level === 'platform'
          ? 'accesscontrol.limited-by-app-access-count'
          : 'accesscontrol.limited-by-api-access-count',
        `This ban will last for ${Math.max(1, Math.ceil(waitMs / 1000))} more seconds`,
      );
    case 'busy':
      return failure(15, 'Remote service error', 'isp.top-remote-connection-timeout', '服务不可用');
    case 'gone':
      return failure(15, 'Remote service error', 'isv.trade-not-exist', '交易订单不存在');
    default:
      return failure(invalidCodes[about] ?? 41, 'Invalid arguments', `isv.invalid-parameter:${about || call?.api}`);
  }
}

/** TOP has no refusal but this one; HTTP is 200. */
function failure(code: number, msg: string, sub_code?: string, sub_msg?: string): Reply {
  return { status: 200, body: { error_response: { code, msg, sub_code, sub_msg, request_id: 'sandbox' } } };
}

/** Taobao's open platform (TOP) and the push database behind it, as their documentation describes them. */
export const taobao: Fixture = {
  platform: 'taobao',
  resolutionMs: 1000,
  lists,
  streams,
  apis,
  // How long a session key lives is not published; a year of a subscription is common.
  tokens: { lifeMs: 365 * 86_400_000 },
  limits: { platform: [{ requests: 40, perMs: 1000 }] },
  tables: pushStatements,
  connect: (account, tokens) => ({
    credential: { appSecret: app.secret, session: tokens.issue(account).access },
    options: { appKey: app.key, sellerNick },
  }),
  read,
  write: (payload, { api }) => ({
    [`${api.replace(/^taobao\./, '').replaceAll('.', '_')}_response`]: {
      ...(payload as object),
      request_id: 'sandbox',
    },
  }),
  refuse,
};
