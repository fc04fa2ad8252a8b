import type { Deletes, Stream } from '../shape.ts';
import { lackedOrders } from './lacking.ts';

const minute = 60_000;
const day = 86_400_000;
/** Rows that are committed late come with a version below others (SQL Server gives it when the row is written). */
const overlapMs = 10 * minute;

const modified = { path: 'modified', format: 'local' } as const;
const withdrawn: Deletes = { kind: 'status', path: 'status', is: ['Delete', 'Cancelled'] };
const disabled: Deletes = { kind: 'none', why: 'A disabled record stays in the list (enabled is -1).' };

/**
 * Read by row version: the largest `ts` seen is sent as `start_ts` until nothing larger comes. The vendor itself says that
 * reading by time windows and pages can miss rows while data moves. The next pass goes on from there.
 */
const byVersion = (
  title: string,
  api: string,
  rows: string,
  key: string,
  size: number,
  columns: Stream['columns'],
): Stream => ({
  title,
  call: { api: `open/${api}`, params: { page_index: 1, is_get_total: false } },
  rows,
  key,
  time: modified,
  paging: { kind: 'version', param: 'start_ts', path: 'ts', size: { param: 'page_size', rows: size }, overlapMs },
  deletes: withdrawn,
  columns: { status: { path: 'status', type: 'text' }, ...columns },
});

/** Read by windows over the time of change, at most 7 days each. */
const byWindow = (
  title: string,
  api: string,
  key: string,
  deletes: Deletes,
  columns: Stream['columns'],
  beginning?: string,
): Stream => ({
  title,
  call: { api: `open/${api}`, params: {} },
  rows: 'datas',
  key,
  time: modified,
  paging: {
    kind: 'page',
    param: 'page_index',
    first: 1,
    size: { param: 'page_size', rows: 50 },
    total: 'data_count',
    order: 'unknown',
  },
  window: {
    from: 'modified_begin',
    to: 'modified_end',
    format: 'local',
    capMs: 7 * day,
    overlapMs: 10 * minute,
    lagMs: minute,
    ...(beginning !== undefined && { beginning }),
  },
  deletes,
  columns,
});

/** Goods live on unchanged for years; the vendor began in 2014. */
const goods = (title: string, api: string, key: string, columns: Stream['columns']) =>
  byWindow(title, api, key, disabled, columns, '2014-01-01');

const created = { path: 'created', type: 'timestamptz', format: 'local' } as const;
const shop = { path: 'shop_id', type: 'bigint' } as const;

/** Streams of Jushuitan's new gateway, one a table. */
export const streams: Record<string, Stream> = {
  orders: {
    ...byVersion('Orders', 'orders/single/query', 'orders', 'o_id', 100, {
      shop_id: shop,
      so_id: { path: 'so_id', type: 'text' },
      pay_amount: { path: 'pay_amount', type: 'numeric' },
      created,
    }),
    lacks: lackedOrders,
  },
  sales_out: byVersion('Sales that left the warehouse', 'orders/out/simple/query', 'datas', 'io_id', 50, {
    order_id: { path: 'o_id', type: 'text' },
    shop_id: shop,
  }),
  purchases: byVersion('Purchase orders', 'purchase/query', 'datas', 'po_id', 50, {
    supplier_id: { path: 'supplier_id', type: 'bigint' },
  }),
  purchase_in: byVersion(
    'Purchases that came into the warehouse',
    'webapi/wmsapi/purchasein/purchaseinquery',
    'datas',
    'io_id',
    50,
    { purchase_id: { path: 'po_id', type: 'text' } },
  ),
  other_inout: byWindow('Other movements of stock', 'other/inout/query', 'io_id', withdrawn, {
    status: { path: 'status', type: 'text' },
    type: { path: 'type', type: 'text' },
  }),
  refunds: byWindow('Refunds and returns', 'refund/single/query', 'as_id', withdrawn, {
    status: { path: 'status', type: 'text' },
    order_id: { path: 'o_id', type: 'text' },
    shop_id: shop,
  }),
  inventory: {
    title: 'Stock by SKU',
    call: { api: 'open/inventory/query', params: { page_index: 1 } },
    rows: 'inventorys',
    key: 'sku_id',
    time: modified,
    paging: { kind: 'version', param: 'ts', path: 'ts', size: { param: 'page_size', rows: 100 }, overlapMs },
    deletes: { kind: 'none', why: 'A SKU without stock stays in the list with 0.' },
    columns: { qty: { path: 'qty', type: 'bigint' }, order_lock: { path: 'order_lock', type: 'bigint' } },
  },
  skus: goods('SKUs', 'sku/query', 'sku_id', {
    item_id: { path: 'i_id', type: 'text' },
    name: { path: 'name', type: 'text' },
    sale_price: { path: 'sale_price', type: 'numeric' },
    enabled: { path: 'enabled', type: 'bigint' },
  }),
  items: goods('Items', 'mall/item/query', 'i_id', { name: { path: 'name', type: 'text' } }),
  shops: {
    title: 'Shops that are connected',
    call: { api: 'open/shops/query', params: {} },
    rows: 'datas',
    key: 'shop_id',
    paging: {
      kind: 'page',
      param: 'page_index',
      first: 1,
      size: { param: 'page_size', rows: 100 },
      total: 'data_count',
      order: 'unknown',
    },
    deletes: { kind: 'sweep' },
    columns: { name: { path: 'shop_name', type: 'text' }, site: { path: 'shop_site', type: 'text' } },
  },
};
