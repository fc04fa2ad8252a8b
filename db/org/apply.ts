import { writeUnderClaim } from '../claims.ts';
import type { Client, Pool } from '../client.ts';
import { changeFields } from '../schema/org.ts';
import { type ApplyStep, knowDirectory, type Plan, type Range } from './plan.ts';

/** Changes applied in one transaction: people and their groups take about 150 ms, so that a kill loses and blocks little. */
export const chunkSize = 5_000;

/**
 * Applies the changes `range.from` to at most `range.from + chunkSize` of a step in one transaction. Every statement
 * may run again: a chunk whose answer was lost changes nothing the second time. Its commit is flushed by `flushCommits`.
 * @returns number of the first change behind the chunk, and how many changes of the step stood in it
 */
export async function applyChunk(
  pool: Pool,
  plan: Plan,
  step: ApplyStep,
  range: Range,
): Promise<{ next: number; applied: number }> {
  const to = Math.min(range.to, range.from + chunkSize - 1);
  const values = [plan.id, range.from, to, step, plan.claim.connection];
  const { applied, fresh } = await lookAt(pool, values);
  const write = async (plain: boolean) => {
    if (!plain) await knowDirectory(pool, plan);
    await writeUnderClaim(pool, plan.claim, { name: step, durable: false }, async (client) => {
      const chunk: Chunk = { client, plan, values };
      if (step === 'addGroups') await writeGroups(chunk);
      if (step === 'addUsers' || step === 'editUsers') await writeUsers(chunk, plain);
      if (!plain) await removeMemberships(chunk);
      if (step === 'addUsers' || step === 'moveUsers') await writeMemberships(chunk, plain);
      if (step === 'deleteUsers') await deleteUsers(chunk);
      if (step === 'deleteGroups') await deleteGroups(chunk);
    });
  };
  await write(fresh).catch((error) => {
    // The chunk was committed before, and its answer was lost: its own rows are there.
    if (fresh && error.code === uniqueViolation && keys.test(error.constraint ?? '')) return write(false);
    throw error;
  });
  return { next: to + 1, applied };
}

const uniqueViolation = '23505';
/** A name that somebody else holds is another trouble. */
const keys = /^(users|memberships)_.+_pk$/;

/**
 * Makes every commit before it durable. A slice ends with it: Temporal must not count a chunk as done that a crash of
 * the server could still take back.
 */
export async function flushCommits(pool: Pool, plan: Plan): Promise<void> {
  await writeUnderClaim(pool, plan.claim, { name: 'flush' }, async () => undefined);
}

interface Chunk {
  client: Client;
  plan: Plan;
  /** $1 plan, $2 from, $3 to, $4 step, $5 connection. */
  values: unknown[];
}

const ofChunk = 'c.plan_id = $1 AND c.no BETWEEN $2 AND $3 AND c.step = $4';

/**
 * How many changes the chunk has, and whether it brings only people whom nobody held when it was planned. They are inserted
 * plainly: no other row is looked at, which costs a fifth less than an upsert. Asking whether they are there would be a join
 * with a table that two lanes fill, and of which the planner knows nothing yet: 18 s for 5,000 people.
 */
async function lookAt(pool: Pool, values: unknown[]): Promise<{ applied: number; fresh: boolean }> {
  const { rows } = await pool.query(
    `SELECT count(*)::int AS applied, coalesce(bool_and(c.kind = 'user' AND c.action = 'add' AND c.before IS NULL), false) AS fresh
     FROM org.change_rows c WHERE ${ofChunk}`,
    values.slice(0, 4),
  );
  return rows[0];
}

async function writeGroups({ client, plan, values }: Chunk): Promise<void> {
  await client.query(
    `INSERT INTO org.groups (connection_id, id, tenant, name, parent_id, generation)
     SELECT $5, c.source_id, $6, c.after[1], c.after[2], $1 FROM org.change_rows c WHERE ${ofChunk} AND c.kind = 'group'
     ORDER BY c.source_id
     ON CONFLICT (connection_id, id) DO UPDATE SET tenant = excluded.tenant, name = excluded.name, parent_id = excluded.parent_id,
       generation = excluded.generation, synced_at = now(), deleted_at = NULL`,
    [...values, plan.tenant],
  );
}

