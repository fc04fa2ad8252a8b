import type { Api, ApiPaging, ListSpec, Lists, StreamSpec } from '../platform/fixture.ts';
import type { Row } from '../platform/list.ts';
import { Refusal } from '../platform/refusal.ts';
import { local, longNumber, pick } from '../platform/values.ts';

const day = 86_400_000;
const share = (part: number) => (rows: number) => Math.ceil(rows / part);
/** Ids have more digits than a JavaScript number holds. */
const idsFrom = (prefix: string) => (serial: number) => `${prefix}${String(serial).padStart(9, '0')}`;
const yuan = (serial: number, salt: number) => (1 + pick(serial, salt, 99_999) / 100).toFixed(2);

const types = ['guarantee_trade', 'fixed', 'step', 'cod', 'ec', 'auto_delivery', 'nopaid'];
/** Kinds of trades that a call without `type` lists. */
const usualTypes = ['guarantee_trade', 'auto_delivery', 'ec', 'cod', 'step'];

export const sellerNick = '沙箱旗舰店';

/** Records of a seller, in the platform's names. */
export const lists: Record<string, ListSpec> = {
  trades: {
    id: idsFrom('4611686018'),
    statuses: ['WAIT_SELLER_SEND_GOODS', 'WAIT_BUYER_CONFIRM_GOODS', 'TRADE_FINISHED', 'WAIT_BUYER_PAY'],
    removed: { status: 'TRADE_CLOSED' },
    render: (row) => ({
      tid: longNumber(row.id),
      type: types[row.serial % types.length],
      status: row.status,
      payment: yuan(row.serial, 1),
      total_fee: yuan(row.serial, 2),
      post_fee: '0.00',
      created: local(row.created),
      modified: local(row.updated),
      pay_time: local(row.created + 60_000),
      orders: { order: [{ oid: longNumber(row.id), num_iid: 520_000_001 + pick(row.serial, 3, 500), num: 1 }] },
    }),
  },
  refunds: {
    rows: share(5),
    id: idsFrom('1844674407'),
    statuses: ['WAIT_SELLER_AGREE', 'WAIT_BUYER_RETURN_GOODS', 'SUCCESS', 'CLOSED'],
    removed: 'never',
    render: (row) => ({
      refund_id: longNumber(row.id),
      tid: longNumber(`4611686018${String(1 + pick(row.serial, 1, 1000)).padStart(9, '0')}`),
      status: row.status,
      refund_fee: yuan(row.serial, 2),
      reason: '不想要了',
      created: local(row.created),
      modified: local(row.updated),
    }),
  },
  distributions: {
    rows: share(10),
    id: idsFrom('2305843009'),
    statuses: ['WAIT_BUYER_PAY', 'WAIT_SELLER_SEND_GOODS', 'WAIT_BUYER_CONFIRM_GOODS', 'TRADE_FINISHED'],
    removed: { status: 'TRADE_CLOSED' },
    render: (row) => ({
      fenxiao_id: longNumber(row.id),
      status: row.status,
      tc_order_id: longNumber(`4611686018${String(1 + pick(row.serial, 1, 1000)).padStart(9, '0')}`),
      supplier_username: sellerNick,
      distributor_username: `分销商${pick(row.serial, 2, 50)}`,
      total_fee: yuan(row.serial, 3),
      created: local(row.created),
      modified: local(row.updated),
    }),
  },
  items: {
    rows: share(10),
    id: (serial) => String(520_000_000 + serial),
    statuses: ['onsale', 'onsale', 'instock'],
    removed: 'leaves',
    render: (row) => ({
      num_iid: Number(row.id),
      title: `宝贝 ${row.serial}`,
      price: yuan(row.serial, 1),
      num: pick(row.serial, 2, 1000),
      approve_status: row.status,
      outer_id: `SKU-${row.serial}`,
      modified: local(row.updated),
    }),
  },
};

/** What the platform pushes later than the change. */
export const pushDelayMs = 3_000;
const pushed = (row: { updated: number }) => row.updated + pushDelayMs;

/** The connector's streams and the APIs that serve them. */
export const streams: Record<string, StreamSpec> = {
  trades: { api: 'taobao.trades.sold.increment.get' },
  trade_details: { api: 'taobao.trade.fullinfo.get' },
  refunds: { api: 'taobao.refunds.receive.get' },
  items_onsale: { api: 'taobao.items.onsale.get', has: (row) => row.status === 'onsale' },
  items_inventory: { api: 'taobao.items.inventory.get', has: (row) => row.status === 'instock' },
  push_trades: { list: 'trades', changed: pushed, write: (row, all) => pushRow('trades', row, all) },
  push_refunds: { list: 'refunds', changed: pushed, write: (row, all) => pushRow('refunds', row, all) },
  push_distributions: {
    list: 'distributions',
    changed: pushed,
    write: (row, all) => pushRow('distributions', row, all),
  },
  push_items: { list: 'items', keeps: true, changed: pushed, write: (row, all) => pushRow('items', row, all) },
};

