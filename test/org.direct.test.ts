import { describe, expect, it } from 'vitest';
import type { Deps } from '../activities/deps.ts';
import { openTokens } from '../activities/http/auth.ts';
import { openThrottle } from '../activities/http/throttle.ts';
import { confirmMissing } from '../activities/org/confirm.ts';
import { prepare } from '../activities/org/prepare.ts';
import { stageSlice } from '../activities/org/stage.ts';
import type { Call } from '../activities/step.ts';
import { loadConnection } from '../db/connections.ts';
import { openListener } from '../db/listen.ts';
import { doubtOf } from '../db/org/living.ts';
import { closePlan } from '../db/org/plan.ts';
import { livingIds, pendingFailure, rejectLines, rejectsOf, snapshot } from './harness/ours.ts';
import { plainScim } from './harness/plain-scim.ts';
import { openWorld } from './harness/world.ts';

const world = await openWorld();
const { pool } = world;
const people = (n: number) => Array.from({ length: n }, (_, i) => `p${1000 + i}`);
const switchOff = (name: string) =>
  `to let the guards alone decide: npx syncline connect ${name} --option confirmMissing=0`;

describe.concurrent('one missing record whose direct read is no answer', () => {
  it.each([
    [500, undefined, 'answered 500'],
    [403, undefined, 'the credential may not read this (403). Grant it read access to users and groups.'],
    [400, undefined, 'answered 400'],
    [410, undefined, 'answered 410'],
    [404, '{"error":"not found"}', 'answered 404 with JSON that is no SCIM error'],
  ])('%i %s: is kept and handed back; the others are written', async (status, body, answer) => {
    const { name, baseUrl, state } = await plainScim(world, people(12));
    await world.run(name);
    state.Users = state.Users.filter(({ id }) => id !== 'p1003' && id !== 'p1007');
    state.Users[0]!.active = false;
    state.direct = (_, id) => (id === 'p1003' ? { status, ...(body && { body }) } : undefined);
    const result = await world.run(name);
    expect(result).toMatchObject({ outcome: 'applied', users: { deleted: 1, edited: 1, withheld: 0 } });
    expect(result.notes).toContain('2 missing users were asked for one by one; 0 of them live');
    expect(await livingIds(pool, name, 'users')).toContain('p1003');
    const [reject] = (await rejectsOf(pool, name)).filter(({ stream }) => stream === 'users');
    expect(reject).toMatchObject({ source_id: 'p1003', reason: 'out_of_scope', position: 'direct read' });
    expect(JSON.parse(reject!.record!).answer).toContain(`${baseUrl}/Users/…`);
    expect(JSON.parse(reject!.record!).answer).toContain(answer);
    state.direct = () => undefined;
    expect(await world.run(name)).toMatchObject({ users: { deleted: 1, rejected: 0 } });
  });

  it('of a group: it keeps its place, its children and its people', async () => {
    const { name, state } = await plainScim(world, people(6));
    const member = (value: string, type: string) => ({ value, type });
    state.Groups.push(
      { id: 'g1', displayName: 'Parent', members: [member('g2', 'Group'), member('p1000', 'User')] },
      { id: 'g2', displayName: 'Child', members: [member('p1001', 'User')] },
    );
    await world.run(name);
    const before = await snapshot(pool, name);
    state.Groups = state.Groups.filter(({ id }) => id !== 'g1');
    state.Users[5]!.title = 'Written';
    state.direct = (_, id) => (id === 'g1' ? { status: 403 } : undefined);
    expect(await world.run(name)).toMatchObject({ groups: { deleted: 0 }, applied: { editUsers: 1 } });
    const after = await snapshot(pool, name);
    expect([after.groups, after.memberships]).toEqual([before.groups, before.memberships]);
    expect(await rejectLines(pool, name)).toContain('groups g1 out_of_scope null');
  });
});

describe.concurrent('direct reads that fail', () => {
  it.each([
    [403, ': the credential may not read this (403). Grant it read access to users and groups.'],
    [400, ' answered 400'],
  ])('%i: whoever is missing stays, the others are written, and the note names the command', async (status, answer) => {
    const { name, baseUrl, state } = await plainScim(world, people(12));
    await world.run(name);
    state.Users = state.Users.slice(1);
    state.Users[0]!.active = false;
    state.direct = () => ({ status });
    const result = await world.run(name);
    expect(result).toMatchObject({ outcome: 'applied', users: { deleted: 0, withheld: 1, edited: 1 } });
    expect(result.notes).toContain(
      `1 users are missing at the source and stay: direct reads fail (${switchOff(name)}): ${baseUrl}/Users/…${answer}`,
    );
  });

  it('a source that does not answer is named without the id it was asked for', async () => {
    const { name, baseUrl, state } = await plainScim(world, people(6));
    await world.run(name);
    state.direct = () => 'cut';
    const run = await world.start(name, { only: { user: 'p1000' } });
    expect(await pendingFailure(run)).toMatch(new RegExp(`^${baseUrl}/Users/… did not answer`));
    state.direct = () => undefined;
    expect(await run.result()).toMatchObject({ outcome: 'applied' });
  });
});

