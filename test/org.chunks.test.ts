import { expect, test } from 'vitest';
import { type Claim, takeClaim } from '../db/claims.ts';
import { createPool } from '../db/client.ts';
import { saveConnection } from '../db/connections.ts';
import { applyChunk } from '../db/org/apply.ts';
import { closePlan, openPlan, type Plan } from '../db/org/plan.ts';
import { openWorld } from './harness/world.ts';

const world = await openWorld({ worker: false });
const people = 4_000;

/** A plan that adds people, each with two groups, as `markUsers` writes it. */
async function planOf(name: string): Promise<Plan> {
  const place = { platform: 'scim', baseUrl: 'http://127.0.0.1:1', credential: null, options: {} };
  await saveConnection(world.pool, world.key, { id: name, tenant: name, ...place });
  const run = { workflowId: name, runId: name };
  const claim = (await takeClaim(world.pool, {
    ...run,
    connection: name,
    pipeline: 'org',
    isOpen: async () => false,
  })) as Claim;
  const plan = await openPlan(world.pool, {
    ...run,
    claim,
    tenant: name,
    mode: 'full',
    scope: 'all',
    dryRun: false,
    only: null,
    attempt: 1,
    changesDays: 30,
  });
  await world.pool.query(
    `INSERT INTO org.change_rows (plan_id, no, step, kind, action, source_id, after, groups)
     SELECT $1, n, 'addUsers', 'user', 'add', lpad(n::text, 6, '0'),
       ARRAY['u' || n, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'true', NULL], ARRAY['g' || n % 7, 'h' || n % 5]
     FROM generate_series(1, $2::int) n`,
    [plan.id, people],
  );
  return plan;
}

async function held(name: string) {
  const { rows } = await world.pool.query(
    `SELECT (SELECT count(*) FROM org.users WHERE connection_id = $1 AND deleted_at IS NULL)::int AS living,
            (SELECT count(*) FROM org.memberships WHERE connection_id = $1)::int AS memberships`,
    [name],
  );
  return rows[0];
}

test('a chunk of people whom nobody held looks at no other row', async () => {
  const plan = await planOf('chunked');
  const reads = async () => {
    const { rows } = await world.pool.query(
      `SELECT sum(seq_scan + idx_scan)::int AS n FROM pg_stat_user_tables WHERE schemaname = 'org' AND relname IN ('users', 'memberships')`,
    );
    return rows[0].n;
  };
  const before = await reads();
  const pool = createPool({ url: world.servers.databaseUrl, size: 1, name: 'chunk' });
  const added = await applyChunk(pool, plan, 'addUsers', { from: 1, to: people });
  // A session tells what it did about once a second, or when it is asked to.
  await pool.query('SELECT pg_stat_force_next_flush()');
  await pool.end();
  expect(added).toEqual({ next: people + 1, applied: people });
  expect(await reads()).toBe(before);
  await closePlan(world.pool, plan, 'applied');
  expect(await held('chunked')).toEqual({ living: people, memberships: 2 * people });
});

test('a chunk whose answer was lost changes nothing the second time', async () => {
  const plan = await planOf('again');
  const range = { from: 1, to: people };
  const first = await applyChunk(world.pool, plan, 'addUsers', range);
  expect(await applyChunk(world.pool, plan, 'addUsers', range)).toEqual(first);
  await closePlan(world.pool, plan, 'applied');
  expect(await held('again')).toEqual({ living: people, memberships: 2 * people });
});
