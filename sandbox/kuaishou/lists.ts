import type { Api, ListSpec, StreamSpec } from '../platform/fixture.ts';
import { Refusal } from '../platform/refusal.ts';
import { pick, whole } from '../platform/values.ts';

const day = 86_400_000;
const number = (id: string | undefined) => Number(id);
const share = (part: number) => (rows: number) => Math.ceil(rows / part);
const idsFrom = (base: number) => (serial: number) => String(base + serial);

/** Order states: paid, sent, received, done; 80 is closed. */
const orderStates = [30, 40, 50, 70];
/** What `orderViewStatus` asks for; 1 is every order. */
const viewStates: Record<number, number> = { 2: 10, 3: 30, 4: 40, 5: 50, 6: 70, 7: 80 };

/** Records of a shop, in the platform's names. */
export const lists: Record<string, ListSpec> = {
  orders: {
    id: idsFrom(2_112_300_000_000),
    statuses: orderStates,
    removed: { status: 80 },
    render: (row) => ({
      orderBaseInfo: {
        oid: number(row.id),
        status: row.status,
        createTime: row.created,
        updateTime: row.updated,
        payTime: row.created + 60_000,
        totalFee: 100 + pick(row.serial, 1, 100_000),
        expressFee: 0,
        buyerOpenId: `open-${pick(row.serial, 2, 1_000_000)}`,
      },
      orderItemInfo: {
        itemId: 700_000_000 + pick(row.serial, 3, 1000),
        num: 1 + pick(row.serial, 4, 3),
        title: '短袖',
      },
      orderNote: { orderNoteInfo: [] },
    }),
  },
  refunds: {
    rows: share(5),
    id: idsFrom(9_400_000_000),
    statuses: [10, 12, 22, 60],
    removed: 'never',
    render: (row) => ({
      refundId: number(row.id),
      oid: 2_112_300_000_001 + pick(row.serial, 1, 1000),
      status: row.status,
      refundFee: 1 + pick(row.serial, 2, 50_000),
      createTime: row.created,
      updateTime: row.updated,
      negotiateStatus: 1,
    }),
  },
  items: {
    rows: share(10),
    id: idsFrom(700_000_000),
    statuses: [1],
    removed: 'leaves',
    render: (row) => ({
      kwaiItemId: number(row.id),
      title: `商品 ${row.serial}`,
      price: 100 + pick(row.serial, 1, 90_000),
      itemStatus: row.status,
      createTime: row.created,
      updateTime: row.updated,
    }),
  },
  comments: {
    rows: share(10),
    id: idsFrom(31_000_000),
    removed: 'leaves',
    render: (row) => ({
      commentId: number(row.id),
      itemId: 700_000_001 + pick(row.serial, 1, 1000),
      orderId: 2_112_300_000_001 + pick(row.serial, 2, 1000),
      content: '不错',
      qualityScore: 1 + pick(row.serial, 3, 5),
      createTime: row.created,
      updateTime: row.updated,
    }),
  },
  coupons: {
    rows: share(20),
    id: idsFrom(5_000_000),
    statuses: [2],
    removed: 'leaves',
    render: (row) => ({ couponId: number(row.id), couponName: `满减 ${row.serial}`, status: row.status, price: 500 }),
  },
  shop: {
    single: true,
    rows: () => 1,
    id: () => '一号店',
    removed: 'never',
    render: (row) => ({ shopName: row.id, shopType: 3 }),
  },
};

/** The connector's streams and the APIs that serve them. */
export const streams: Record<string, StreamSpec> = {
  orders: { api: 'open.order.cursor.list' },
  order_details: { api: 'open.order.detail' },
  refunds: { api: 'open.seller.order.refund.pcursor.list' },
  refund_details: { api: 'open.seller.order.refund.detail' },
  items: { api: 'open.item.list.get' },
  item_details: { api: 'open.item.get' },
  deleted_items: { api: 'open.item.deleted.get' },
  comments: { api: 'open.comment.list.get' },
  coupons: { api: 'open.promotion.coupon.page.list' },
  shop: { api: 'open.shop.info.get' },
};

const perApp = (requests: number) => [{ requests, perMs: 1000 }];
const usual = { method: 'GET', limits: { platform: perApp(100) } } as const;
const window = (params: Record<string, unknown>) => (whole(params.queryType) === 2 ? 'updated' : 'created');
const order = (params: Record<string, unknown>) => (whole(params.sort) === 2 ? 'ascending' : 'descending');
const one = (list: string, param: string, more: object): Api => ({
  ...usual,
  list,
  paging: [{ kind: 'one', param }],
  render: (row, all) => ({ ...all[list]!.render(row), ...more }),
  answer: ({ rows: [row] }) => row,
});

