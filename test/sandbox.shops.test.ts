import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { afterEach, describe, expect, inject, it } from 'vitest';
import { jushuitan } from '../sandbox/jushuitan.ts';
import { kuaishou } from '../sandbox/kuaishou.ts';
import {
  type Fixture,
  type PlatformSandbox,
  type PlatformSandboxOptions,
  startPlatformSandbox,
} from '../sandbox/platform.ts';
import { taobao } from '../sandbox/taobao.ts';
import { youzan } from '../sandbox/youzan.ts';
import { type Body, type Caller, callers, type Params } from './harness/shop-calls.ts';

const hour = 3_600_000;
const day = 24 * hour;
const local = (ms: number) => new Date(ms + 8 * hour).toISOString().slice(0, 19).replace('T', ' ');
const running: PlatformSandbox[] = [];

afterEach(async () => {
  for (const sandbox of running.splice(0)) {
    await sandbox.stop();
    expect(sandbox.requests.failed).toBe(0);
  }
});

/** A shop whose records all changed in the last 20 hours, so that one window holds them. */
async function open(
  fixture: Fixture,
  options: PlatformSandboxOptions = {},
): Promise<{ sandbox: PlatformSandbox } & Caller> {
  const sandbox = await startPlatformSandbox(fixture, { rows: 120, spanMs: 20 * hour, limits: 'none', ...options });
  running.push(sandbox);
  return { sandbox, ...(await callers[fixture.platform]!(sandbox)) };
}

const lastDay = () => {
  const now = Date.now();
  return { beginTime: now - 23 * hour, endTime: now, start_modified: local(now - 23 * hour), end_modified: local(now) };
};
const keys = (sandbox: PlatformSandbox, stream: string) => [...sandbox.truth(stream).keys()].sort();

describe('Kuaishou', () => {
  const orders = 'open.order.cursor.list';
  const refunds = 'open.seller.order.refund.pcursor.list';
  const ask = () => {
    const { beginTime, endTime } = lastDay();
    return { orderViewStatus: 1, queryType: 2, pageSize: 50, type: 9, beginTime, endTime };
  };

  it('lists orders by cursor until the word nomore', async () => {
    const { sandbox, call } = await open(kuaishou);
    const params = ask();
    const read: string[] = [];
    for (let cursor = ''; cursor !== 'nomore'; ) {
      const { data } = await call(orders, { ...params, cursor });
      read.push(...data.orderList.map((order: Body) => String(order.orderBaseInfo.oid)));
      cursor = data.cursor;
    }
    expect(read.sort()).toEqual(keys(sandbox, 'orders'));
    expect(sandbox.requests.byApi[orders]).toMatchObject({ total: 3, rows: 120 });
  });

  it('lists refunds by cursor and page together, and counts on the first page alone', async () => {
    const { call } = await open(kuaishou);
    const params = { ...ask(), pageSize: 20 };
    const first = await call(refunds, { ...params, pcursor: '', currentPage: 1 });
    expect(first.data).toMatchObject({ totalSize: 24, totalPage: 2 });
    const { pcursor } = first.data;
    expect((await call(refunds, { ...params, pcursor, currentPage: 1 })).error_msg).toBe('currentPage无效');
    const second = await call(refunds, { ...params, pcursor, currentPage: 2 });
    expect(second.data).toMatchObject({ pcursor: 'nomore', totalSize: 0 });
    expect(second.data.refundOrderInfoList).toHaveLength(4);
  });

  it('shows deleted items in a list of their own', async () => {
    const { sandbox, call } = await open(kuaishou);
    sandbox.lists.items!.remove('700000003');
    const listed = await call('open.item.list.get', { pageNumber: 1, pageSize: 100 });
    expect(listed.data).toMatchObject({ totalItemCnt: 11 });
    expect((await call('open.item.deleted.get')).data.items).toMatchObject([{ kwaiItemId: 700000003 }]);
  });

  it('takes a refresh token once, and its deadline is that of the consent', async () => {
    let now = Date.now();
    const { sandbox, renew } = await open(kuaishou, { now: () => now });
    const used = sandbox.connection().credential.refreshToken!;
    sandbox.tokens.refresh(used);
    expect(() => sandbox.tokens.refresh(used)).toThrow('consent');
    now += 179 * day;
    expect((await renew()).refresh_token_expires_in).toBe(day / 1000);
    now += 2 * day;
    expect(await renew()).toMatchObject({ result: 100200102, error_msg: 'refreshToken.discarded' });
  });
});

