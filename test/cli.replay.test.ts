import { describe, expect, onTestFinished, test } from 'vitest';
import { kuaishou } from '../connectors/kuaishou.ts';
import { openCli } from './harness/cli.ts';
import { until } from './harness/until.ts';

const { world, cli, shop, stateOf } = await openCli();

const streamOf = async (name: string, stream: string) =>
  (await stateOf(name)).streams.find((one: { stream: string }) => one.stream === stream);

async function living(name: string, stream: string): Promise<number> {
  const { rows } = await world.pool.query(
    `SELECT count(*)::int AS n FROM kuaishou.${stream} WHERE connection_id = $1 AND deleted_at IS NULL`,
    [name],
  );
  return rows[0].n;
}

/** A shop of 12 refunds, the first of which has a status that is no number. */
async function withReject() {
  const { name, source } = await shop();
  const [id] = source.lists.refunds?.ids() ?? [];
  // Changes of the last seconds are not read yet.
  const earlier = Date.now() - 3_600_000;
  source.lists.refunds?.update(id as string, { status: 'in dispute', buyer: 'Lonely Person' }, earlier);
  const said = await cli(`start platformSync ${name} --streams refunds --wait`);
  return { name, source, id: id as string, said };
}

describe('records that stand aside', () => {
  test('are counted, explained, and land by a replay when the connector has learned', async () => {
    const { name, id, said } = await withReject();
    expect(said.out).toMatch(/refunds +whole +full +12 rows +11 written +0 deleted +1 set aside/);
    const hint = `refunds: 1 record set aside: npx syncline rejects ${name} --stream refunds\n`;
    expect(said.out).toContain(hint);
    expect((await cli(`status ${name}`)).out).toContain(hint);
    const { out } = await cli(`rejects ${name} --stream refunds`);
    expect(out).toContain(
      `${name} refunds ${id}: wrong_type (status)\n  a value does not fit the type of its column; `,
    );
    expect(out).toMatch(/last seen 20.+ ago\), .*page \d+ row \d+, reject \d+\n/);
    expect(out).toContain(`npx syncline replay ${name} refunds --rejects --wait\n`);
    expect(out).not.toContain('Lonely');
    expect((await cli(`rejects ${name} --show-records`)).out).toContain('Lonely Person');
    expect(JSON.parse((await cli(`rejects ${name} --json`)).out).rejects.rows).toMatchObject([
      { pipeline: 'platform', stream: 'refunds', sourceId: id, reason: 'wrong_type' },
    ]);

    const stubborn = await cli(`replay ${name} --rejects --wait`);
    expect(stubborn).toMatchObject({ code: 0, err: '' });
    expect(stubborn.out).toContain('refunds: 0 of 1 record that stood aside landed\n');
    expect(stubborn.out).toContain(hint);

    const refunds = kuaishou.streams.refunds!;
    onTestFinished(() => {
      kuaishou.streams.refunds = refunds;
    });
    const status = { ...refunds.columns.status!, path: 'statusCode' };
    kuaishou.streams.refunds = { ...refunds, columns: { ...refunds.columns, status } };
    const learned = await cli(`replay ${name} refunds --rejects --wait`);
    expect(learned.out).toContain('refunds: 1 of 1 record that stood aside landed\n');
    expect(await living(name, 'refunds')).toBe(12);
    expect((await streamOf(name, 'refunds')).rejects).toBe(0);
    for (const line of [`replay ${name} --rejects`, `replay ${name} refunds --rejects`])
      expect(await cli(line)).toMatchObject({
        code: 0,
        out: expect.stringContaining('stands aside: nothing to replay.'),
      });
  });

  test('of a stream that does not exist are refused with those there are', async () => {
    const { name } = await shop({ rows: 0 });
    expect(await cli(`rejects ${name} --stream users`)).toMatchObject({
      code: 2,
      err: expect.stringContaining('--stream: got "users", accepted orders, order_details'),
    });
    expect((await cli('rejects --stream nobody')).err).toContain('accepted users, groups, memberships, ');
    expect((await cli(`rejects ${name} --stream orders`)).out).toBe('Nothing is handed back.\n');
  });
});

