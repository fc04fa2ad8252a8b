import type { Connector, Stream } from './shape.ts';

const minute = 60_000;
const day = 86_400_000;

const page = { kind: 'page', param: 'page_no', first: 1 } as const;
const hundred = { param: 'page_size', rows: 100 } as const;

/** One of the two lists that together hold every item; an item moves between them. */
const itemList = (title: string, name: string): Stream => ({
  title,
  call: { api: `youzan.items.${name}.get`, version: '3.0.0', params: { order_by: 'update_time:asc' } },
  rows: 'items',
  key: 'item_id',
  time: { path: 'update_time', format: 'local' },
  paging: { ...page, size: hundred, total: 'count', order: 'ascending' },
  // Deletions are not listed; they are pushed as messages.
  deletes: { kind: 'sweep' },
  columns: {
    title: { path: 'title', type: 'text' },
    price: { path: 'price', type: 'bigint' },
    quantity: { path: 'quantity', type: 'bigint' },
  },
});

const base = 'full_order_info.order_info';

/** Youzan (有赞云), with the token of a self-use app. Phones and ids come encrypted and stay so. */
export const youzan: Connector = {
  platform: 'youzan',
  title: 'Youzan',
  baseUrl: 'https://open.youzanyun.com',
  settings: {
    clientId: { secret: false, about: 'client_id of the app, from its page in the console.' },
    kdtId: { secret: false, about: 'kdt_id of the shop; of a chain the branch, since its head office has no orders.' },
    clientSecret: { secret: true, about: 'client_secret of the app, for tokens only.' },
  },
  auth: {
    kind: 'token',
    // A silent token is fetched again when it ends: no refresh token that could be lost.
    obtain: {
      method: 'POST',
      path: '/auth/token',
      in: 'json',
      params: {
        authorize_type: 'silent',
        client_id: { option: 'clientId' },
        client_secret: { secret: 'clientSecret' },
        grant_id: { option: 'kdtId' },
        refresh: false,
      },
      answer: {
        access: 'data.access_token',
        expires: { path: 'data.expires', unit: 'until-ms' },
        lifeSeconds: 7 * 86_400,
      },
    },
    place: { in: 'query', name: 'access_token' },
  },
  gateway: {
    path: '/api/{api}/{version}',
    method: 'POST',
    system: { in: 'query', params: {} },
    business: { in: 'json' },
  },
  envelope: {
    shapes: [
      {
        when: 'gw_err_resp',
        ok: 'failure',
        code: ['gw_err_resp.err_code'],
        text: ['gw_err_resp.err_msg'],
        data: '',
      },
      {
        when: 'error_response',
        ok: 'failure',
        code: ['error_response.sub_code', 'error_response.code'],
        text: ['error_response.msg'],
        data: '',
      },
      { when: 'response', ok: { absent: 'error_response' }, data: 'response' },
      { ok: { path: 'success', is: [true] }, code: ['code'], text: ['message', 'msg'], data: 'data' },
    ],
    rules: [
      { text: '频繁|限流|rate.?limit|too many', verdict: 'retry-after', waitMs: 1000 },
      {
        text: '欠费|流量包|调用量',
        verdict: 'quota',
        until: 'midnight',
        hint: 'The API pack of the app is used up or unpaid: look at its page in the console.',
      },
      {
        code: [4202],
        text: 'client',
        verdict: 'app',
        hint: 'The app was refused: check clientId, clientSecret and kdtId.',
      },
      { text: 'token', verdict: 'token' },
      { code: [4201, 4203], verdict: 'token' },
      {
        text: '权限|permission|unauthori[sz]ed',
        verdict: 'permission',
        hint: 'The app may not call this API: ask for its package.',
      },
      { text: '3200|page_no', verdict: 'too-deep' },
      { text: '个月|跨度', verdict: 'too-big' },
      { text: '参数|param|page_size|时间', verdict: 'bad-request' },
      { text: '系统|繁忙|timeout|超时', verdict: 'busy', waitMs: 3000 },
    ],
  },
  limits: { connection: [{ requests: 10, perMs: 1000 }] },
  streams: {
    trades: {
      title: 'Orders, by time of change',
      call: { api: 'youzan.trades.sold.get', version: '4.0.4', params: {} },
      rows: 'full_order_info_list',
      key: `${base}.tid`,
      time: { path: `${base}.update_time`, format: 'local' },
      paging: {
        ...page,
        size: hundred,
        total: 'total_results',
        order: 'unknown',
        deepest: { page: 100, rows: 3200 },
      },
      window: {
        from: 'start_update',
        to: 'end_update',
        format: 'local',
        capMs: 89 * day,
        overlapMs: 10 * minute,
        // The list lags; the platform asks to wait at least 30 s.
        lagMs: minute,
        denseRows: 3000,
      },
      deletes: { kind: 'status', path: `${base}.status`, is: ['TRADE_CLOSED'] },
      columns: {
        status: { path: `${base}.status`, type: 'text' },
        created: { path: `${base}.created`, type: 'timestamptz', format: 'local' },
        payment: { path: 'full_order_info.pay_info.payment', type: 'numeric' },
      },
    },
    refunds: {
      title: 'Refunds, by time of change',
      call: { api: 'youzan.trade.refund.search', version: '3.0.1', params: {} },
      rows: 'refunds',
      key: 'refund_id',
      time: { path: 'modified', format: 'local' },
      paging: { ...page, size: hundred, total: 'total', order: 'unknown', deepest: { page: 100, rows: 3200 } },
      window: {
        from: 'update_time_start',
        to: 'update_time_end',
        format: 'ms',
        capMs: 89 * day,
        overlapMs: 10 * minute,
        lagMs: minute,
        denseRows: 3000,
      },
      deletes: { kind: 'none', why: 'Refunds are never deleted; their status tells.' },
      columns: {
        trade_id: { path: 'tid', type: 'text' },
        status: { path: 'status', type: 'text' },
        refund_fee: { path: 'refund_fee', type: 'numeric' },
      },
    },
    items_onsale: itemList('Items on sale', 'onsale'),
    items_inventory: itemList('Items in the warehouse', 'inventory'),
    customers: {
      title: 'Customers',
      call: { api: 'youzan.scrm.customer.list', version: '1.0.0', params: {} },
      rows: 'record_list',
      key: 'yz_open_id',
      paging: { ...page, size: { param: 'page_size', rows: 50 }, total: 'total', order: 'unknown' },
      deletes: { kind: 'sweep' },
      columns: { name: { path: 'show_name', type: 'text' }, is_member: { path: 'is_member', type: 'bigint' } },
    },
    staff: {
      title: 'Staff of the shop',
      call: { api: 'youzan.shop.single.staff.list.page', version: '1.0.0', params: {} },
      rows: 'items',
      key: 'admin_id',
      paging: { ...page, size: { param: 'page_size', rows: 50 }, total: 'paginator.total_count', order: 'unknown' },
      deletes: { kind: 'sweep' },
      columns: { name: { path: 'name', type: 'text' } },
    },
    guide_departments: {
      title: 'Departments of shopping guides',
      call: { api: 'youzan.guide.department.list.allchildren', version: '1.0.0', params: {} },
      rows: '',
      key: 'department_id',
      paging: { kind: 'whole' },
      deletes: { kind: 'sweep' },
      columns: { name: { path: 'name', type: 'text' }, parent_id: { path: 'parent_id', type: 'text' } },
    },
    branches: {
      title: 'Shops of the chain',
      call: { api: 'youzan.shop.chain.descendent.organization.list', version: '1.0.1', params: {} },
      rows: '',
      key: 'kdt_id',
      paging: { kind: 'whole' },
      deletes: { kind: 'sweep' },
      columns: { name: { path: 'name', type: 'text' } },
    },
  },
  unconfirmed: [
    { at: 'auth.obtain.answer.lifeSeconds', what: '7 days by hearsay; a mirror says 2 hours. The answer names it.' },
    { at: 'auth.obtain.answer.expires.unit', what: 'Whether expires is a moment or a span, both in milliseconds.' },
    { at: 'auth.obtain.answer.access', what: 'Whether the answer of /auth/token stands inside data.' },
    { at: 'limits.connection', what: 'Requests a second; the number is ours.' },
    { at: 'envelope.rules', what: 'Codes (4201, 4202, 4203) and words for token, rate, depth, window and permission.' },
    { at: 'streams.trades.window.end', what: 'Whether an order changed exactly at end_update is in the answer.' },
    { at: 'streams.trades.paging.order', what: 'Direction of the list; it follows the time of change.' },
    { at: 'streams.refunds.window', what: 'Names and format of the bounds by time of change.' },
    { at: 'streams.refunds.rows', what: 'Names in the answer.' },
    { at: 'streams.items_onsale.time', what: 'Format of update_time.' },
    { at: 'streams.customers.call.version', what: 'Version; and names in the answer.' },
    { at: 'streams.staff.call.version', what: 'Version; and names in the answer.' },
    { at: 'streams.guide_departments.call.version', what: 'Version, parameters, and names in the answer.' },
    { at: 'streams.branches.rows', what: 'Names in the answer, and whether there are pages.' },
  ],
};
