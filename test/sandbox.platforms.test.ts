import { afterEach, describe, expect, it } from 'vitest';
import { jushuitan, jushuitanSign } from '../sandbox/jushuitan.ts';
import { jushuitan_old, jushuitanOldSign } from '../sandbox/jushuitan_old.ts';
import { kuaishou, kuaishouSign } from '../sandbox/kuaishou.ts';
import { type PlatformSandbox, type PlatformSandboxOptions, startPlatformSandbox } from '../sandbox/platform.ts';
import { taobao, taobaoSign } from '../sandbox/taobao.ts';
import { youzan } from '../sandbox/youzan.ts';
import { type Body, type Caller, callers, type Params } from './harness/shop-calls.ts';

const day = 86_400_000;
const shops = new Map(Object.entries({ kuaishou, taobao, jushuitan, jushuitan_old, youzan }));
const names = ['kuaishou', 'taobao', 'jushuitan', 'jushuitan_old', 'youzan'] as const;
type Name = (typeof names)[number];
const running: PlatformSandbox[] = [];

afterEach(async () => {
  for (const sandbox of running.splice(0)) {
    await sandbox.stop();
    expect(sandbox.requests.failed).toBe(0);
  }
});

async function open(name: Name, options: PlatformSandboxOptions = {}): Promise<{ sandbox: PlatformSandbox } & Caller> {
  const sandbox = await startPlatformSandbox(shops.get(name)!, { limits: 'none', ...options });
  running.push(sandbox);
  return { sandbox, ...(await callers[name]!(sandbox)) };
}

const local = (ms: number) => new Date(ms + 8 * 3_600_000).toISOString().slice(0, 19).replace('T', ' ');
const span = (from: number, to: number, names_: [string, string], write: (ms: number) => unknown = local) => {
  const now = Date.now();
  return { [names_[0]]: write(now - from * day), [names_[1]]: write(now - to * day) };
};
const ms = (value: number) => value;
/** Windows of each platform, counted back from today in days. */
const within: Record<Name, (from: number, to: number) => Params> = {
  kuaishou: (from, to) => ({ orderViewStatus: 1, queryType: 2, ...span(from, to, ['beginTime', 'endTime'], ms) }),
  taobao: (from, to) => ({ fields: 'tid,status', ...span(from, to, ['start_modified', 'end_modified']) }),
  jushuitan: (from, to) => span(from, to, ['modified_begin', 'modified_end']),
  jushuitan_old: (from, to) => span(from, to, ['modified_begin', 'modified_end']),
  youzan: (from, to) => span(from, to, ['start_update', 'end_update']),
};
const lists: Record<Name, string> = {
  kuaishou: 'open.order.cursor.list',
  taobao: 'taobao.trades.sold.increment.get',
  jushuitan: 'open/orders/single/query',
  jushuitan_old: 'orders.single.query',
  youzan: 'youzan.trades.sold.get/4.0.4',
};

describe('signatures', () => {
  const item = {
    app_key: '12345678',
    fields: 'num_iid,title,nick,price,num',
    format: 'json',
    method: 'taobao.item.seller.get',
    num_iid: '11223344',
    session: 'test',
    timestamp: '2016-01-01 12:00:00',
    v: '2.0',
  };
  it.each([
    ['md5', '66987CB115214E59E6EC978214934FB8'],
    ['hmac', 'D56D7858309C31B6251083A874D48273'],
    ['hmac-sha256', '04DB15AD0774D5CFCE2C837DE43E3FCEA9011ED74F3038FB6AB5F3C4CEA119E8'],
  ])('Taobao %s', (sign_method, signature) => {
    expect(taobaoSign({ ...item, sign_method }, 'helloworld')).toBe(signature);
  });

  it.each([
    ['MD5', '57f9f7e7ee919b07e1cb92ea011b27be'],
    ['HMAC_SHA256', 'e/GZdRFlsQFg1aF+U487bEigubx1n236HqQBxXvOQfY='],
  ])('Kuaishou %s', (signMethod, signature) => {
    const system = { access_token: 'tok', appkey: 'ks123', method: 'open.order.detail', version: '1' };
    const params = { ...system, param: '{"oid":1}', signMethod, timestamp: '1583271919000' };
    expect(kuaishouSign(params, 'sec')).toBe(signature);
  });

  it('Jushuitan, both gateways', () => {
    const params = { app_key: 'app', charset: 'utf-8', timestamp: '100', biz: '' };
    expect(jushuitanSign(params, 'secret')).toBe('706427ca94e342781ac36d501151cb10');
    const old = { method: 'orders.single.query', partnerid: 'PID', token: 'TOK', ts: '1700000000' };
    expect(jushuitanOldSign(old, 'KEY')).toBe('180579e9c8d8bee145af6117027089fe');
  });
});

