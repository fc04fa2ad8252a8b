import { createHash } from 'node:crypto';
import { listApi, lists } from './jushuitan/lists.ts';
import { refuse } from './jushuitan/refuse.ts';
import type { Call, Fixture, Incoming, Reply } from './platform/fixture.ts';
import { Refusal } from './platform/refusal.ts';
import type { TokenDesk } from './platform/tokens.ts';
import { whole } from './platform/values.ts';

const day = 86_400_000;
/** A self-use app belongs to one merchant: every account has its own. */
const app = { key: 'app-', secret: 'sandbox-app-secret' };
const initPath = '/openWeb/auth/getInitToken';
const refreshPath = '/openWeb/auth/refreshToken';
/** The clock of a caller may be this far off. */
const toleranceMs = 10 * 60_000;

/** md5 of the secret and every parameter with its name, sorted; `sign` and empty values are out. Lower case. */
export function jushuitanSign(params: Record<string, string>, secret: string): string {
  const names = Object.keys(params).filter((name) => name !== 'sign' && params[name] !== '');
  const text = names.sort().reduce((sum, name) => sum + name + params[name], secret);
  return createHash('md5').update(text).digest('hex');
}

/** What every call must have, also those for a token. */
function check(form: Record<string, string>, now: number): void {
  if (!form.app_key?.startsWith(app.key)) throw new Refusal('invalid', 'app_key');
  if (form.charset !== 'utf-8') throw new Refusal('invalid', 'charset');
  if (!(Math.abs(whole(form.timestamp) * 1000 - now) <= toleranceMs)) throw new Refusal('clock');
  if (form.sign !== jushuitanSign(form, app.secret)) throw new Refusal('signature');
}

function read({ path, form, method, now }: Incoming, tokens: TokenDesk): Call {
  const api = path.slice(1);
  if (!Object.hasOwn(apis, api)) throw new Refusal('api', api);
  if (method !== 'POST') throw new Refusal('invalid', 'method');
  if (form.version !== '2') throw new Refusal('invalid', 'version');
  check(form, now);
  const account = tokens.account(form.access_token);
  return { api, account, params: business(form.biz), token: form.access_token };
}

function business(biz: string | undefined): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(biz ?? '{}');
    if (typeof value === 'object' && value !== null) return value as Record<string, unknown>;
  } catch {
    // Falls through to the platform's own words for it.
  }
  throw new Refusal('invalid', 'biz');
}

function tokenCall({ path, form, now }: Incoming, tokens: TokenDesk): Reply {
  check(form, now);
  const isFirst = path === initPath;
  if (form.grant_type !== (isFirst ? 'authorization_code' : 'refresh_token'))
    throw new Refusal('invalid', 'grant_type');
  if (isFirst && !/^\w{6}$/.test(form.code ?? '')) throw new Refusal('invalid', 'code');
  const issued = isFirst ? tokens.issue(form.app_key!.slice(app.key.length)) : tokens.refresh(form.refresh_token ?? '');
  const data = {
    access_token: issued.access,
    refresh_token: issued.refresh,
    expires_in: Math.floor(issued.lifeMs / 1000),
    scope: 'all',
  };
  return { status: 200, body: { code: 0, issuccess: true, msg: '执行成功', data } };
}

const apis = {
  'open/orders/single/query': listApi('orders', { max: 100, rows: 'orders', version: 'start_ts' }),
  'open/orders/out/simple/query': listApi('salesOut', { max: 50, version: 'start_ts' }),
  'open/purchase/query': listApi('purchases', { max: 50, version: 'start_ts' }),
  'open/webapi/wmsapi/purchasein/purchaseinquery': listApi('purchaseIn', { max: 50, version: 'start_ts' }),
  'open/other/inout/query': listApi('otherInout', { max: 50 }),
  'open/refund/single/query': listApi('refunds', { max: 50 }),
  'open/inventory/query': listApi('inventory', { max: 100, rows: 'inventorys', version: 'ts' }),
  'open/sku/query': listApi('skus', { max: 50 }),
  'open/mall/item/query': listApi('items', { max: 50 }),
  'open/shops/query': listApi('shops', { max: 100, window: false }),
};

/** Jushuitan's new gateway as clients of it describe it. */
export const jushuitan: Fixture = {
  platform: 'jushuitan',
  resolutionMs: 1000,
  lists,
  streams: {
    orders: { api: 'open/orders/single/query' },
    sales_out: { api: 'open/orders/out/simple/query' },
    purchases: { api: 'open/purchase/query' },
    purchase_in: { api: 'open/webapi/wmsapi/purchasein/purchaseinquery' },
    other_inout: { api: 'open/other/inout/query' },
    refunds: { api: 'open/refund/single/query' },
    inventory: { api: 'open/inventory/query' },
    skus: { api: 'open/sku/query' },
    items: { api: 'open/mall/item/query' },
    shops: { api: 'open/shops/query' },
  },
  apis,
  tokens: { lifeMs: 30 * day, refreshLifeMs: 30 * day, oldAccess: false },
  limits: {
    connection: [
      { requests: 5, perMs: 1000 },
      { requests: 100, perMs: 60_000, burst: 20 },
    ],
  },
  connect: (account) => ({ credential: { appSecret: app.secret }, options: { appKey: app.key + account } }),
  tokenPaths: [initPath, refreshPath],
  tokenCall,
  read,
  write: (payload) => ({ code: 0, issuccess: true, msg: '执行成功', data: payload }),
  refuse,
};
