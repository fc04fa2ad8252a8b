import type { Stream } from '../shape.ts';

const minute = 60_000;
const day = 86_400_000;

const never = 'Trades and refunds are never deleted; their status tells.';
const closed = ['TRADE_CLOSED', 'TRADE_CLOSED_BY_TAOBAO'];

/** Without `type` the platform leaves out all but five kinds of trades, in silence. */
const tradeTypes = [
  'fixed',
  'auction',
  'guarantee_trade',
  'step',
  'independent_simple_trade',
  'independent_shop_trade',
  'auto_delivery',
  'ec',
  'cod',
  'game_equipment',
  'shopex_trade',
  'netcn_trade',
  'external_trade',
  'o2o_offlinetrade',
  'nopaid',
  'pre_auth_type',
  'fenxiao',
].join(',');

const tradeFields =
  'tid,type,status,payment,total_fee,post_fee,created,modified,pay_time,end_time,buyer_open_uid,seller_flag,seller_memo,' +
  'trade_from,step_trade_status,orders.oid,orders.num_iid,orders.sku_id,orders.num,orders.payment,orders.status,orders.refund_status';
const refundFields =
  'refund_id,tid,oid,status,order_status,good_status,has_good_return,refund_fee,payment,total_fee,reason,created,modified,num_iid';
const itemFields =
  'num_iid,title,nick,type,cid,seller_cids,price,num,approve_status,outer_id,pic_url,list_time,delist_time,modified';

/** Windows over the time of change, both bounds in Beijing time to the second. */
const changed = { from: 'start_modified', to: 'end_modified', format: 'local' } as const;
const modified = { path: 'modified', format: 'local' } as const;

/** Newest first: read from the last page to the first, for which the count is needed (so no `use_has_next`). */
const newestFirst = (answer: string) =>
  ({
    kind: 'page',
    param: 'page_no',
    first: 1,
    size: { param: 'page_size', rows: 100 },
    total: `${answer}.total_results`,
    order: 'descending',
  }) as const;

/** One of the two lists that together hold every item: on sale, and in the warehouse. An item moves between them. */
const itemList = (title: string, name: string): Stream => ({
  title,
  call: { api: `taobao.items.${name}.get`, params: { fields: itemFields } },
  rows: `items_${name}_get_response.items.item`,
  emptyHas: `items_${name}_get_response.total_results`,
  key: 'num_iid',
  time: modified,
  paging: {
    kind: 'page',
    param: 'page_no',
    first: 1,
    size: { param: 'page_size', rows: 200 },
    total: `items_${name}_get_response.total_results`,
    order: 'unknown',
  },
  deletes: { kind: 'sweep' },
  columns: {
    title: { path: 'title', type: 'text' },
    price: { path: 'price', type: 'numeric' },
    num: { path: 'num', type: 'bigint' },
    outer_id: { path: 'outer_id', type: 'text' },
  },
});

/**
 * A table of the push database (聚石塔 RDS): read in the order in which the platform pushed, never by the time of the trade.
 * `jdp_response` holds what the API's detail call answers.
 */
const pushed = (title: string, table: string, id: string, seller: string, more: readonly string[]): Stream => ({
  title,
  sql: {
    zone: 'Asia/Shanghai',
    from: `sys_info.${table}`,
    select: [id, seller, ...more, 'jdp_hashcode', 'jdp_response', 'jdp_created', 'jdp_modified'],
    keyset: ['jdp_modified', id],
    where: { [seller]: { option: 'sellerNick' } },
    count: true,
  },
  rows: '',
  key: id,
  time: { path: 'jdp_modified', format: 'iso' },
  paging: { kind: 'keyset', size: { rows: 1000 } },
  window: {
    from: 'jdp_modified_from',
    to: 'jdp_modified_to',
    format: 'iso',
    capMs: 7 * day,
    overlapMs: 10 * minute,
    lagMs: minute,
    denseRows: 50_000,
  },
  deletes: { kind: 'none', why: 'The push database keeps the last state; statuses tell.' },
  columns: { status: { path: more.includes('status') ? 'status' : 'approve_status', type: 'text' } },
  jsonText: ['jdp_response'],
});