/** Tables of the push database: what each holds of a record besides the columns that all have. */
export const pushTables = {
  trades: { table: 'jdp_tb_trade', id: 'tid', seller: 'seller_nick', columns: ['status', 'type'], object: 'trade' },
  refunds: {
    table: 'jdp_tb_refund',
    id: 'refund_id',
    seller: 'seller_nick',
    columns: ['tid', 'status'],
    object: 'refund',
  },
  distributions: {
    table: 'jdp_fx_trade',
    id: 'fenxiao_id',
    seller: 'supplier_username',
    columns: ['status', 'tc_order_id', 'distributor_username'],
    object: 'purchase_order',
  },
  items: { table: 'jdp_tb_item', id: 'num_iid', seller: 'nick', columns: ['approve_status'], object: 'item' },
} as const;

/** A row of the push database; times as Postgres gives them. */
export function pushRow(list: keyof typeof pushTables, row: Row, all: Lists): Record<string, unknown> {
  const { id, seller, columns, object } = pushTables[list];
  const data = all[list]!.render(row);
  const answer = { [`${object}_get_response`]: { [object]: data } };
  return {
    [id]: longNumber(row.id),
    [seller]: sellerNick,
    ...Object.fromEntries(columns.map((name) => [name, data[name]])),
    created: new Date(row.created).toISOString(),
    modified: new Date(row.updated).toISOString(),
    jdp_hashcode: String(row.version),
    jdp_response: answer,
    jdp_created: new Date(row.created + pushDelayMs).toISOString(),
    jdp_modified: new Date(row.updated + pushDelayMs).toISOString(),
  };
}

const windows = [
  {
    from: 'start_modified',
    to: 'end_modified',
    clock: 'updated',
    format: 'local',
    capMs: day,
    keepMs: 92 * day,
    end: 'closed',
  },
] as const;
const pages = (max: number): ApiPaging[] => [
  { kind: 'page', param: 'page_no', first: 1, size: { param: 'page_size', default: 40, max } },
];

/** Every list wants the names of its fields, and gives no others. */
function fields(params: Record<string, unknown>): void {
  if (!params.fields) throw new Refusal('missing', 'fields');
}

/** The record with the fields asked for; `orders.oid` asks for the orders. */
function only(data: Record<string, unknown>, asked: unknown): Record<string, unknown> {
  if (typeof asked !== 'string') return data;
  const names = new Set(asked.split(',').map((name) => name.split('.')[0]));
  return Object.fromEntries(Object.entries(data).filter(([name]) => names.has(name)));
}

function list(name: string, many: string, one: string, max: number): Api {
  return {
    list: name,
    paging: pages(max),
    check: fields,
    clock: 'updated',
    order: 'descending',
    render: (row, all, params) => only(all[name]!.render(row), params.fields),
    // An empty list is left out, as TOP does.
    answer: ({ rows, total, more }, { use_has_next }) => ({
      ...(String(use_has_next) === 'true' ? { has_next: more } : { total_results: total }),
      ...(rows.length > 0 ? { [many]: { [one]: rows } } : {}),
    }),
  };
}

/** APIs by name: caps, paging and answers. */
export const apis: Record<string, Api> = {
  'taobao.trades.sold.increment.get': {
    ...list('trades', 'trades', 'trade', 100),
    windows,
    windowNeeded: true,
    select: ({ type, status }) => {
      const wanted = typeof type === 'string' && type !== '' ? type.split(',') : usualTypes;
      const all = types.every((name) => wanted.includes(name));
      if (all && !status) return undefined;
      return (row) => wanted.includes(types[row.serial % types.length]!) && (!status || row.status === status);
    },
  },
  'taobao.trade.fullinfo.get': {
    list: 'trades',
    check: fields,
    paging: [{ kind: 'one', param: 'tid' }],
    render: (row, all, params) => only({ ...all.trades!.render(row), receiver_state: '浙江省' }, params.fields),
    answer: ({ rows: [trade] }) => ({ trade }),
  },
  'taobao.refunds.receive.get': {
    ...list('refunds', 'refunds', 'refund', 100),
    windows,
    select: ({ status }) => (status ? (row) => row.status === status : undefined),
  },
  'taobao.items.onsale.get': { ...list('items', 'items', 'item', 200), select: () => (row) => row.status === 'onsale' },
  'taobao.items.inventory.get': {
    ...list('items', 'items', 'item', 200),
    select: () => (row) => row.status === 'instock',
  },
};
