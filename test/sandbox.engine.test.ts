import { afterEach, describe, expect, it } from 'vitest';
import { type PlatformSandbox, startPlatformSandbox } from '../sandbox/platform.ts';
import { startPlatformProcess } from '../sandbox/process.ts';
import { type Answer, ask, ids, openPlain as open, plain, stopPlain, through } from './harness/plain-platform.ts';

const day = 86_400_000;
afterEach(stopPlain);

describe('paging', () => {
  const families: [string, (sandbox: PlatformSandbox) => (seen: Answer | null, n: number) => Promise<Answer>][] = [
    ['page', (s) => (_seen, n) => ask(s, 'page', { page: n + 1 })],
    ['offset', (s) => (_seen, n) => ask(s, 'offset', { offset: n * 10 })],
    ['cursor', (s) => (seen) => ask(s, 'cursor', { cursor: seen?.next ?? '' })],
    ['newest first', (s) => (seen) => ask(s, 'newest', { cursor: seen?.next ?? '' })],
    ['link', (s) => async (seen) => (seen ? ((await (await fetch(seen.next!)).json()) as Answer) : ask(s, 'link'))],
    ['whole', (s) => () => ask(s, 'whole')],
  ];
  it.each(families)('by %s reads every record once', async (_name, next) => {
    const sandbox = await open();
    const read = await through(sandbox, next(sandbox));
    expect(read).toHaveLength(45);
    expect(new Set(read)).toEqual(new Set(sandbox.truth('things').keys()));
  });

  it('by version meets a record that changed while it was read again', async () => {
    const sandbox = await open();
    const first = await ask(sandbox, 'version', { since: 0, size: 20 });
    sandbox.lists.things!.update(ids(first)[0]!);
    const versions = (answer: Answer) => answer.rows.map((row) => (row as unknown as { version: number }).version);
    const second = await ask(sandbox, 'version', { since: Math.max(...versions(first)), size: 20 });
    const third = await ask(sandbox, 'version', { since: Math.max(...versions(second)), size: 20 });
    expect(ids(second)[0]).toBe(ids(first)[19]);
    expect(ids(third).at(-1)).toBe(ids(first)[0]);
    expect(new Set([first, second, third].flatMap(ids)).size).toBe(45);
  });

  it('by file, which is ready when it was asked for twice', async () => {
    const sandbox = await open();
    const { next: job } = await ask(sandbox, 'order');
    expect((await ask(sandbox, 'job', { job })).next).toBeNull();
    const { next } = await ask(sandbox, 'job', { job });
    const lines = (await (await fetch(next!)).text()).trim().split('\n');
    expect(lines.map((line) => JSON.parse(line).id)).toHaveLength(45);
  });

  it('by node of a tree, by id, by ids', async () => {
    const sandbox = await open();
    expect(ids(await ask(sandbox, 'tree', { parent: '' }))).toEqual(['t1']);
    expect(ids(await ask(sandbox, 'tree', { parent: 't3' }))).toEqual(['t6', 't7']);
    sandbox.lists.things!.remove('t6');
    expect(ids(await ask(sandbox, 'tree', { parent: 't3' }))).toEqual(['t7']);
    expect(ids(await ask(sandbox, 'one', { id: 't9' }))).toEqual(['t9']);
    expect((await ask(sandbox, 'one', { id: 't6' })).refused).toBe('gone');
    expect(ids(await ask(sandbox, 'ids', { ids: 't1,t6,t8' }))).toEqual(['t1', 't8']);
    expect((await ask(sandbox, 'ids', { ids: 't1,t2,t3,t4' })).refused).toBe('size');
    expect(ids(await ask(sandbox, 'gone'))).toEqual(['t6']);
  });

  it('refuses what is too deep, too large and too old', async () => {
    let now = Date.now();
    const sandbox = await open({ now: () => now });
    expect((await ask(sandbox, 'page', { page: 7, size: 10 })).refused).toBe('deep');
    expect((await ask(sandbox, 'page', { page: 10, size: 1 })).refused).toBe('deep');
    expect((await ask(sandbox, 'page', { page: 1, size: 21 })).refused).toBe('size');
    expect((await ask(sandbox, 'page', { page: 0 })).refused).toBe('invalid');
    expect((await ask(sandbox, 'page', { from: now - 41 * day, to: now })).refused).toBe('window');
    const { next } = await ask(sandbox, 'cursor');
    now += 10_001;
    expect((await ask(sandbox, 'cursor', { cursor: next })).refused).toBe('cursor');
  });
});