describe('Taobao', () => {
  const trades = 'taobao.trades.sold.increment.get';
  const types = 'guarantee_trade,fixed,step,cod,ec,auto_delivery,nopaid';
  const ask = (more: Params = {}) => {
    const { start_modified, end_modified } = lastDay();
    return { fields: 'tid,modified', type: types, page_size: '50', start_modified, end_modified, ...more };
  };
  const list = (body: Body) => body.trades_sold_increment_get_response;
  const tids = (body: Body): string[] => (list(body).trades?.trade ?? []).map(({ tid }: Body) => tid);

  it('lists trades newest first, with the fields asked for and ids of 19 digits', async () => {
    const { sandbox, call } = await open(taobao);
    const pages = await Promise.all(['1', '2', '3', '4'].map((page_no) => call(trades, ask({ page_no }))));
    expect(pages.flatMap(tids).sort()).toEqual(keys(sandbox, 'trades'));
    const times = pages.flatMap((page) => (list(page).trades?.trade ?? []).map(({ modified }: Body) => modified));
    expect(times).toEqual(times.toSorted().reverse());
    expect(Object.keys(list(pages[0]).trades.trade[0])).toEqual(['tid', 'modified']);
    // An empty page has no list at all.
    expect(list(pages[3])).toEqual({ total_results: 120, request_id: 'sandbox' });
  });

  it('leaves out in silence what type does not name, and counts only without use_has_next', async () => {
    const { call } = await open(taobao);
    const some = list(await call(trades, ask({ type: '' })));
    // Five of the seven kinds.
    expect(some.total_results).toBe(85);
    const flagged = list(await call(trades, ask({ use_has_next: 'true' })));
    expect(flagged).toMatchObject({ has_next: true });
    expect(flagged).not.toHaveProperty('total_results');
  });

  it('loses a trade to who reads from the first page, not to who reads from the last', async () => {
    const lost = async (order: string[]) => {
      const { sandbox, call } = await open(taobao);
      const params = ask({ page_size: '40' });
      const read = new Set<string>();
      for (const page_no of order) {
        for (const tid of tids(await call(trades, { ...params, page_no }))) read.add(tid);
        // A trade of the end changes and leaves the window: what stands behind it moves up, to a page that was read.
        const last = keys(sandbox, 'trades').find((tid) => read.has(tid));
        sandbox.lists.trades!.update(last!, {}, Date.now() + hour);
      }
      return keys(sandbox, 'trades').filter((tid) => !read.has(tid)).length;
    };
    expect(await lost(['3', '2', '1'])).toBe(0);
    expect(await lost(['1', '2', '3'])).toBeGreaterThan(0);
  });

  it('has a push database that can be created, filled and pushed to again', async () => {
    const { sandbox } = await open(taobao);
    const database = `push_${randomBytes(6).toString('hex')}`;
    const { adminUrl } = inject('shared');
    await run(adminUrl, [{ text: `CREATE DATABASE ${database}`, values: [] }]);
    const url = new URL(adminUrl);
    url.pathname = database;
    try {
      await run(url.href, taobao.tables!(sandbox.account('main')));
      const changed = sandbox.truth('trades').keys().next().value!;
      sandbox.lists.trades!.update(changed, { status: 'TRADE_FINISHED' }, Date.now() + hour);
      const last = `SELECT tid, status, jdp_modified, jdp_response::json #>> '{trade_get_response,trade,tid}' AS inside
        FROM sys_info.jdp_tb_trade ORDER BY jdp_modified DESC, tid DESC LIMIT 1`;
      const rows = await run(url.href, [...taobao.tables!(sandbox.account('main')), { text: last, values: [] }]);
      const { updated } = sandbox.truth('push_trades').get(changed)!;
      expect(rows).toEqual([
        { tid: changed, status: 'TRADE_FINISHED', jdp_modified: new Date(updated), inside: changed },
      ]);
      const count = 'SELECT count(*)::int AS n FROM sys_info.jdp_tb_trade';
      expect(await run(url.href, [{ text: count, values: [] }])).toEqual([{ n: 120 }]);
    } finally {
      await run(adminUrl, [{ text: `DROP DATABASE ${database} WITH (FORCE)`, values: [] }]);
    }
  });
});