describe.concurrent('a route that is taken away while the missing are asked for', () => {
  const away = { status: 404, body: '' };
  const unproven = (name: string) => `a direct read does not even find users that the list shows (${switchOff(name)})`;

  it('proves nobody gone: they stay, the others are written', async () => {
    const { name, state } = await plainScim(world, people(20));
    await world.run(name);
    state.hidden = new Set(people(6));
    state.Users[7]!.active = false;
    state.direct = () => (state.asked.includes('p1001') ? away : undefined);
    const result = await world.run(name);
    expect(result).toMatchObject({ outcome: 'applied', users: { deleted: 0, withheld: 5, edited: 1 } });
    expect(result.notes).toContain(`5 users are missing at the source and stay: ${unproven(name)}`);
    expect(await livingIds(pool, name, 'users')).toEqual(people(20));
    state.direct = () => undefined;
    state.Users.shift();
    expect(await world.run(name)).toMatchObject({ users: { deleted: 1, withheld: 0 } });
  });

  it('during a wait: nobody is asked for behind it', async () => {
    const { name, state } = await plainScim(world, people(20));
    const { confirm, close, doubt } = await readByHand(name, () => state.Users.splice(0, 6));
    state.direct = (_, id) => (id === 'p1002' ? { status: 429 } : undefined);
    expect(await confirm({})).toMatchObject({ asked: 2, waitMs: 5_000 });
    state.direct = () => away;
    state.asked = [];
    expect(await confirm({})).toMatchObject({ asked: 0, waitMs: 0 });
    expect(state.asked).toEqual(['p1019', 'p1018', 'p1017']);
    expect(await doubt()).toBe(unproven(name));
    await close();
  });

  it('a source that takes one read a wait is asked to the end all the same', async () => {
    const { name, state } = await plainScim(world, people(8));
    const { confirm, close, doubt } = await readByHand(name, () => state.Users.splice(0, 3));
    let reads = 0;
    state.direct = () => (reads++ % 2 === 1 ? { status: 429 } : undefined);
    const waits: number[] = [];
    do waits.push((await confirm({})).waitMs);
    while (waits.at(-1)! > 0 && waits.length < 20);
    expect(waits.length, 'each of three, one who lives before each, and behind the last').toBeLessThanOrEqual(8);
    expect(await doubt()).toBeNull();
    await close();
  });

  it('behind the last one, where the look at one who lives had to wait', async () => {
    const { name, state } = await plainScim(world, people(20));
    const { confirm, close, doubt } = await readByHand(name, () => state.Users.splice(0, 6));
    state.direct = () =>
      state.asked.includes('p1005') && state.asked.at(-1) !== 'p1005' ? { status: 429 } : undefined;
    expect(await confirm({})).toMatchObject({ asked: 6, waitMs: 5_000 });
    state.direct = () => away;
    expect(await confirm({})).toMatchObject({ asked: 0, waitMs: 0 });
    expect(await doubt()).toBe(unproven(name));
    await close();
  });
});

describe.concurrent('ids that are numbers in JSON', () => {
  it('who left is deleted, and one person can be run', async () => {
    const { name, state } = await plainScim(world, [1, 2, 3, 4, 5, 6]);
    await world.run(name);
    state.Users = state.Users.slice(1);
    state.Users[0]!.title = 'Edited';
    expect(await world.run(name, { only: { user: '2' } })).toMatchObject({ users: { edited: 1 } });
    expect(await world.run(name)).toMatchObject({ users: { deleted: 1 } });
    expect(await livingIds(pool, name, 'users')).toEqual(['2', '3', '4', '5', '6']);
  });

  it('another record than the one asked for is still no answer', async () => {
    const { name, state } = await plainScim(world, [1, 2, 3]);
    await world.run(name);
    state.direct = () => ({ status: 200, body: '{"id":10,"userName":"other"}' });
    expect((await world.fail(name, { only: { user: '1' } })).message).toContain('answered with another record');
  });
});

