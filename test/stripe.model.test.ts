import { describe, expect, it } from 'vitest';
import { readEvent, targetsOf } from '../activities/stripe/events.ts';
import { deletionTime, judgeEvent, laterTime, readTime, secondOf } from '../activities/stripe/version.ts';
import { transaction } from '../db/client.ts';
import { bury, type LandRow, land } from '../db/land.ts';
import { ensureTable, type StreamTable } from '../db/streams.ts';
import { standingsOf } from '../db/stripe/objects.ts';
import { randomOf } from './chaos/kills.ts';
import { openWorld } from './harness/world.ts';

const world = await openWorld({ worker: false });
const table: StreamTable = { schema: 'stripe', name: 'model', columns: [] };
await ensureTable(world.pool, table);

/** A change of an object: to a state (its number), or its end. */
interface Change {
  atMs: number;
  state: number;
  gone: boolean;
}

/** What arrives at the copy at a moment: an event of a change, or a page that was read a while ago. */
type Arrival = { arrivesMs: number } & (
  | { kind: 'event'; change: Change }
  | { kind: 'page'; beganMs: number; readMs: number; tookMs: number }
);

const began = 1_700_000_000_000;

/** Some changes within a few seconds, several of them in one; the last may be a deletion. */
function history(random: () => number): Change[] {
  const changes: Change[] = [];
  let atMs = began + Math.floor(random() * 1_000);
  const count = 2 + Math.floor(random() * 7);
  const ends = random() < 0.3;
  for (let state = 1; state <= count; state++) {
    changes.push({ atMs, state, gone: ends && state === count });
    atMs += Math.floor(random() ** 2 * 2_500);
  }
  return changes;
}

const stateAt = (changes: readonly Change[], ms: number) => changes.filter(({ atMs }) => atMs <= ms).at(-1) ?? null;

function arrivals(changes: readonly Change[], random: () => number): Arrival[] {
  const events = changes.map(
    (change): Arrival => ({ kind: 'event', change, arrivesMs: change.atMs + Math.floor(random() ** 3 * 60_000) }),
  );
  const end = (changes.at(-1) as Change).atMs;
  const pages = Array.from({ length: Math.floor(random() * 4) }, (): Arrival => {
    const beganMs = began + Math.floor(random() * (end - began + 2_000));
    const tookMs = Math.floor(random() * 900);
    // The state is of some moment inside the request; the page lands a while after it.
    return {
      kind: 'page',
      beganMs,
      readMs: beganMs + Math.floor(random() * tookMs),
      tookMs,
      arrivesMs: beganMs + tookMs + Math.floor(random() ** 2 * 20_000),
    };
  });
  return [...events, ...pages].sort((a, b) => a.arrivesMs - b.arrivesMs);
}

/** Applies what arrives as the follower and the backfill do, and gives what the copy then holds: a state, or null. */
async function copyOf(id: string, changes: readonly Change[], random: () => number): Promise<number | null> {
  const connection = 'model';
  const row = (state: number, timeMs: number, readMs: number): LandRow => ({
    id,
    data: JSON.stringify({
      state: state % 3 === 0 ? 'again' : `s${state}`,
      last: state >= changes.length - 1 ? state : 0,
    }),
    timeMs,
    readMs,
    gone: false,
    columns: [],
  });
  return transaction(world.pool, { name: 'model' }, async (client) => {
    const write = (state: number, timeMs: number, readMs: number, touch: boolean) =>
      land(client, table, connection, 0, [row(state, timeMs, readMs)], { touch });
    const rowMs = async () => (await standingsOf(client, table, connection, [id])).get(id)?.timeMs ?? null;
    for (const one of arrivals(changes, random)) {
      if (one.kind === 'page') {
        const seen = stateAt(changes, one.readMs);
        const second = secondOf(Math.floor((one.beganMs + one.tookMs) / 1_000) * 1_000, one.tookMs);
        if (seen && !seen.gone) await write(seen.state, readTime(second), one.beganMs, false);
        continue;
      }
      const eventMs = Math.floor(one.change.atMs / 1_000) * 1_000;
      const verdict = judgeEvent(eventMs, await rowMs());
      if (verdict === 'stale') continue;
      if (one.change.gone) {
        await bury(client, table, connection, 0, [{ id, timeMs: deletionTime(eventMs), readMs: one.arrivesMs }]);
      } else if (verdict === 'apply') await write(one.change.state, eventMs, one.arrivesMs, true);
      else {
        const seen = stateAt(changes, one.arrivesMs);
        const second = Math.floor(one.arrivesMs / 1_000) * 1_000;
        if (seen?.gone)
          await bury(client, table, connection, 0, [{ id, timeMs: readTime(second, eventMs), readMs: one.arrivesMs }]);
        else if (seen) await write(seen.state, readTime(second, eventMs), one.arrivesMs, true);
      }
    }
    const { rows } = await client.query(
      'SELECT data, deleted_at FROM stripe.model WHERE connection_id = $1 AND id = $2',
      [connection, id],
    );
    if (!rows[0] || rows[0].deleted_at) return null;
    const held = rows[0].data as { state: string; last: number };
    const last = changes.filter(({ gone }) => !gone).at(-1) as Change;
    const wanted = JSON.parse(row(last.state, 0, 0).data) as typeof held;
    return held.state === wanted.state && held.last === wanted.last ? last.state : -1;
  });
}

