/** The connector of sandbox/rows.ts, loaded by SYNCLINE_CONNECTORS as one of an operator's own would be. */
export const rows = {
  platform: 'rows',
  title: 'Plain rows',
  baseUrl: 'https://rows.example.com',
  settings: {},
  auth: { kind: 'none' },
  gateway: {
    path: '/{api}',
    method: 'GET',
    system: { in: 'query', params: {} },
    business: { in: 'query' },
  },
  envelope: {
    shapes: [{ ok: { path: 'code', is: [0] }, code: ['code'], data: 'data' }],
    rules: [{ status: [429], verdict: 'retry-after', waitMs: 1_000 }],
  },
  limits: {},
  streams: {
    orders: {
      title: 'orders',
      call: { api: 'orders', params: {} },
      rows: 'items',
      key: 'id',
      time: { path: 'updated', format: 'ms' },
      paging: { kind: 'cursor', param: 'cursor', size: { rows: 100 }, next: 'next', total: 'total' },
      window: {
        from: 'from',
        to: 'to',
        format: 'ms',
        capMs: 30 * 86_400_000,
        overlapMs: 60_000,
        lagMs: 0,
        floorMs: 31 * 86_400_000,
      },
      deletes: { kind: 'none', why: 'rows are never deleted' },
      columns: {
        status: { path: 'status', type: 'bigint' },
        amount: { path: 'amount', type: 'numeric' },
        updated: { path: 'updated', type: 'timestamptz', format: 'ms' },
      },
    },
  },
  unconfirmed: [],
};
