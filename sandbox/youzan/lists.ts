import type { Api, ApiPaging, ListSpec, StreamSpec } from '../platform/fixture.ts';
import { Refusal } from '../platform/refusal.ts';
import { local, pick, whole } from '../platform/values.ts';

const day = 86_400_000;
const month3 = 92 * day;
const share = (part: number) => (rows: number) => Math.ceil(rows / part);
const yuan = (serial: number, salt: number) => (1 + pick(serial, salt, 99_999) / 100).toFixed(2);

/** Records of a shop, in the platform's names. */
export const lists: Record<string, ListSpec> = {
  trades: {
    id: (serial) => `E2026${String(serial).padStart(16, '0')}`,
    statuses: ['WAIT_SELLER_SEND_GOODS', 'WAIT_BUYER_CONFIRM_GOODS', 'TRADE_SUCCESS', 'WAIT_BUYER_PAY'],
    removed: { status: 'TRADE_CLOSED' },
    render: (row) => ({
      full_order_info: {
        order_info: {
          tid: row.id,
          status: row.status,
          created: local(row.created),
          update_time: local(row.updated),
          team_type: 0,
        },
        pay_info: { payment: yuan(row.serial, 1), total_fee: yuan(row.serial, 2) },
        buyer_info: { yz_open_id: `yz${pick(row.serial, 3, 100_000)}` },
      },
    }),
  },
  refunds: {
    rows: share(5),
    id: (serial) => `R2026${String(serial).padStart(12, '0')}`,
    statuses: ['WAIT_SELLER_AGREE', 'SUCCESS', 'CLOSED'],
    removed: 'never',
    render: (row) => ({
      refund_id: row.id,
      tid: `E2026${String(1 + pick(row.serial, 1, 1000)).padStart(16, '0')}`,
      status: row.status,
      refund_fee: yuan(row.serial, 2),
      created: local(row.created),
      modified: local(row.updated),
    }),
  },
  items: {
    rows: share(10),
    id: (serial) => String(3_100_000_000 + serial),
    statuses: ['onsale', 'onsale', 'inventory'],
    removed: 'leaves',
    render: (row) => ({
      item_id: Number(row.id),
      title: `商品 ${row.serial}`,
      price: 100 + pick(row.serial, 1, 90_000),
      quantity: pick(row.serial, 2, 500),
      update_time: local(row.updated),
    }),
  },
  customers: {
    rows: share(4),
    id: (serial) => `yz-open-${serial}`,
    statuses: [0, 1],
    removed: 'leaves',
    render: (row) => ({ yz_open_id: row.id, show_name: `客户${row.serial}`, is_member: row.status }),
  },
  staff: {
    rows: () => 60,
    id: (serial) => String(8_000_000 + serial),
    removed: 'leaves',
    render: (row) => ({ admin_id: Number(row.id), name: `店员${row.serial}` }),
  },
  departments: {
    rows: () => 20,
    id: (serial) => String(900 + serial),
    removed: 'leaves',
    render: ({ id, serial }) => ({
      department_id: Number(id),
      parent_id: serial === 1 ? 0 : 901 + Math.floor((serial - 2) / 4),
      name: `导购组 ${serial}`,
    }),
  },
  branches: {
    rows: () => 8,
    id: (serial) => String(44_000_000 + serial),
    removed: 'leaves',
    render: (row) => ({ kdt_id: Number(row.id), name: `门店 ${row.serial}` }),
  },
};

/** The connector's streams and the APIs that serve them. */
export const streams: Record<string, StreamSpec> = {
  trades: { api: 'youzan.trades.sold.get/4.0.4' },
  refunds: { api: 'youzan.trade.refund.search/3.0.1' },
  items_onsale: { api: 'youzan.items.onsale.get/3.0.0', has: (row) => row.status === 'onsale' },
  items_inventory: { api: 'youzan.items.inventory.get/3.0.0', has: (row) => row.status === 'inventory' },
  customers: { api: 'youzan.scrm.customer.list/1.0.0' },
  staff: { api: 'youzan.shop.single.staff.list.page/1.0.0' },
  guide_departments: { api: 'youzan.guide.department.list.allchildren/1.0.0' },
  branches: { api: 'youzan.shop.chain.descendent.organization.list/1.0.1' },
};

const pages = (most: number): ApiPaging[] => [
  { kind: 'page', param: 'page_no', first: 1, size: { param: 'page_size', default: 20, max: most } },
];
/** Pages up to number 100, and page × size up to 3,200 rows. */
const shallow: ApiPaging[] = [
  {
    kind: 'page',
    param: 'page_no',
    first: 1,
    size: { param: 'page_size', default: 20, max: 100 },
    deepest: { page: 100, rows: 3200 },
  },
];
const span = (from: string, to: string, clock: 'created' | 'updated', format: 'local' | 'ms') =>
  // A bound without the other is ignored in silence.
  ({ from, to, clock, format, capMs: month3, end: 'closed', single: 'ignored' }) as const;

const itemList = (status: string): Api => ({
  list: 'items',
  clock: 'updated',
  order: ({ order_by }) => (String(order_by).endsWith(':asc') ? 'ascending' : 'descending'),
  select: () => (row) => row.status === status,
  paging: pages(300),
  answer: ({ rows, total }) => ({ items: rows, count: total }),
});

/** APIs by name and version: caps, paging and answers. */
export const apis: Record<string, Api> = {
  'youzan.trades.sold.get/4.0.4': {
    list: 'trades',
    // The strongest time given counts: change before creation.
    windows: [
      span('start_update', 'end_update', 'updated', 'local'),
      span('start_created', 'end_created', 'created', 'local'),
    ],
    clock: 'created',
    order: 'descending',
    paging: shallow,
    select: ({ status }) => (status ? (row) => row.status === status : undefined),
    check: ({ page_no }) => {
      if (page_no !== undefined && Number.isNaN(whole(page_no))) throw new Refusal('invalid', 'page_no');
    },
    answer: ({ rows, total }) => ({ full_order_info_list: rows, total_results: total }),
  },
  'youzan.trade.refund.search/3.0.1': {
    list: 'refunds',
    windows: [
      span('update_time_start', 'update_time_end', 'updated', 'ms'),
      span('create_time_start', 'create_time_end', 'created', 'ms'),
    ],
    clock: 'created',
    order: 'descending',
    paging: shallow,
    answer: ({ rows, total }) => ({ refunds: rows, total }),
  },
  'youzan.items.onsale.get/3.0.0': itemList('onsale'),
  'youzan.items.inventory.get/3.0.0': itemList('inventory'),
  'youzan.scrm.customer.list/1.0.0': {
    list: 'customers',
    paging: pages(50),
    answer: ({ rows, total }) => ({ record_list: rows, total }),
  },
  'youzan.shop.single.staff.list.page/1.0.0': {
    list: 'staff',
    paging: pages(50),
    answer: ({ rows, total, page, size }) => ({
      items: rows,
      paginator: { page, page_size: size, total_count: total },
    }),
  },
  'youzan.guide.department.list.allchildren/1.0.0': {
    list: 'departments',
    paging: [{ kind: 'whole' }],
    answer: ({ rows }) => rows,
  },
  'youzan.shop.chain.descendent.organization.list/1.0.1': {
    list: 'branches',
    paging: [{ kind: 'whole' }],
    answer: ({ rows }) => rows,
  },
};
