import { randomBytes } from 'node:crypto';
import { describe, expect, onTestFinished, test } from 'vitest';
import { openCli } from './harness/cli.ts';
import { openGate } from './harness/gate.ts';
import { until } from './harness/until.ts';

const { world, cli, fresh, sandbox, connected, shop, stateOf } = await openCli();

const two = '--streams comments,coupons';
const streamOf = async (name: string, stream: string) =>
  (await stateOf(name)).streams.find((one: { stream: string }) => one.stream === stream);

/** A run that is held while its streams are read; every answer takes a moment. */
async function held() {
  const { name, source } = await shop();
  source.setFaults([{ type: 'slow', ms: 150 }]);
  expect((await cli(`start platformSync ${name} --streams refunds,refund_details,coupons`)).code).toBe(0);
  await until('rows of the first windows', async () => (await streamOf(name, 'refunds'))?.progress?.covered > 0.1);
  expect(await cli(`pause ${name}`)).toMatchObject({ code: 0, out: expect.stringMatching(/^Paused/) });
  source.setFaults([]);
  return { name, source };
}

describe('start platformSync', () => {
  test('reads every stream, follows to the end and says what each brought', async () => {
    const { name } = await shop();
    expect((await cli(`status ${name}`)).out).toMatch(
      new RegExp(`run +none known to Temporal; start one with: npx syncline start platformSync ${name}\n`),
    );
    expect((await cli(`status ${name}`)).out).toMatch(/ orders +not read yet +never read whole\n/);
    const said = await cli(`start platformSync ${name} --wait`);
    expect(said).toMatchObject({ code: 0, err: '' });
    expect(said.out).toMatch(
      new RegExp(`^Started platformSync of ${name}: workflow id platformSync-${name}, run id [0-9a-f-]{36}\n`),
    );
    expect(said.out).toMatch(/\nWhole: 10 of 10 streams whole, \d+ s\n/);
    expect(said.out).toMatch(/\norders +whole +full +60 rows +60 written +0 deleted +0 set aside +\d+ requests\n/);
    const { out } = await cli(`status ${name}`);
    expect(out).toMatch(new RegExp(`run +whole; ended 20.+ ago\\) after \\d+ s, platformSync-${name}\n`));
    expect(out).toMatch(/ orders +█{20} 100 % +whole +60 rows +lag \d+ s\n/);
    expect(await stateOf(name)).toMatchObject({
      workflow: 'platformSync',
      state: 'completed',
      outcome: 'whole',
      lagMs: expect.any(Number),
      schedule: null,
      others: [],
    });
    expect(await streamOf(name, 'orders')).toMatchObject({
      state: 'whole',
      rows: 60,
      watermark: expect.stringMatching(/^20/),
      coveredFrom: expect.stringMatching(/^20/),
      fullAt: expect.stringMatching(/^20/),
      doubt: null,
      withheld: 0,
      rejects: 0,
    });
  });

  test('reads the streams that are named, and tells of one that is parked while the others go on', async () => {
    const { name, source } = await shop({
      faults: [{ type: 'refuse', kind: 'permission', api: 'open.seller.order.refund.pcursor.list' }],
    });
    const said = await cli(`start platformSync ${name} --streams refunds,coupons --wait`);
    expect(said.code).toBe(1);
    expect(said.out).toMatch(/\nPartial: 1 of 2 streams whole/);
    expect(said.out).toMatch(/\ncoupons +whole +full +3 rows/);
    expect(said.out).toMatch(/\nrefunds parked: .*scope.*\(Forbidden\)\n/);
    const { out } = await cli(`status ${name}`);
    expect(out).toMatch(/run +partial; ended/);
    expect(out).toMatch(/ refunds +parked +never read whole\n/);
    expect(out).toMatch(/ {2}refunds parked: .*scope/);
    expect(out).toMatch(/ orders +not read yet/);
    source.setFaults([]);
    const again = await cli(`start platformSync ${name} --streams refunds --mode incremental --wait`);
    expect(again).toMatchObject({ code: 0, out: expect.stringMatching(/refunds +whole +full +12 rows/) });
    expect((await cli(`start platformSync ${name} --streams refunds --wait`)).out).toMatch(
      /refunds +whole +incremental/,
    );
  });

  test('ends with 4 when a stream was read and may lack rows, and says so in the result', async () => {
    const { name, source } = await shop({ rows: 1_500 });
    const line = `start platformSync ${name} ${two} --wait`;
    expect((await cli(line)).code).toBe(0);
    for (const id of source.lists.comments?.ids().slice(0, 90) ?? []) source.lists.comments?.remove(id);
    const said = await cli(line);
    expect(said.code).toBe(4);
    expect(said.out).toMatch(/\nDoubtful: 1 of 2 streams whole, \d+ s\n/);
    expect(said.out).toMatch(/\ncomments +doubtful +full +60 rows/);
    expect(said.out).toContain(`npx syncline start platformSync ${name} --streams comments --mode full`);
    expect((await stateOf(name)).outcome).toBe('doubtful');
    expect(await world.client.workflow.getHandle(`platformSync-${name}`).result()).toMatchObject({
      outcome: 'doubtful',
      streams: expect.arrayContaining([expect.objectContaining({ stream: 'comments', outcome: 'doubtful' })]),
    });
    const replayed = await cli(`replay ${name} comments --from 2026-01-01 --to 2026-01-02 --wait`);
    expect(replayed, `a replay sweeps nobody, and doubts nothing ${replayed.out}`).toMatchObject({ code: 0 });
    // One that was not read weighs more.
    source.setFaults([{ type: 'refuse', kind: 'permission', api: 'open.promotion.coupon.page.list' }]);
    expect(await cli(line)).toMatchObject({ code: 1, out: expect.stringContaining('Partial: 0 of 2 streams whole') });
  });

  test('ends with 1 and the reason when nothing could be read', async () => {
    const { name } = await shop({ faults: [{ type: 'refuse', kind: 'permission' }] });
    const said = await cli(`start platformSync ${name} ${two} --wait`);
    expect(said).toMatchObject({ code: 1, err: expect.stringContaining('The run failed: No stream was read. ') });
    expect((await cli(`status ${name}`)).out).toMatch(/run +failed: No stream was read\. comments: /);
  });

  test.each<[string, (shop: string, acme: string) => string, string]>([
    [
      'the workflow of directories',
      (name) => `start orgSync ${name}`,
      'orgSync does not read connection "SHOP" of platform kuaishou. The workflow for it is platformSync: npx syncline start platformSync SHOP',
    ],
    [
      'the workflow of open platforms, for a directory',
      (_shop, acme) => `start platformSync ${acme}`,
      'of platform scim. The workflow for it is orgSync: npx syncline start orgSync ACME',
    ],
    ['an answer', (name) => `approve ${name} --yes`, 'orgSync does not read connection "SHOP"'],
    ['a plan', (name) => `changes ${name}`, 'orgSync does not read connection "SHOP"'],
    [
      'a replay of a directory',
      (_shop, acme) => `replay ${acme} --rejects`,
      'platformSync does not read connection "ACME"',
    ],
    [
      'a stream that is none',
      (name) => `start platformSync ${name} --streams orders,invoices`,
      '--streams: got "invoices", accepted orders, order_details, refunds',
    ],
    ['an option of orgSync', (name) => `start platformSync ${name} --dry-run`, '--dry-run belongs to orgSync, not to'],
    ['an option of platformSync', (_shop, acme) => `start orgSync ${acme} ${two}`, '--streams belongs to platformSync'],
    ['an unknown workflow', (name) => `start nightly ${name}`, 'got "nightly", accepted orgSync, platformSync'],
  ])('refuses %s and starts nothing', async (_what, line, message) => {
    const [{ name }, acme] = [await shop(), await connected(await sandbox({ users: 1, groups: 1 }))];
    const wanted = message.replaceAll('SHOP', name).replaceAll('ACME', acme);
    expect(await cli(line(name, acme))).toMatchObject({ code: 2, err: expect.stringContaining(wanted) });
    expect((await stateOf(name)).run).toBeNull();
  });
});