/** APIs by name: caps, paging and answers. */
export const apis: Record<string, Api> = {
  'open.order.cursor.list': {
    ...usual,
    list: 'orders',
    windows: [{ from: 'beginTime', to: 'endTime', clock: window, format: 'ms', capMs: 7 * day, keepMs: 90 * day }],
    windowNeeded: true,
    check: ({ orderViewStatus }) => {
      const view = whole(orderViewStatus);
      if (Number.isNaN(view)) throw new Refusal('missing', 'orderViewStatus');
      if (view < 1 || view > 7) throw new Refusal('invalid', 'orderViewStatus');
    },
    select: ({ orderViewStatus }) => {
      const status = viewStates[whole(orderViewStatus)];
      return status === undefined ? undefined : (row) => row.status === status;
    },
    order,
    paging: [{ kind: 'cursor', param: 'cursor', end: 'nomore', size: { param: 'pageSize', default: 20, max: 50 } }],
    answer: ({ rows, next, size }, { beginTime, endTime }) => ({
      orderList: rows,
      cursor: next,
      pageSize: size,
      beginTime,
      endTime,
    }),
    limits: { platform: perApp(300), connection: perApp(300) },
  },
  'open.seller.order.refund.pcursor.list': {
    ...usual,
    list: 'refunds',
    windows: [{ from: 'beginTime', to: 'endTime', clock: window, format: 'ms', capMs: day, keepMs: 90 * day }],
    windowNeeded: true,
    check: ({ type }) => {
      if (whole(type) !== 8 && whole(type) !== 9) throw new Refusal('invalid', 'type');
    },
    select: ({ type }) => (whole(type) === 8 ? (row) => row.status === 10 : undefined),
    order,
    paging: [
      {
        kind: 'cursor',
        param: 'pcursor',
        pageParam: 'currentPage',
        end: 'nomore',
        size: { param: 'pageSize', default: 20, max: 100 },
      },
    ],
    // Counts are right on the first page alone.
    answer: ({ rows, next, page, size, total, pages }) => ({
      refundOrderInfoList: rows,
      pcursor: next,
      currentPage: page,
      pageSize: page === 1 ? size : 0,
      totalPage: page === 1 ? pages : 0,
      totalSize: page === 1 ? total : 0,
    }),
  },
  'open.item.list.get': {
    ...usual,
    list: 'items',
    paging: [
      { kind: 'page', param: 'pageNumber', first: 1, size: { param: 'pageSize', default: 20, min: 10, max: 100 } },
    ],
    clock: 'updated',
    order: 'descending',
    answer: ({ rows, page, pages, total }) => ({
      items: rows,
      currentPageNumber: page,
      currentItemCnt: rows.length,
      totalPage: pages,
      totalItemCnt: total,
    }),
  },
  'open.item.deleted.get': {
    ...usual,
    list: 'items',
    of: 'gone',
    paging: [{ kind: 'whole' }],
    answer: ({ rows }) => ({ items: rows }),
  },
  'open.comment.list.get': {
    ...usual,
    list: 'comments',
    clock: 'updated',
    order: 'descending',
    paging: [{ kind: 'offset', param: 'offset', first: 0, size: { param: 'limit', default: 20, max: 20 } }],
    answer: ({ rows, total }) => ({ rootComment: rows, total, hits: rows.length }),
  },
  'open.promotion.coupon.page.list': {
    ...usual,
    list: 'coupons',
    paging: [{ kind: 'page', param: 'pageNo', first: 1, size: { param: 'pageSize', default: 20, max: 50 } }],
    answer: ({ rows, total, page, size }) => ({ couponList: rows, total, pageNo: page, pageSize: size }),
  },
  'open.shop.info.get': { ...usual, list: 'shop', paging: [{ kind: 'whole' }], answer: ({ rows: [row] }) => row },
  'open.order.detail': one('orders', 'oid', {
    orderAddress: { encryptedConsignee: '##enc##' },
    orderLogisticsInfo: [],
  }),
  'open.seller.order.refund.detail': one('refunds', 'refundId', { refundReasonDesc: '不想要了', expressNo: null }),
  'open.item.get': one('items', 'kwaiItemId', { skuList: [{ kwaiSkuId: 1, skuStock: 5 }], details: '详情' }),
};
