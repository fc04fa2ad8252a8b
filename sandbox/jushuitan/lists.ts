import type { Api, ApiPaging, ListSpec } from '../platform/fixture.ts';
import { Refusal } from '../platform/refusal.ts';
import { local, pick, whole } from '../platform/values.ts';

const day = 86_400_000;
const share = (part: number) => (rows: number) => Math.ceil(rows / part);
const idsFrom = (base: number) => (serial: number) => String(base + serial);
const yuan = (serial: number, salt: number) => pick(serial, salt, 99_999) / 100;
const times = (row: { created: number; updated: number; version: number }) => ({
  created: local(row.created),
  modified: local(row.updated),
  ts: row.version,
});

/** A document with an id and a status. */
const document = (
  key: string,
  base: number,
  part: number,
  statuses: readonly string[],
  extra: (n: number) => object,
): ListSpec => ({
  rows: share(part),
  id: idsFrom(base),
  statuses,
  removed: { status: 'Cancelled' },
  render: (row) => ({ [key]: Number(row.id), status: row.status, ...extra(row.serial), ...times(row) }),
});

/** A record of the catalogue: removed means disabled, which keeps its row. */
const catalogued = (key: string, prefix: string, part: number, extra: (n: number) => object): ListSpec => ({
  rows: share(part),
  id: (serial) => `${prefix}${serial}`,
  statuses: [1],
  removed: { status: -1, kept: true },
  render: (row) => ({ [key]: row.id, enabled: row.status, ...extra(row.serial), ...times(row) }),
});

const shopOf = (n: number) => ({ shop_id: 10_001 + pick(n, 7, 3), shop_name: `店铺 ${1 + pick(n, 7, 3)}` });

/** Records of a merchant, in the platform's names; both gateways write them alike. */
export const lists: Record<string, ListSpec> = {
  orders: document('o_id', 11_000_000, 1, ['WaitConfirm', 'Delivering', 'Sent', 'Question'], (n) => ({
    ...shopOf(n),
    so_id: `SO${n}`,
    pay_amount: yuan(n, 1),
    items: [{ sku_id: `SKU-${1 + pick(n, 2, 500)}`, qty: 1 + pick(n, 3, 4) }],
  })),
  salesOut: document('io_id', 21_000_000, 2, ['WaitConfirm', 'Confirmed', 'Archive'], (n) => ({
    ...shopOf(n),
    o_id: 11_000_001 + pick(n, 1, 500),
  })),
  purchases: document('po_id', 31_000_000, 10, ['WaitConfirm', 'Confirmed', 'Finished'], (n) => ({
    supplier_id: 500 + pick(n, 1, 20),
  })),
  purchaseIn: document('io_id', 41_000_000, 10, ['WaitConfirm', 'Confirmed'], (n) => ({
    po_id: 31_000_001 + pick(n, 1, 50),
  })),
  otherInout: document('io_id', 51_000_000, 10, ['WaitConfirm', 'Confirmed'], (n) => ({
    type: ['其它入库', '其它出库', '调拨出'][pick(n, 1, 3)],
  })),
  refunds: document('as_id', 61_000_000, 10, ['WaitConfirm', 'Confirmed'], (n) => ({
    ...shopOf(n),
    o_id: 11_000_001 + pick(n, 1, 500),
    refund: yuan(n, 2),
  })),
  inventory: catalogued('sku_id', 'SKU-', 4, (n) => ({ qty: pick(n, 1, 1000), order_lock: pick(n, 2, 10) })),
  skus: catalogued('sku_id', 'SKU-', 4, (n) => ({
    i_id: `I-${1 + pick(n, 1, 100)}`,
    name: `货品 ${n}`,
    sale_price: yuan(n, 2),
  })),
  items: catalogued('i_id', 'I-', 10, (n) => ({ name: `款式 ${n}` })),
  shops: {
    rows: () => 12,
    id: idsFrom(10_000),
    removed: 'leaves',
    render: (row) => ({ shop_id: Number(row.id), shop_name: `店铺 ${row.serial}`, shop_site: '抖音' }),
  },
  carriers: {
    rows: () => 60,
    id: (serial) => `LC.${serial}`,
    removed: 'leaves',
    render: (row) => ({ lc_id: row.id, lc_name: `快递 ${row.serial}` }),
  },
};

const windows = [
  {
    from: 'modified_begin',
    to: 'modified_end',
    clock: 'updated',
    format: 'local',
    capMs: 7 * day,
    end: 'closed',
  },
] as const;

interface Shape {
  /** Most and usual rows a page. */
  max: number;
  /** Name of the list in the answer. */
  rows?: string;
  /** Parameter of the row version. */
  version?: string;
  /** False: no window is needed, as for small lists. */
  window?: boolean;
}

/** A list as both gateways serve it: by row version, by ids, or by window and page number. */
export function listApi(list: string, { max, rows: name = 'datas', version, window = true }: Shape): Api {
  const size = { param: 'page_size', default: Math.min(30, max), max };
  const byVersion: ApiPaging[] = version ? [{ kind: 'version', param: version, size }] : [];
  return {
    list,
    method: 'POST',
    ...(window ? { windows, windowNeeded: true } : {}),
    clock: window ? 'updated' : 'serial',
    paging: [
      ...byVersion,
      { kind: 'ids', param: 'o_ids', max: 50 },
      { kind: 'page', param: 'page_index', first: 1, size },
    ],
    check: (params) => {
      // A row version is a place in the list by itself: it goes with the first page alone.
      if (version && params[version] !== undefined && whole(params.page_index ?? 1) !== 1)
        throw new Refusal('invalid', 'page_index');
    },
    answer: ({ rows, page, size: asked, total, pages, more }, { is_get_total }) => ({
      [name]: rows,
      page_index: page,
      page_size: asked,
      data_count: is_get_total === false ? 0 : total,
      page_count: is_get_total === false ? 0 : pages,
      has_next: more,
    }),
  };
}