async function run(connectionString: string, statements: { text: string; values: unknown[] }[]): Promise<unknown[]> {
  const client = new pg.Client({ connectionString });
  await client.connect();
  try {
    let rows: unknown[] = [];
    for (const { text, values } of statements) ({ rows } = await client.query(text, values));
    return rows;
  } finally {
    await client.end();
  }
}

describe('Jushuitan', () => {
  const orders = 'open/orders/single/query';

  it('gives by row version what its pages would miss', async () => {
    const { sandbox, call } = await open(jushuitan);
    const read = new Set<string>();
    let start_ts = 0;
    for (let more = true; more; ) {
      const { data } = await call(orders, { start_ts, page_index: 1, page_size: 50, is_get_total: false });
      const largest = Math.max(...data.orders.map(({ ts }: Body) => ts));
      for (const { o_id } of data.orders) read.add(String(o_id));
      more = largest > start_ts;
      start_ts = largest;
      if (read.size < 100) sandbox.lists.orders!.update([...read][0]!);
    }
    expect([...read].sort()).toEqual(keys(sandbox, 'orders'));
  });

  it('counts by window, and answers ids', async () => {
    const { sandbox, call } = await open(jushuitan);
    const window = { modified_begin: local(Date.now() - day), modified_end: local(Date.now()) };
    const { data } = await call(orders, { ...window, page_index: 3, page_size: 50 });
    expect(data).toMatchObject({ data_count: 120, page_count: 3, has_next: false });
    expect(data.orders).toHaveLength(20);
    const [some] = keys(sandbox, 'orders');
    expect((await call(orders, { o_ids: [some] })).data.orders).toMatchObject([{ o_id: Number(some) }]);
  });

  it('ends the old token of every process with a refresh', async () => {
    const { sandbox, call, renew } = await open(jushuitan);
    const { data } = await renew();
    sandbox.tokens.refresh(data.refresh_token);
    expect((await call(orders, { start_ts: 0 })).msg).toBe('token已过期');
  });
});

describe('Youzan', () => {
  const trades = 'youzan.trades.sold.get/4.0.4';

  it('lists orders, and ignores a bound that stands alone', async () => {
    const { sandbox, call } = await open(youzan);
    const start_update = local(Date.now() - hour);
    const both = await call(trades, { start_update, end_update: local(Date.now()), page_size: 100 });
    const alone = await call(trades, { start_update, page_size: 100 });
    expect(both.data.total_results).toBeLessThan(20);
    expect(alone.data.total_results).toBe(120);
    const second = await call(trades, { page_no: 2, page_size: 100 });
    const read = [alone, second].flatMap(({ data }) => data.full_order_info_list);
    expect(read.map((row: Body) => row.full_order_info.order_info.tid).sort()).toEqual(keys(sandbox, 'trades'));
  });

  it('answers in three shapes', async () => {
    const { call } = await open(youzan, { faults: [{ type: 'expire', after: 2, times: 1 }] });
    expect(await call(trades)).toMatchObject({ code: 200, success: true, data: { total_results: 120 } });
    const items = await call('youzan.items.onsale.get/3.0.0', { page_size: 100 });
    expect(items.response).toMatchObject({ count: 8 });
    expect(await call(trades)).toMatchObject({ gw_err_resp: { err_code: 4203 } });
    expect(await call(trades)).toMatchObject({ gw_err_resp: { err_code: 4203 } });
  });
});
