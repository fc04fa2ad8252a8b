import { archivedOrders, lackedOrders } from './jushuitan/lacking.ts';
import { rates, rules } from './jushuitan/rules.ts';
import type { Connector, Deletes, SignedCall, Stream } from './shape.ts';

const minute = 60_000;
const day = 86_400_000;

const withdrawn: Deletes = { kind: 'status', path: 'status', is: ['Delete', 'Cancelled'] };
const disabled: Deletes = { kind: 'none', why: 'A disabled record stays in the list (enabled is -1).' };

/** A list of this gateway: page numbers, over the time of change unless the list is small and has none. */
function list(
  title: string,
  api: string,
  rows: string,
  key: string,
  deletes: Deletes,
  columns: Stream['columns'] = {},
): Stream {
  const stream: Stream = {
    title,
    call: { api, params: {} },
    rows,
    key,
    paging: {
      kind: 'page',
      param: 'page_index',
      first: 1,
      size: { param: 'page_size', rows: 50 },
      total: 'data_count',
      order: 'unknown',
    },
    deletes,
    columns,
  };
  if (deletes.kind === 'sweep') return stream;
  return {
    ...stream,
    time: { path: 'modified', format: 'local' },
    window: {
      from: 'modified_begin',
      to: 'modified_end',
      format: 'local',
      capMs: 7 * day,
      overlapMs: 10 * minute,
      lagMs: minute,
      // Goods and their stock live on unchanged for years; the vendor began in 2014.
      ...(deletes === disabled && { beginning: '2014-01-01' }),
    },
  };
}

/** Fixed order, and the body is not signed: md5 of method, partnerid, token and ts with their names, and the key. */
function sign({ api, params, secret, hash }: SignedCall): Record<string, string> {
  const text = `${api}${params.partnerid}token${params.token}ts${params.ts}${secret('partnerKey')}`;
  return { sign: hash({ algorithm: 'md5', encoding: 'lower' }, text) };
}

const status = { path: 'status', type: 'text' } as const;
const shop = { path: 'shop_id', type: 'bigint' } as const;

/** Jushuitan ERP (聚水潭), old gateway (erp321). */
export const jushuitan_old: Connector = {
  platform: 'jushuitan_old',
  title: 'Jushuitan ERP (old gateway)',
  baseUrl: 'https://open.erp321.com',
  settings: {
    partnerId: { secret: false, about: 'PartnerId, from the contract with Jushuitan.' },
    partnerKey: { secret: true, about: 'PartnerKey, for signatures only; never sent.' },
    token: { secret: true, about: 'Token of the merchant; it does not end.' },
  },
  auth: { kind: 'none' },
  gateway: {
    path: '/api/open/query.aspx',
    method: 'POST',
    system: {
      in: 'query',
      params: {
        method: { api: 'name' },
        partnerid: { option: 'partnerId' },
        token: { secret: 'token' },
        ts: { now: 's' },
      },
    },
    business: { in: 'json' },
    sign: { kind: 'custom', sign },
  },
  envelope: {
    shapes: [{ ok: { path: 'code', is: [0] }, code: ['code'], text: ['msg'], data: '' }],
    // The token does not end: one that is refused was changed by a person.
    rules: rules.map((rule) =>
      rule.verdict === 'token'
        ? { ...rule, verdict: 'consent', hint: 'The token was refused: give the one of the merchant again.' }
        : rule,
    ),
  },
  limits: { app: 'partnerId', platform: rates },
  streams: {
    orders: {
      ...list('Orders', 'orders.single.query', 'orders', 'o_id', withdrawn, {
        status,
        shop_id: shop,
        so_id: { path: 'so_id', type: 'text' },
        pay_amount: { path: 'pay_amount', type: 'numeric' },
      }),
      lacks: lackedOrders,
    },
    sales_out: list('Sales that left the warehouse', 'orders.out.simple.query', 'datas', 'io_id', withdrawn, {
      status,
      order_id: { path: 'o_id', type: 'text' },
    }),
    refunds: list('Refunds and returns', 'refund.single.query', 'datas', 'as_id', withdrawn, {
      status,
      order_id: { path: 'o_id', type: 'text' },
    }),
    purchase_in: list('Purchases that came into the warehouse', 'purchasein.query', 'datas', 'io_id', withdrawn, {
      status,
    }),
    inventory: list('Stock by SKU', 'inventory.query', 'inventorys', 'sku_id', disabled, {
      qty: { path: 'qty', type: 'bigint' },
    }),
    skus: list('SKUs', 'sku.query', 'datas', 'sku_id', disabled, {
      item_id: { path: 'i_id', type: 'text' },
      name: { path: 'name', type: 'text' },
    }),
    shops: list(
      'Shops that are connected',
      'shops.query',
      'datas',
      'shop_id',
      { kind: 'sweep' },
      {
        name: { path: 'shop_name', type: 'text' },
      },
    ),
    carriers: list(
      'Carriers',
      'logisticscompany.query',
      'datas',
      'lc_id',
      { kind: 'sweep' },
      {
        name: { path: 'lc_name', type: 'text' },
      },
    ),
  },
  unconfirmed: [
    { at: 'envelope.shapes.0.data', what: 'That lists stand beside code and msg, not inside data.' },
    { at: 'envelope.rules', what: 'Words and codes for token, rate, window and white list; as in the new gateway.' },
    { at: 'limits.platform', what: 'Numbers of the new gateway, from the code of clients.' },
    { at: 'streams.orders.paging.size.rows', what: '50 or 100 rows a page; and whether start_ts is understood.' },
    { at: 'streams.orders.call.params.archive', what: archivedOrders },
    { at: 'streams.orders.window.end', what: 'Whether a row changed exactly at modified_end is in the answer.' },
    { at: 'streams.skus.window.beginning', what: 'That no row was last changed before it.' },
    { at: 'streams.inventory.rows', what: 'Name of the list in the answer.' },
    { at: 'gateway.sign', what: 'One integration signs the body too; three SDKs do not.' },
  ],
};