describe.each(names)('%s', (name) => {
  const words = (body: Body) => JSON.stringify(body);

  it('refuses a wrong signature, a foreign clock and an ended token, in its own words', async () => {
    const { sandbox, call, renew } = await open(name);
    const good = within[name](0.5, 0);
    const expected: Record<Name, [signature: RegExp | null, clock: RegExp | null, token: RegExp]> = {
      kuaishou: [/签名校验失败/, null, /"result":100200102,.*TOKEN过期/],
      taobao: [/"code":25,.*Invalid signature/, /"code":31/, /"code":27,.*session-expired/],
      jushuitan: [/签名错误/, /timestamp无效/, /token已过期/],
      jushuitan_old: [/签名错误/, /timestamp无效/, /token已过期/],
      youzan: [null, null, /gw_err_resp.*4203/],
    };
    const [signature, clock, token] = expected[name];
    if (signature) expect(words(await call(lists[name], good, { signature: 'wrong' }))).toMatch(signature);
    if (clock) expect(words(await call(lists[name], good, { clockMs: 11 * 60_000 }))).toMatch(clock);
    expect(words(await call(lists[name], good, { token: 'unknown' }))).toMatch(/token|session/i);
    sandbox.tokens.expire('main');
    expect(words(await call(lists[name], good))).toMatch(token);
    expect(sandbox.requests.wrong).toBeGreaterThanOrEqual(2);
    if (name === 'jushuitan_old') return;
    await renew();
    expect(words(await call(lists[name], good))).not.toMatch(token);
  });

  it('refuses calls that do not exist, in its own words', async () => {
    const { call } = await open(name);
    const expected: Record<Name, RegExp> = {
      kuaishou: /Invalid url/,
      taobao: /"code":22/,
      jushuitan: /"code":190/,
      jushuitan_old: /"code":190/,
      youzan: /gw_err_resp/,
    };
    expect(words(await call('open.nothing.here'))).toMatch(expected[name]);
  });

  it('counts by itself and refuses what is too fast, in its own words', async () => {
    const { sandbox, call } = await open(name, { limits: { connection: [{ requests: 2, perMs: 100_000, burst: 2 }] } });
    const expected: Record<Name, RegExp> = {
      kuaishou: /Exceed qps limit/,
      taobao: /"code":7,.*This ban will last for \d+ more seconds/,
      jushuitan: /频率/,
      jushuitan_old: /频率/,
      youzan: /gw_err_resp.*限流/,
    };
    const good = within[name](0.5, 0);
    const answers = await Promise.all(Array.from({ length: 5 }, () => call(lists[name], good)));
    expect(answers.filter((body) => expected[name].test(words(body)))).toHaveLength(3);
    expect(sandbox.requests).toMatchObject({ refused: 3, wrong: 0 });
    expect(sandbox.requests.byApi[lists[name]]).toMatchObject({ total: 5, refused: 3 });
  });
});

