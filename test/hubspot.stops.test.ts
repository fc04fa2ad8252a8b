import { describe, expect, test } from 'vitest';
import { openTokens } from '../activities/http/auth.ts';
import { openThrottle } from '../activities/http/throttle.ts';
import { beginHubspot } from '../activities/hubspot/begin.ts';
import { sendContacts } from '../activities/hubspot/slice.ts';
import type { Call } from '../activities/step.ts';
import { type Counts, noCounts } from '../connectors/hubspot/counts.ts';
import { loadConnection } from '../db/connections.ts';
import { openListener } from '../db/listen.ts';
import { type Crm, openCrm } from './harness/crm.ts';
import { failureOfRun } from './harness/platforms.ts';
import { openWorld } from './harness/world.ts';

const world = await openWorld();
const { pool, key } = world;

describe('the breaker stops a run that makes no call', () => {
  const divided = (by: string) => ({
    properties: { app_orders: { sql: `1 / (${by})`, type: 'number' } },
    tables: {},
  });
  test.each<[what: string, users: number, mapping: Record<string, unknown>, change: string]>([
    ['since every row has a value that the account lacks', 5_000, {}, `UPDATE users SET plan = 'platinum'`],
    ['since the expressions fail for everybody', 2_000, divided('u.id * 0'), 'SELECT'],
    ['since they fail for all who come first', 2_000, divided('left(u.id::text, 1)::int - 1'), 'SELECT'],
  ])('%s', async (_what, users, mapping, change) => {
    const crm = await openCrm(world, { users, mapping, options: { callsPerWindow: 10_000, inFlight: 2 } });
    await crm.sql(change);
    const { type, message } = await failureOfRun(crm.sync());
    expect(type).toBe('TooManyRejects');
    const { size } = await crm.parked();
    expect(size, '5 %, and what the calls in flight may bring').toBeLessThanOrEqual(users / 20 + 2 * 100);
    const [, refused, of] = /^(\d+) of (\d+) rows were refused/.exec(message) ?? [];
    expect(Number(refused)).toBe(size);
    // Who is set aside at this very moment may still count as marked.
    expect(Number(of)).toBeGreaterThanOrEqual(users);
    expect(Number(of)).toBeLessThanOrEqual(users + 100);
    expect(crm.source.calls.byName.upsert ?? 0).toBeLessThanOrEqual(1);
  });
});

describe('a pass that finds nothing to send', () => {
  const throttle = openThrottle(pool);
  const tokens = openTokens({ pool, key });
  const listener = openListener(world.servers.databaseUrl);
  world.onClose(() => Promise.all([throttle.close(), tokens.close(), listener.close()]));
  const connection = (id: string) => loadConnection(pool, key, id);
  const deps = { pool, throttle, tokens, listener, connection, isOpen: async () => false };

  /** Everybody is at HubSpot, and marked. */
  async function opened(): Promise<{ crm: Crm; slice(lookedMost?: number): ReturnType<typeof sliceOf> }> {
    const crm = await openCrm(world, { users: 5_000, options: { callsPerWindow: 10_000 } });
    await crm.sync();
    await pool.query(
      `INSERT INTO syncline.hubspot_dirty (connection_id, key, version)
       SELECT $1, n::text, nextval('syncline.hubspot_versions') FROM generate_series(1, 5000) n`,
      [crm.name],
    );
    return { crm, slice: (lookedMost = Number.POSITIVE_INFINITY) => sliceOf(crm, lookedMost) };
  }

  /** A slice whose time is up when it has looked at so many users. */
  async function sliceOf(crm: Crm, lookedMost: number) {
    let counts: Counts = noCounts;
    const call: Call = {
      signal: new AbortController().signal,
      attempt: 1,
      before: {},
      shouldEnd: () => counts.looked >= lookedMost,
      report: (told) => {
        counts = told as Counts;
      },
    };
    const execution = { workflowId: crm.name, runId: crm.name };
    const plan = await beginHubspot(deps, { connection: crm.name, ...execution, full: false }, call);
    if (!('claim' in plan)) throw new Error('no plan');
    const input = { plan, spent: noCounts, acceptRejects: false, only: null };
    const end = await sendContacts(deps, input, call).catch((error: Error) => error);
    return { end, counts };
  }

  test('ends when the time of the slice is up, and the next one goes on behind it', async () => {
    const { slice } = await opened();
    const first = await slice(1_000);
    expect(first.counts.looked).toBeLessThan(2_500);
    expect(first.end).toMatchObject({ done: false, waitMs: 0, dirty: 5_000 - first.counts.unchanged });
    const second = await slice();
    expect(second.end).toMatchObject({ done: true, dirty: 0 });
    expect(first.counts.unchanged + second.counts.unchanged, 'each once').toBe(5_000);
  });

  test('ends when nothing can be written down', async () => {
    const { crm, slice } = await opened();
    await pool.query(`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN RAISE 'no'; END $f$;
      CREATE TRIGGER refuse BEFORE DELETE ON syncline.hubspot_dirty FOR EACH ROW WHEN (old.connection_id = '${crm.name}') EXECUTE FUNCTION refuse()`);
    const { end, counts } = await slice();
    expect(end).toMatchObject({ code: 'P0001' });
    expect(counts.looked).toBeLessThan(5_000);
  });
});