describe('records', () => {
  it('lie evenly in the span, or 99 % of them in 1 % of it', async () => {
    const now = Date.now();
    const shares = async (spread: 'even' | 'clustered') => {
      const sandbox = await open({ rows: 10_000, spread, spanMs: 30 * day, now: () => now });
      const places = [...sandbox.truth('things').values()].map((one) => (one.updated - now + 30 * day) / (30 * day));
      return places.filter((place) => place >= 0.599 && place <= 0.611).length / places.length;
    };
    expect(await shares('even')).toBeCloseTo(0.012, 2);
    expect(await shares('clustered')).toBeGreaterThan(0.985);
  });

  it('are made, changed and removed while it runs, and windows see it', async () => {
    let now = Date.now();
    const sandbox = await open({ rows: 3, now: () => now });
    const { things } = sandbox.lists;
    now += 60_000;
    const made = things!.create();
    things!.update('t2');
    things!.remove('t1');
    const fresh = await ask(sandbox, 'whole', { from: now, to: now + 1 });
    expect(ids(fresh)).toEqual(['t2', made.id]);
    expect([...sandbox.truth('things').keys()]).toEqual(['t2', 't3', 't4']);
    expect([...sandbox.truth('gone').keys()]).toEqual(['t1']);
    expect(() => things!.update('t1')).toThrow('there is no record "t1"');
    expect(sandbox.account('main').change('things', { share: 1 })).toBe(3);
  });

  it('belong to an account, whose limit may be its own', async () => {
    const limits = {
      connection: [{ requests: 1, perMs: 60_000 }],
      accounts: { big: [{ requests: 3, perMs: 60_000, burst: 3 }] },
    };
    const sandbox = await open({ accounts: { big: 7 }, limits });
    const by = (account: string) => fetch(`${sandbox.url}/whole`, { headers: { 'x-account': account } });
    const statuses = async (account: string) =>
      (await Promise.all([1, 2, 3, 4].map(() => by(account)))).map(({ status }) => status).sort();
    expect(await statuses('main')).toEqual([200, 429, 429, 429]);
    expect(await statuses('big')).toEqual([200, 200, 200, 429]);
    expect(sandbox.account('big').truth('things').size).toBe(7);
    expect(sandbox.requests.byAccount).toEqual({ main: { total: 4, refused: 3 }, big: { total: 4, refused: 1 } });
  });
});

describe('setting up', () => {
  it('names options, accounts and streams that do not exist', async () => {
    await expect(startPlatformSandbox(plain, { rows: -1 })).rejects.toThrow(/plain sandbox: rows: .*>=0/);
    const sandbox = await open();
    expect(() => sandbox.truth('nothing')).toThrow('no stream "nothing"; streams: things, gone');
    expect(() => sandbox.account('b')).toThrow('no account b; accounts: main');
  });

  it('keeps records over a restart', async () => {
    const sandbox = await open();
    sandbox.lists.things!.remove('t1');
    await sandbox.restart();
    expect((await ask(sandbox, 'whole')).total).toBe(44);
  });

  it('runs in a process of its own', async () => {
    const sandbox = await startPlatformProcess('youzan', { rows: 50, accounts: { b: 3 } });
    try {
      expect(await sandbox.connection('b')).toMatchObject({ platform: 'youzan', baseUrl: sandbox.url });
      expect(await sandbox.change('trades', { share: 1 })).toBe(50);
      expect(await sandbox.keys('trades')).toHaveLength(50);
      await sandbox.setFaults([{ type: 'html' }]);
      await fetch(`${sandbox.url}/api/youzan.trades.sold.get/4.0.4`, { method: 'POST' });
      expect(await sandbox.requests()).toMatchObject({ total: 1, wrong: 1, failed: 0 });
      await expect(sandbox.keys('nothing')).rejects.toThrow('no stream "nothing"');
    } finally {
      await sandbox.stop();
    }
    expect(() => process.kill(sandbox.pid, 0)).toThrow('ESRCH');
  });

  it('tells why a process of its own does not start', async () => {
    await expect(startPlatformProcess('nowhere')).rejects.toThrow(/no platform is called "nowhere"; accepted: scim, /);
  });
});