describe('the order of states', () => {
  it('ends with the last one, in whatever order events and pages arrive, and nothing deleted comes back', async () => {
    const wrong: number[] = [];
    for (let seed = 1; seed <= 400; seed++) {
      const random = randomOf(seed);
      const changes = history(random);
      const last = changes.at(-1) as Change;
      const held = await copyOf(`o${seed}`, changes, random);
      if (held !== (last.gone ? null : last.state)) wrong.push(seed);
    }
    expect(wrong, 'seeds whose copy differs').toEqual([]);
  });

  it('is lost without the rule for one second: the model bites', async () => {
    // The rule of the other engines: the later arrival of the same second wins, whatever it holds.
    const careless = (eventMs: number, rowMs: number | null) => rowMs === null || eventMs >= rowMs;
    let wrong = 0;
    for (let seed = 1; seed <= 400; seed++) {
      const random = randomOf(seed);
      const changes = history(random);
      let held: { state: number; ms: number } | null = null;
      for (const one of arrivals(changes, random)) {
        if (one.kind === 'page') continue;
        const eventMs = Math.floor(one.change.atMs / 1_000) * 1_000;
        if (careless(eventMs, held?.ms ?? null)) held = { state: one.change.state, ms: eventMs };
      }
      if (held?.state !== (changes.at(-1) as Change).state) wrong += 1;
    }
    expect(wrong).toBeGreaterThan(10);
  });
});

describe('a number', () => {
  it.each([
    ['no row', 5_000, null, 'apply'],
    ['an older snapshot', 6_000, 5_000, 'apply'],
    ['a newer snapshot', 4_000, 5_000, 'stale'],
    ['a snapshot of the same second', 5_000, 5_000, 'read'],
    ['a read of a later second', 5_000, readTime(6_000), 'stale'],
    ['a read of the same second', 5_000, readTime(5_000), 'read'],
    ['a read a moment before', 7_000, readTime(5_000), 'read'],
    ['a read long before', 20_000, readTime(5_000), 'apply'],
    ['a read for an event of the same second', 5_000, readTime(4_000, 5_000), 'read'],
    ['a deletion in the same second', 5_000, deletionTime(5_000), 'read'],
    ['a deletion before', 6_000, deletionTime(5_000), 'apply'],
  ] as const)('of an event beside %s', (_, eventMs, rowMs, verdict) => {
    expect(judgeEvent(eventMs, rowMs)).toBe(verdict);
  });

  it('of a read that began when a row stood is newer than the row', () => {
    for (const rowMs of [5_000, 4_999, 5_001, 5_998]) expect(laterTime(5_000, rowMs)).toBeGreaterThanOrEqual(rowMs);
    expect(laterTime(5_000, 5_000)).toBe(5_001);
    expect(laterTime(9_000, 5_000)).toBe(8_999);
  });

  it('of an answer is at most the second in which its request left', () => {
    expect(secondOf(10_000, 0)).toBe(10_000);
    expect(secondOf(10_000, 1)).toBe(9_000);
    expect(secondOf(10_000, 2_500)).toBe(7_000);
  });
});

it('an event of a refund of an application fee asks for the fee that holds it', () => {
  const object = { id: 'fr_1', object: 'fee_refund', fee: 'fee_1' };
  const event = readEvent({ id: 'evt_1', type: 'application_fee.refund.updated', created: 1, data: { object } });
  const options = { apiVersion: '2026-08-26.dahlia', lists: [] };
  const targets = targetsOf(event, { options } as never, new Set(['application_fees']));
  expect(targets.map(({ resource, id, snapshot }) => [resource.key, id, snapshot])).toEqual([
    ['application_fees', 'fee_1', null],
  ]);
});
