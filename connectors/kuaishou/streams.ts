import type { Deletes, Stream } from '../shape.ts';

const hour = 3_600_000;
const day = 24 * hour;

const closed: Deletes = { kind: 'status', path: 'orderBaseInfo.status', is: [80] };
const kept: Deletes = { kind: 'none', why: 'The platform never deletes them; their status tells.' };
const listed: Deletes = { kind: 'listed', by: 'deleted_items' };

/** Requests a second that the gateway lets an app make to one API over all merchants, until it is granted more (to 5,000). */
const usual = [{ requests: 100, perMs: 1000 }];

/** Windows over the time of change, in milliseconds; the history is 90 days, less an hour for clocks that differ. */
const changed = { from: 'beginTime', to: 'endTime', format: 'ms', floorMs: 90 * day - hour } as const;

/** One call for each row of another stream that landed since the last pass; an answer need not repeat the id. */
const detail = (title: string, api: string, stream: string, param: string, deletes: Deletes): Stream => ({
  title,
  call: { api, params: {} },
  rows: '',
  key: '$over',
  paging: { kind: 'whole' },
  over: { kind: 'each', stream, param, batch: 1, when: 'changed' },
  deletes,
  columns: {},
  appLimits: usual,
});

const orders: Stream = {
  title: 'Orders, by time of change',
  call: { api: 'open.order.cursor.list', params: { orderViewStatus: 1, queryType: 2, sort: 1 } },
  rows: 'orderList',
  key: 'orderBaseInfo.oid',
  time: { path: 'orderBaseInfo.updateTime', format: 'ms' },
  paging: {
    kind: 'cursor',
    param: 'cursor',
    first: '',
    next: 'cursor',
    sentinel: 'nomore',
    size: { param: 'pageSize', rows: 50 },
  },
  window: { ...changed, capMs: 7 * day, overlapMs: 10 * 60_000, lagMs: 30_000 },
  deletes: closed,
  columns: {
    status: { path: 'orderBaseInfo.status', type: 'bigint' },
    created: { path: 'orderBaseInfo.createTime', type: 'timestamptz', format: 'ms' },
    paid: { path: 'orderBaseInfo.payTime', type: 'timestamptz', format: 'ms' },
    total_fee: { path: 'orderBaseInfo.totalFee', type: 'bigint' },
  },
  limits: [{ requests: 300, perMs: 1000 }],
  appLimits: [{ requests: 300, perMs: 1000 }],
};

const refunds: Stream = {
  title: 'Refunds, by time of change',
  call: { api: 'open.seller.order.refund.pcursor.list', params: { type: 9, queryType: 2, sort: 1 } },
  rows: 'refundOrderInfoList',
  key: 'refundId',
  time: { path: 'updateTime', format: 'ms' },
  paging: {
    kind: 'cursor',
    param: 'pcursor',
    pageParam: 'currentPage',
    first: '',
    next: 'pcursor',
    sentinel: 'nomore',
    size: { param: 'pageSize', rows: 100 },
  },
  window: {
    ...changed,
    capMs: day,
    overlapMs: 10 * 60_000,
    lagMs: 30_000,
    // Counts are told on the first page alone, so a page of one row is asked for them.
    count: { params: { pcursor: '', currentPage: 1, pageSize: 1 }, total: 'totalSize' },
  },
  deletes: kept,
  columns: {
    order_id: { path: 'oid', type: 'text' },
    status: { path: 'status', type: 'bigint' },
    refund_fee: { path: 'refundFee', type: 'bigint' },
    created: { path: 'createTime', type: 'timestamptz', format: 'ms' },
  },
  appLimits: usual,
};

const items: Stream = {
  title: 'Items on sale and off sale',
  call: { api: 'open.item.list.get', params: {} },
  rows: 'items',
  key: 'kwaiItemId',
  time: { path: 'updateTime', format: 'ms' },
  paging: {
    kind: 'page',
    param: 'pageNumber',
    first: 1,
    size: { param: 'pageSize', rows: 100 },
    total: 'totalItemCnt',
    order: 'unknown',
  },
  deletes: listed,
  columns: { title: { path: 'title', type: 'text' }, price: { path: 'price', type: 'bigint' } },
  appLimits: usual,
};

const deletedItems: Stream = {
  title: 'Items that were deleted',
  call: { api: 'open.item.deleted.get', params: {} },
  rows: 'items',
  key: 'kwaiItemId',
  paging: { kind: 'whole' },
  deletes: { kind: 'none', why: 'What is deleted stays deleted.' },
  columns: {},
  appLimits: usual,
};

const comments: Stream = {
  title: 'Comments of buyers',
  call: { api: 'open.comment.list.get', params: {} },
  rows: 'rootComment',
  key: 'commentId',
  time: { path: 'updateTime', format: 'ms' },
  paging: {
    kind: 'offset',
    param: 'offset',
    first: 0,
    size: { param: 'limit', rows: 20 },
    total: 'total',
    order: 'unknown',
  },
  deletes: { kind: 'sweep' },
  columns: {
    item_id: { path: 'itemId', type: 'text' },
    order_id: { path: 'orderId', type: 'text' },
    created: { path: 'createTime', type: 'timestamptz', format: 'ms' },
  },
  appLimits: usual,
};

const coupons: Stream = {
  title: 'Coupons of the shop',
  call: { api: 'open.promotion.coupon.page.list', params: {} },
  rows: 'couponList',
  key: 'couponId',
  paging: {
    kind: 'page',
    param: 'pageNo',
    first: 1,
    size: { param: 'pageSize', rows: 20 },
    total: 'total',
    order: 'unknown',
  },
  deletes: { kind: 'sweep' },
  columns: { name: { path: 'couponName', type: 'text' }, status: { path: 'status', type: 'bigint' } },
  appLimits: usual,
};

const shop: Stream = {
  title: 'The shop',
  call: { api: 'open.shop.info.get', params: {} },
  rows: '',
  // The answer names no id of the shop.
  key: 'shopName',
  paging: { kind: 'whole' },
  deletes: { kind: 'sweep' },
  columns: { shop_type: { path: 'shopType', type: 'bigint' } },
  appLimits: usual,
};

/** Streams of Kuaishou e-commerce, one a table. */
export const streams: Record<string, Stream> = {
  orders,
  order_details: detail('Orders with all their parts', 'open.order.detail', 'orders', 'oid', closed),
  refunds,
  refund_details: detail(
    'Refunds with all their parts',
    'open.seller.order.refund.detail',
    'refunds',
    'refundId',
    kept,
  ),
  items,
  item_details: detail('Items with their SKUs', 'open.item.get', 'items', 'kwaiItemId', listed),
  deleted_items: deletedItems,
  comments,
  coupons,
  shop,
};