describe('a run at work', () => {
  test('shows for each stream how far it is, and goes on after a pause', async () => {
    const { name } = await held();
    const { out } = await cli(`status ${name}`);
    expect(out).toMatch(new RegExp(`run +paused, since 20.+ ago\\), platformSync-${name}\n`));
    expect(out).toMatch(/ refunds +█+░+ \d\d? % +full, paused +\d+ rows?, \d+\/s +never read whole\n/);
    expect(out).toMatch(/ refund_details +waits for streams that are read before it/);
    const refunds = await streamOf(name, 'refunds');
    expect(refunds).toMatchObject({
      state: 'paused',
      run: { type: 'streamSync', workflowId: `platformSync-${name}/refunds`, status: 'RUNNING' },
      progress: { kind: 'full', state: 'paused' },
    });
    expect(await cli(`start platformSync ${name} --id ${name}-second`)).toMatchObject({
      code: 1,
      err: expect.stringMatching(
        new RegExp(`platformSync of ${name} runs already, since 20.+ platformSync-${name}\\.`),
      ),
    });
    expect((await cli(`resume ${name}`)).code).toBe(0);
    await until('its end', async () => (await stateOf(name)).state === 'completed');
    expect(await streamOf(name, 'refund_details')).toMatchObject({ state: 'whole', rows: 12 });
  });

  test('shows rows, rate and estimate while its first slice is read', async () => {
    const { name, source } = await shop({ rows: 9_000 });
    source.setFaults([{ type: 'slow', ms: 200, api: 'open.comment.list.get' }]);
    expect((await cli(`start platformSync ${name} --streams comments`)).code).toBe(0);
    const child = world.client.workflow.getHandle(`platformSync-${name}/comments`);
    const seen: number[] = [];
    const told = await until('numbers that move while the run is told nothing', async () => {
      const one = await streamOf(name, 'comments');
      const rows = one?.progress?.rows ?? 0;
      if (rows > (seen.at(-1) ?? 0)) seen.push(rows);
      return seen.length >= 3 && one;
    });
    expect(told).toMatchObject({
      state: 'running',
      covered: expect.any(Number),
      progress: { kind: 'full', rowsPerSecond: expect.any(Number), etaSeconds: expect.any(Number) },
    });
    expect(told.progress.rowsPerSecond).toBeGreaterThan(0);
    expect(told.covered).toBeGreaterThan(0);
    expect(await child.query('progress'), 'its slice has not ended').toMatchObject({ rows: 0 });
    // Without a worker Postgres tells the same.
    const env = { SYNCLINE_TASK_QUEUE: `deserted-${name}` };
    expect((await cli(`status ${name}`, { env })).out).toMatch(
      / comments +█*░+ \d+ % +open, but no worker .+ \d+ rows/,
    );
    expect((await cli(`cancel ${name}`)).code).toBe(0);
    const { rows: kept } = await world.pool.query(
      'SELECT count(*)::int AS n FROM kuaishou.comments WHERE connection_id = $1',
      [name],
    );
    expect(kept[0].n).toBeGreaterThan(0);
    expect(await streamOf(name, 'comments')).toMatchObject({ state: 'interrupted', rows: kept[0].n, progress: null });
    source.setFaults([]);
    const again = await cli(`start platformSync ${name} --streams comments --wait`);
    expect(again).toMatchObject({
      code: 0,
      out: expect.stringMatching(/comments +whole +full +\d+ rows +900 written/),
    });
  });

  test('is cancelled with its streams, and the next run goes on from there', async () => {
    const { name } = await held();
    expect(await cli(`cancel ${name}`)).toMatchObject({ code: 0, out: expect.stringContaining('What it wrote stays') });
    expect((await stateOf(name)).state).toBe('cancelled');
    expect((await cli(`status ${name}`)).out).toMatch(
      / refunds +█+░* \d\d? % +left off; the next run goes on there +\d+ rows? /,
    );
    expect(await streamOf(name, 'refund_details')).toMatchObject({ state: 'idle', rows: null });
    const child = await world.client.workflow.getHandle(`platformSync-${name}/refunds`).describe();
    expect(child.status.name).toBe('CANCELLED');
    for (const verb of ['pause', 'resume', 'cancel'])
      expect(await cli(`${verb} ${name}`)).toMatchObject({
        code: 1,
        err: `syncline: No run of ${name} is open: nothing to ${verb}\n`,
      });
    const again = await cli(`start platformSync ${name} --streams refunds --wait`);
    expect(again).toMatchObject({ code: 0, out: expect.stringContaining('goes on with the pass that an earlier run') });
  });

  test('says why it waits when the platform is down', async () => {
    const { name, source } = await held();
    await source.stop();
    expect((await cli(`resume ${name}`)).code).toBe(0);
    const why = /waits for +refunds: readSlice, try \d+: .+ECONNREFUSED.+\(Unavailable\); (next try in|tries again)/;
    await until('a refused try', async () => why.test((await cli(`status ${name}`)).out));
    await source.restart();
    await until('its end', async () => (await stateOf(name)).state === 'completed');
  });

  test('is watched on when Postgres was out of reach meanwhile', async () => {
    const { name, source } = await shop();
    // So long that it cannot end before the way to Postgres is shut.
    source.setFaults([{ type: 'slow', ms: 3_000 }]);
    const url = new URL(world.servers.databaseUrl);
    const gate = await openGate(Number(url.port));
    onTestFinished(() => gate.shut());
    url.host = `127.0.0.1:${gate.port}`;
    const sees: string[] = [];
    const waiting = cli(`start platformSync ${name} --streams coupons --wait`, {
      env: { DATABASE_URL: url.href },
      sees,
    });
    await until('a bar', async () => sees.some((line) => line.includes('coupons')));
    await gate.shut();
    const why =
      'Postgres does not answer (ECONNREFUSED). Is it running? DATABASE_URL names another one. What runs goes on';
    await until('the reason', async () => sees.some((line) => line.startsWith(why)));
    await gate.open();
    const told = sees.length;
    source.setFaults([]);
    expect(await waiting).toMatchObject({
      code: 0,
      out: expect.stringMatching(/\nWhole: 1 of 1 stream whole/),
      err: '',
    });
    expect(sees.slice(told).join('\n')).toContain('coupons');
  });

  test('is found when the Temporal UI started it under another id', async () => {
    const { name, source } = await shop();
    source.setFaults([{ type: 'slow', ms: 3_000, api: 'open.promotion.coupon.page.list' }]);
    const workflowId = randomBytes(16).toString('hex');
    const { taskQueue } = world.config;
    const input = { connection: name, streams: ['coupons'] };
    await world.client.workflow.start('platformSync', { workflowId, taskQueue, args: [input] });
    await until('its claim', async () => (await stateOf(name)).run?.workflowId === workflowId);
    expect(await cli(`start platformSync ${name}`)).toMatchObject({
      code: 1,
      err: expect.stringContaining(`workflow id ${workflowId}.`),
    });
    expect(await cli(`replay ${name} coupons --from 2026-01-01 --to 2026-01-02`)).toMatchObject({
      code: 1,
      err: expect.stringContaining(`streamSync of coupons of ${name} runs already`),
    });
    expect((await cli(`pause ${name} --id somebody`)).err).toContain(`open runs of ${name}: ${workflowId}`);
    expect((await cli(`pause ${name}`)).code).toBe(0);
    await until('the pause', async () => (await streamOf(name, 'coupons')).state === 'paused');
    expect((await cli(`cancel ${name}`)).code).toBe(0);
  });

  test('waits without a worker, which is said', async () => {
    const { name } = await shop();
    const env = { SYNCLINE_TASK_QUEUE: `deserted-${name}` };
    const warning = `Nobody polls the task queue "deserted-${name}": runs wait until a worker is there.`;
    const started = await cli(`start platformSync ${name}`, { env });
    expect(started).toMatchObject({ code: 0, err: expect.stringContaining(warning) });
    const { out } = await cli(`status ${name}`, { env });
    expect(out).toContain(warning);
    expect(out).toMatch(/run +open, but no worker takes it on, since/);
    expect((await cli(`pause ${name}`, { env })).err).toContain(warning);
    await world.client.workflow.getHandle(`platformSync-${name}`).terminate();
    expect((await stateOf(name)).state).toBe('terminated');
  });
});

