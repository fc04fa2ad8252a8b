import { createHash } from 'node:crypto';
import { listApi, lists } from './jushuitan/lists.ts';
import { refuse } from './jushuitan/refuse.ts';
import type { Call, Fixture, Incoming } from './platform/fixture.ts';
import { Refusal } from './platform/refusal.ts';
import type { TokenDesk } from './platform/tokens.ts';
import { whole } from './platform/values.ts';

const day = 86_400_000;
const partner = { id: 'sandbox-partner', key: 'sandbox-partner-key' };
/** The clock of a caller may be this far off. */
const toleranceMs = 10 * 60_000;

/** md5 over method, partnerid, token and ts in this order, and the key; the body is not signed. Lower case. */
export function jushuitanOldSign(params: Record<string, string>, key: string): string {
  const { method, partnerid, token, ts } = params;
  return createHash('md5').update(`${method}${partnerid}token${token}ts${ts}${key}`).digest('hex');
}

function read({ path, query, json, now }: Incoming, tokens: TokenDesk): Call {
  const { method: api = '', partnerid, token, ts, sign } = query;
  if (path !== '/api/open/query.aspx' || !Object.hasOwn(apis, api)) throw new Refusal('api', api);
  if (partnerid !== partner.id) throw new Refusal('invalid', 'partnerid');
  if (!(Math.abs(whole(ts) * 1000 - now) <= toleranceMs)) throw new Refusal('clock');
  if (sign !== jushuitanOldSign(query, partner.key)) throw new Refusal('signature');
  const account = tokens.account(token);
  if (typeof json !== 'object' || json === null || Array.isArray(json)) throw new Refusal('invalid', 'body');
  return { api, account, params: json as Record<string, unknown>, token };
}

const apis = {
  'orders.single.query': listApi('orders', { max: 50, rows: 'orders' }),
  'orders.out.simple.query': listApi('salesOut', { max: 50 }),
  'refund.single.query': listApi('refunds', { max: 50 }),
  'purchasein.query': listApi('purchaseIn', { max: 50 }),
  'inventory.query': listApi('inventory', { max: 100, rows: 'inventorys' }),
  'sku.query': listApi('skus', { max: 100 }),
  'shops.query': listApi('shops', { max: 100, window: false }),
  'logisticscompany.query': listApi('carriers', { max: 100, window: false }),
};

/** Jushuitan's old gateway (erp321) as three SDKs call it. */
export const jushuitan_old: Fixture = {
  platform: 'jushuitan_old',
  resolutionMs: 1000,
  lists,
  streams: {
    orders: { api: 'orders.single.query' },
    sales_out: { api: 'orders.out.simple.query' },
    refunds: { api: 'refund.single.query' },
    purchase_in: { api: 'purchasein.query' },
    inventory: { api: 'inventory.query' },
    skus: { api: 'sku.query' },
    shops: { api: 'shops.query' },
    carriers: { api: 'logisticscompany.query' },
  },
  apis,
  // The token of a merchant does not end.
  tokens: { lifeMs: 100 * 365 * day },
  limits: {
    platform: [
      { requests: 5, perMs: 1000 },
      { requests: 100, perMs: 60_000, burst: 20 },
    ],
  },
  connect: (account, tokens) => ({
    credential: { partnerKey: partner.key, token: tokens.issue(account).access },
    options: { partnerId: partner.id },
  }),
  read,
  write: (payload) => ({ code: 0, issuccess: true, msg: null, ...(payload as object) }),
  refuse,
};