describe('replay of a range', () => {
  test('reads what is missing again and moves no watermark', async () => {
    const { name } = await shop();
    expect((await cli(`start platformSync ${name} --streams orders,coupons --wait`)).code).toBe(0);
    const before = (await streamOf(name, 'orders')).watermark;
    await world.pool.query('DELETE FROM kuaishou.orders WHERE connection_id = $1', [name]);
    const day = (ago: number) => new Date(Date.now() - ago * 86_400_000).toISOString();
    const said = await cli(`replay ${name} orders --from ${day(40)} --to ${day(-1)} --wait`);
    expect(said).toMatchObject({ code: 0, err: '' });
    expect(said.out).toContain(`workflow id replayWindow-${name}-orders, run id `);
    expect(said.out).toMatch(/\nRead again: 1 of 1 stream whole\norders +whole +replay +60 rows +60 written/);
    expect(await living(name, 'orders')).toBe(60);
    expect((await streamOf(name, 'orders')).watermark).toBe(before);
    expect((await cli(`status ${name}`)).out).toMatch(new RegExp(`run +whole; ended .+ replayWindow-${name}-orders\n`));
  });

  test('without a stream reads each that the connection reads, a run a stream', async () => {
    const { name, source } = await shop({}, '--option', 'streams=["comments","coupons"]');
    // Both must still wait for an answer when they are paused, however busy the machine is.
    source.setFaults([{ type: 'slow', ms: 4_000 }]);
    const said = await cli(`replay ${name} --from 2026-01-01 --to 2026-01-02`);
    expect(said.code).toBe(0);
    for (const stream of ['comments', 'coupons'])
      expect(said.out).toContain(`workflow id replayWindow-${name}-${stream},`);
    await until('both at work', async () => {
      const { run, others } = await stateOf(name);
      return run?.status === 'RUNNING' && others.length === 1;
    });
    expect((await cli(`status ${name}`)).out).toMatch(/also +replayWindow, since 20/);
    expect((await cli(`pause ${name}`)).out.match(/^Paused .+ \(replayWindow-.+-c\w+\)/gm)).toHaveLength(2);
    await until('the pause', async () => (await streamOf(name, 'coupons')).state === 'paused');
    source.setFaults([]);
    const second = await cli(`replay ${name} coupons --from 2026-01-01 --to 2026-01-02`);
    expect(second.err).toContain(`replayWindow of coupons of ${name} runs already`);
    const sync = await cli(`start platformSync ${name} --streams comments`);
    expect(sync.err).toContain(
      `replayWindow replayWindow-${name}-comments is at work: this run does not read its stream.`,
    );
    expect((await cli(`resume ${name}`)).code).toBe(0);
    await until('their ends', async () => (await stateOf(name)).state !== 'running');
  });

  test.each([
    ['nothing', '', 'Say what to replay: --from'],
    ['half a range', '--from 2026-01-01', 'Say what to replay: --from'],
    ['both', '--rejects --from 2026-01-01 --to 2026-01-02', 'Say what to replay: --from'],
    [
      'a day that is none',
      '--from yesterday --to 2026-01-02',
      'from: got "yesterday", accepted a moment such as 2026-11',
    ],
    [
      'a range from its end',
      '--from 2026-01-02 --to 2026-01-01',
      '--from: got "2026-01-02", accepted a moment before --to',
    ],
  ])('refuses %s', async (_what, options, message) => {
    const { name } = await shop({ rows: 0 });
    const line = ['replay', name, ...options.split(' ').filter(Boolean)];
    expect(await cli(line)).toMatchObject({ code: 2, err: expect.stringContaining(message) });
    expect((await cli(['replay', name, 'invoices', '--rejects'])).err).toContain(
      'stream: got "invoices", accepted orders',
    );
  });
});

describe('what a stream may lack', () => {
  test('deletions that a guard withheld stay until a person has looked', async () => {
    const { name, source } = await shop({ rows: 400 });
    expect((await cli(`start platformSync ${name} --streams coupons --wait`)).code).toBe(0);
    for (const id of source.lists.coupons?.ids().slice(0, 15) ?? []) source.lists.coupons?.remove(id);
    const said = await cli(`start platformSync ${name} --streams coupons --wait`);
    const command = `start platformSync ${name} --streams coupons --mode full --accept-deletions --wait`;
    const hint = `coupons: 15 rows missing at the source stay, more than may go without asking. If they are gone for good: npx syncline ${command}\n`;
    expect(said.out).toContain(hint);
    expect((await cli(`status ${name}`)).out).toContain(hint);
    expect(await living(name, 'coupons')).toBe(20);
    expect((await cli(command)).out).toMatch(/coupons +whole +full +5 rows +0 written +15 deleted/);
    expect(await living(name, 'coupons')).toBe(5);
    expect((await cli(`status ${name}`)).out).not.toContain('missing at the source');
  });

  test('a list that does not prove itself says why, with the command that reads it again', async () => {
    const { name, source } = await shop({ faults: [{ type: 'total', total: 99, api: 'open.comment.list.get' }] });
    const said = await cli(`start platformSync ${name} --streams comments --wait`);
    expect(said.code, 'read, with a doubt').toBe(4);
    expect(said.out).toMatch(/comments +doubtful +full/);
    const hint =
      /comments: may lack rows: .+\. Read it again: npx syncline start platformSync \S+ --streams comments --wait\n/;
    expect(said.out).toMatch(hint);
    expect((await cli(`status ${name}`)).out).toMatch(hint);
    source.setFaults([]);
    expect((await cli(`start platformSync ${name} --streams comments --wait`)).code).toBe(0);
    expect((await cli(`status ${name}`)).out).not.toMatch(hint);
  });
});