/** Items live on unchanged for years; the push service is younger than 2010. The cap is ours: dense windows are cut by count. */
const fromBeginning = (stream: Stream): Stream => ({
  ...stream,
  ...(stream.window && { window: { ...stream.window, beginning: '2010-01-01', capMs: 366 * day } }),
});

/** Streams of Taobao and Tmall, one a table. */
export const streams: Record<string, Stream> = {
  trades: {
    title: 'Trades of the last three months, by time of change',
    call: { api: 'taobao.trades.sold.increment.get', params: { fields: tradeFields, type: tradeTypes } },
    rows: 'trades_sold_increment_get_response.trades.trade',
    emptyHas: 'trades_sold_increment_get_response.total_results',
    key: 'tid',
    time: modified,
    paging: newestFirst('trades_sold_increment_get_response'),
    window: { ...changed, capMs: day, overlapMs: 10 * minute, lagMs: minute, floorMs: 89 * day, denseRows: 5_000 },
    deletes: { kind: 'status', path: 'status', is: closed },
    columns: {
      status: { path: 'status', type: 'text' },
      type: { path: 'type', type: 'text' },
      payment: { path: 'payment', type: 'numeric' },
      created: { path: 'created', type: 'timestamptz', format: 'local' },
      paid: { path: 'pay_time', type: 'timestamptz', format: 'local' },
    },
  },
  trade_details: {
    title: 'Trades with all their parts',
    call: {
      api: 'taobao.trade.fullinfo.get',
      params: { fields: `${tradeFields},receiver_state,receiver_city,promotion_details` },
    },
    rows: 'trade_fullinfo_get_response.trade',
    key: '$over',
    time: modified,
    paging: { kind: 'whole' },
    over: { kind: 'each', stream: 'trades', param: 'tid', batch: 1, when: 'changed' },
    deletes: { kind: 'status', path: 'status', is: closed },
    columns: { status: { path: 'status', type: 'text' } },
  },
  refunds: {
    title: 'Refunds, by time of change',
    call: { api: 'taobao.refunds.receive.get', params: { fields: refundFields } },
    rows: 'refunds_receive_get_response.refunds.refund',
    emptyHas: 'refunds_receive_get_response.total_results',
    key: 'refund_id',
    time: modified,
    paging: newestFirst('refunds_receive_get_response'),
    window: { ...changed, capMs: day, overlapMs: 10 * minute, lagMs: minute, floorMs: 89 * day },
    deletes: { kind: 'none', why: never },
    columns: {
      trade_id: { path: 'tid', type: 'text' },
      status: { path: 'status', type: 'text' },
      refund_fee: { path: 'refund_fee', type: 'numeric' },
      created: { path: 'created', type: 'timestamptz', format: 'local' },
    },
  },
  items_onsale: itemList('Items on sale', 'onsale'),
  items_inventory: itemList('Items in the warehouse', 'inventory'),
  push_trades: {
    ...pushed('Trades of the push database', 'jdp_tb_trade', 'tid', 'seller_nick', [
      'status',
      'type',
      'created',
      'modified',
    ]),
    deletes: { kind: 'status', path: 'status', is: closed },
  },
  push_refunds: pushed('Refunds of the push database', 'jdp_tb_refund', 'refund_id', 'seller_nick', [
    'tid',
    'status',
    'created',
    'modified',
  ]),
  push_distributions: {
    ...pushed(
      'Distribution orders of the push database, as their supplier',
      'jdp_fx_trade',
      'fenxiao_id',
      'supplier_username',
      ['status', 'tc_order_id', 'distributor_username', 'created', 'modified'],
    ),
    deletes: { kind: 'status', path: 'status', is: closed },
  },
  push_items: fromBeginning(
    pushed('Items of the push database', 'jdp_tb_item', 'num_iid', 'nick', ['approve_status', 'created', 'modified']),
  ),
};