describe('caps', () => {
  /** A call, and what its platform answers. */
  const cases: [Name, string, string, () => Params, RegExp][] = [
    ['kuaishou', 'a window of 8 days', lists.kuaishou, () => within.kuaishou(8, 0), /"result":300004/],
    [
      'kuaishou',
      'refunds of 2 days',
      'open.seller.order.refund.pcursor.list',
      () => ({ ...within.kuaishou(2, 0), type: 9 }),
      /"result":300019/,
    ],
    ['kuaishou', 'before 90 days', lists.kuaishou, () => within.kuaishou(91, 90), /"result":300005/],
    ['kuaishou', 'a window that ends first', lists.kuaishou, () => within.kuaishou(1, 2), /"result":300003/],
    ['kuaishou', 'a page of 51', lists.kuaishou, () => ({ ...within.kuaishou(1, 0), pageSize: 51 }), /pageSize无效/],
    [
      'kuaishou',
      'a cursor of its own making',
      lists.kuaishou,
      () => ({ ...within.kuaishou(1, 0), cursor: 'nomore' }),
      /cursor无效/,
    ],
    [
      'kuaishou',
      'no status',
      lists.kuaishou,
      () => ({ ...within.kuaishou(1, 0), orderViewStatus: undefined }),
      /orderViewStatus无效/,
    ],
    ['kuaishou', 'an unknown refund', 'open.seller.order.refund.detail', () => ({ refundId: 1 }), /"result":300011/],
    ['taobao', 'a window of 25 hours', lists.taobao, () => within.taobao(25 / 24, 0), /"code":15,.*isv\..*跨度/],
    [
      'taobao',
      'a page of 101',
      lists.taobao,
      () => ({ ...within.taobao(1, 0), page_size: '101' }),
      /"code":41,.*page_size/,
    ],
    ['taobao', 'no fields', lists.taobao, () => ({ ...within.taobao(1, 0), fields: '' }), /"code":40,.*fields/],
    [
      'taobao',
      'one bound',
      lists.taobao,
      () => ({ ...within.taobao(1, 0), end_modified: '' }),
      /"code":40,.*end_modified/,
    ],
    ['taobao', 'an unknown trade', 'taobao.trade.fullinfo.get', () => ({ fields: 'tid', tid: '1' }), /trade-not-exist/],
    ['jushuitan', 'a window of 8 days', lists.jushuitan, () => within.jushuitan(8, 0), /时间间隔不能超过7天/],
    ['jushuitan', 'a page of 101', lists.jushuitan, () => ({ start_ts: 0, page_size: 101 }), /page_size超出/],
    [
      'jushuitan',
      'a second page of a version',
      lists.jushuitan,
      () => ({ start_ts: 0, page_index: 2 }),
      /参数无效（page_index）/,
    ],
    ['jushuitan', 'no window', lists.jushuitan, () => ({}), /参数不能为空/],
    [
      'jushuitan_old',
      'a window of 8 days',
      lists.jushuitan_old,
      () => within.jushuitan_old(8, 0),
      /时间间隔不能超过7天/,
    ],
    [
      'jushuitan_old',
      'a page of 51',
      lists.jushuitan_old,
      () => ({ ...within.jushuitan_old(1, 0), page_size: 51 }),
      /page_size超出/,
    ],
    ['youzan', 'a window of 93 days', lists.youzan, () => within.youzan(93, 0), /"success":false,.*跨度/],
    ['youzan', 'a page of 101', lists.youzan, () => ({ ...within.youzan(1, 0), page_size: 101 }), /page_size 超出/],
    [
      'youzan',
      'row 3,300',
      lists.youzan,
      () => ({ ...within.youzan(1, 0), page_no: 33, page_size: 100 }),
      /不能超过3200/,
    ],
    [
      'youzan',
      'page 101',
      lists.youzan,
      () => ({ ...within.youzan(1, 0), page_no: 101, page_size: 1 }),
      /不能超过3200/,
    ],
    [
      'youzan',
      'too much, old shape',
      'youzan.trade.refund.search/3.0.1',
      () => ({ page_size: 101 }),
      /"error_response"/,
    ],
  ];
  it.each(cases)('%s: %s', async (name, _title, api, params, expected) => {
    const { call } = await open(name, { rows: 40 });
    expect(JSON.stringify(await call(api, params()))).toMatch(expected);
  });
});