describe('schedule', () => {
  test('runs platformSync for an open platform', async () => {
    const { name } = await shop({ rows: 20 }, '--option', 'streams=["coupons"]');
    expect((await cli(`schedule ${name} --every 6h`)).out).toMatch(new RegExp(`^Made the schedule of ${name}\\.`));
    const { action } = await world.client.schedule.getHandle(`platformSync-${name}`).describe();
    expect(action).toMatchObject({ workflowType: 'platformSync', args: [{ connection: name }] });
    expect((await cli('schedule list')).out).toMatch(
      new RegExp(`${name} +every 6 h +next 20.+ no run yet +platformSync`),
    );
    expect((await cli(`schedule trigger ${name}`)).code).toBe(0);
    const { run } = await until('a scheduled run', async () => {
      const state = await stateOf(name);
      return state.state === 'completed' && state;
    });
    expect(run.workflowId).toMatch(new RegExp(`^platformSync-${name}-20`));
    expect((await cli(`status ${name}`)).out).toMatch(/next +20.+ by schedule\n/);
    expect((await cli(`schedule delete ${name}`)).code).toBe(0);
  });

  test('asks which workflow where two read the platform', async () => {
    const name = fresh();
    const made = ['--platform', 'feishu', '--option', 'appId=cli_1', '--credential-env', 'APP', '--no-probe'];
    expect((await cli(['connect', name, ...made], { env: { APP: 'hunter2' } })).code).toBe(0);
    const { out } = await cli(`status ${name}`);
    expect(out).toContain(`npx syncline start orgSync ${name}`);
    expect(out).toContain(`npx syncline start platformSync ${name}`);
    for (const line of [`schedule ${name} --every 1h`, `schedule pause ${name}`])
      expect(await cli(line)).toMatchObject({
        code: 2,
        err: expect.stringContaining('Two workflows read feishu: say --workflow orgSync (its departments and people'),
      });
    expect((await cli(`schedule ${name} --every 1h --workflow nightly`)).err).toContain(
      '--workflow: got "nightly", accepted orgSync, platformSync',
    );
    expect((await cli(`schedule ${name} --every 1h --workflow platformSync`)).code).toBe(0);
    const { workflow, schedule } = await stateOf(name);
    expect([workflow, schedule.everyMs]).toEqual(['platformSync', 3_600_000]);
    expect((await cli(`schedule delete ${name} --workflow orgSync`)).code).toBe(1);
    expect((await cli(`schedule delete ${name} --workflow platformSync`)).code).toBe(0);
  });
});