async function writeUsers({ client, plan, values }: Chunk, plain: boolean): Promise<void> {
  const columns = changeFields.user;
  const casts: Record<string, string> = { active: '::boolean', attributes: '::jsonb' };
  const upsert = `ON CONFLICT (connection_id, id) DO UPDATE SET tenant = excluded.tenant, user_name_key = excluded.user_name_key,
     generation = excluded.generation, synced_at = now(), deleted_at = NULL, ${columns.map((f) => `${f} = excluded.${f}`).join(', ')}`;
  await client.query(
    `INSERT INTO org.users (connection_id, id, tenant, user_name_key, generation, ${columns.join(', ')})
     SELECT $5, c.source_id, $6, lower(c.after[1]), $1, ${columns.map((f, i) => `c.after[${i + 1}]${casts[f] ?? ''}`).join(', ')}
     FROM org.change_rows c WHERE ${ofChunk} AND c.kind = 'user' ORDER BY c.source_id
     ${plain ? '' : upsert}`,
    [...values, plan.tenant],
  );
}

async function writeMemberships({ client, values }: Chunk, plain: boolean): Promise<void> {
  await client.query(
    `INSERT INTO org.memberships (connection_id, user_id, group_id, is_primary, generation)
     SELECT $5, c.source_id, g.group_id, g.n = 1, $1 FROM org.change_rows c
     CROSS JOIN LATERAL unnest(c.groups) WITH ORDINALITY AS g(group_id, n) WHERE ${ofChunk} AND c.kind = 'user'
     UNION ALL
     SELECT $5, c.source_id, c.group_id, c.after[1]::boolean, $1 FROM org.change_rows c
     WHERE ${ofChunk} AND c.kind = 'membership' AND c.after IS NOT NULL
     ORDER BY 2, 3
     ${plain ? '' : 'ON CONFLICT (connection_id, user_id, group_id) DO UPDATE SET is_primary = excluded.is_primary, generation = excluded.generation'}`,
    values,
  );
}

async function removeMemberships({ client, values }: Chunk): Promise<void> {
  await client.query(
    `DELETE FROM org.memberships m USING org.change_rows c WHERE ${ofChunk} AND c.kind = 'membership' AND c.action = 'remove'
       AND m.connection_id = $5 AND m.user_id = c.source_id AND m.group_id = c.group_id`,
    values,
  );
}

async function deleteUsers({ client, values }: Chunk): Promise<void> {
  await client.query(
    `UPDATE org.users u SET deleted_at = now(), user_name_key = NULL, generation = $1, synced_at = now() FROM org.change_rows c
     WHERE ${ofChunk} AND c.kind = 'user' AND u.connection_id = $5 AND u.id = c.source_id AND u.deleted_at IS NULL`,
    values,
  );
}

/** Nobody stays in a group that goes, also where the step that would have taken people out is switched off. */
async function deleteGroups({ client, values }: Chunk): Promise<void> {
  await client.query(
    `DELETE FROM org.memberships m USING org.change_rows c WHERE ${ofChunk} AND c.kind = 'group' AND m.connection_id = $5 AND m.group_id = c.source_id`,
    values,
  );
  await client.query(
    `UPDATE org.groups g SET deleted_at = now(), generation = $1, synced_at = now() FROM org.change_rows c
     WHERE ${ofChunk} AND c.kind = 'group' AND g.connection_id = $5 AND g.id = c.source_id AND g.deleted_at IS NULL`,
    values,
  );
}

/**
 * Frees the names that this plan takes from people, before anybody gets them: two people may swap names, and a new
 * one may take a name that another gives up in a later step. A freed name comes back with the row's own edit.
 */
export async function releaseNames(pool: Pool, plan: Plan): Promise<void> {
  await knowDirectory(pool, plan);
  await writeUnderClaim(pool, plan.claim, { name: 'release names', durable: false }, async (client) => {
    await client.query(
      `UPDATE org.users u SET user_name_key = NULL FROM org.change_rows c
       WHERE c.plan_id = $1 AND c.kind = 'user' AND c.action = 'edit' AND lower(c.before[1]) <> lower(c.after[1])
         AND u.connection_id = $2 AND u.id = c.source_id AND u.user_name_key = lower(c.before[1])`,
      [plan.id, plan.claim.connection],
    );
  });
}