describe.concurrent('more missing than are asked for one by one', () => {
  it('a few are: one who lives speaks for all, and nobody is deleted', async () => {
    const { name, state } = await plainScim(world, people(400));
    await world.run(name);
    state.hidden = new Set(people(400).slice(0, 70));
    state.asked = [];
    expect(await world.run(name), 'few enough: each is asked for').toMatchObject({
      users: { deleted: 0, withheld: 0 },
    });
    state.hidden = new Set(people(400).slice(0, 250));
    state.Users[399]!.title = 'Written all the same';
    state.asked = [];
    const result = await world.run(name);
    expect(result).toMatchObject({ outcome: 'applied', users: { deleted: 0, withheld: 250, edited: 1 } });
    expect(result.notes).toContain(
      `250 users are missing at the source and stay: of 5 missing users that were asked for directly, one is there or out of sight (to ask for each: npx syncline connect ${name} --option confirmMissing=10000)`,
    );
    expect(state.asked).toHaveLength(1);
  });

  it('where none of them is there, the guards decide', async () => {
    const { name, state } = await plainScim(world, people(60), { confirmMissing: 5 });
    await world.run(name);
    state.Users = state.Users.slice(8);
    state.asked = [];
    expect(await world.run(name)).toMatchObject({ users: { deleted: 8 } });
    expect(state.asked).toHaveLength(5);
  });
});

describe.concurrent('calls by hand', () => {
  it('a slice of direct reads ends in time, and the next one goes on behind it', async () => {
    const { name, state } = await plainScim(world, people(20));
    const { confirm, close } = await readByHand(name, () => state.Users.splice(0, 6));
    state.asked = [];
    const slices = [await confirm({ looks: 2 }), await confirm({ looks: 2 })];
    expect(slices.map(({ asked, waitMs }) => [asked, waitMs])).toEqual([
      [3, 1],
      [3, 0],
    ]);
    expect(state.asked, 'each once, with one that the list shows before and behind').toEqual([
      ...['p1019', ...people(3)],
      ...['p1019', ...people(6).slice(3), 'p1019'],
    ]);
    await close();
  });

  it('who answered before a failure is not asked for again', async () => {
    const { name, state } = await plainScim(world, people(20));
    const { confirm, close } = await readByHand(name, () => state.Users.splice(0, 6));
    state.direct = (_, id) => (id === 'p1003' || state.asked.includes('p1003') ? { status: 500 } : undefined);
    await expect(confirm({})).rejects.toThrow('/Users/… answered 500');
    state.direct = () => undefined;
    state.asked = [];
    expect(await confirm({ attempt: 2 })).toMatchObject({ asked: 3, waitMs: 0 });
    expect(state.asked).toEqual(['p1019', 'p1003', 'p1004', 'p1005', 'p1019']);
    await close();
  });

  it('a server in trouble is asked for about a minute, then whoever is missing stays', async () => {
    const { name, baseUrl, state } = await plainScim(world, people(20));
    const { confirm, close, doubt } = await readByHand(name, () => state.Users.splice(0, 6));
    state.direct = () => ({ status: 500 });
    await expect(confirm({ attempt: 6 })).rejects.toThrow(`${baseUrl}/Users/… answered 500`);
    expect(await doubt()).toBeNull();
    expect(await confirm({ attempt: 7 })).toMatchObject({ asked: 0, waitMs: 0 });
    expect(await doubt()).toBe(`direct reads fail (${switchOff(name)}): ${baseUrl}/Users/… answered 500`);
    await close();
  });
});

/** Runs a connection once, changes its source and reads both lists, so that the direct reads can be called without Temporal. */
async function readByHand(name: string, change: () => unknown) {
  await world.run(name);
  change();
  const throttle = openThrottle(pool);
  const tokens = openTokens({ pool, key: world.key });
  const connection = (id: string) => loadConnection(pool, world.key, id);
  // Never listens: it opens no connection.
  const listener = openListener(world.servers.databaseUrl);
  const deps: Deps = { pool, listener, throttle, tokens, connection, isOpen: async () => false };
  const run = { workflowId: 'by hand', runId: '1', attempt: 1, mode: null, dryRun: false, only: null };
  const prepared = await prepare(deps, { ...run, connection: name }, callOf({}));
  if ('heldBy' in prepared) throw new Error('somebody holds the connection');
  const { plan } = prepared;
  for (const stream of ['groups', 'users'] as const) await stageSlice(deps, plan, stream, callOf({}));
  return {
    confirm: (call: { looks?: number; attempt?: number }) => confirmMissing(deps, plan, 'users', callOf(call)),
    doubt: () => doubtOf(pool, plan.id, 'users'),
    async close() {
      await closePlan(pool, plan, 'cancelled');
      await Promise.all([throttle.close(), tokens.close()]);
    },
  };
}

/** A call whose time is up when it was looked at so often. */
function callOf({ looks = Number.POSITIVE_INFINITY, attempt = 1 }: { looks?: number; attempt?: number }): Call {
  const { signal } = new AbortController();
  let left = looks;
  return { signal, attempt, before: {}, shouldEnd: () => left-- <= 0, report: () => undefined };
}
