import { expect, vi } from 'vitest';
import type { Pool } from '../../db/client.ts';
import type { Handle } from './world.ts';

/** Everything we hold for a connection with the physical version of each row: equal snapshots mean that nothing was written. */
export async function snapshot(pool: Pool, connection: string): Promise<Record<string, string[]>> {
  const found: Record<string, string[]> = {};
  for (const table of ['users', 'groups', 'memberships']) {
    const { rows } = await pool.query(
      `SELECT t.xmin || ' ' || to_jsonb(t)::text AS row FROM org.${table} t WHERE connection_id = $1 ORDER BY to_jsonb(t)::text`,
      [connection],
    );
    found[table] = rows.map((r) => r.row);
  }
  return found;
}

/** Ids of our living people or groups, in byte order. */
export async function livingIds(pool: Pool, connection: string, table: 'users' | 'groups'): Promise<string[]> {
  const { rows } = await pool.query(
    `SELECT id FROM org.${table} WHERE connection_id = $1 AND deleted_at IS NULL ORDER BY id`,
    [connection],
  );
  return rows.map((r) => r.id);
}

/** One person as we hold it, or undefined. */
export async function personOf(pool: Pool, connection: string, id: string): Promise<Record<string, unknown>> {
  const { rows } = await pool.query('SELECT * FROM org.users WHERE connection_id = $1 AND id = $2', [connection, id]);
  return rows[0];
}

export interface Reject {
  stream: string;
  source_id: string;
  reason: string;
  field: string | null;
  record: string | null;
  position: string | null;
}

/** Rejects that stand, by stream and id. */
export async function rejectsOf(pool: Pool, connection: string): Promise<Reject[]> {
  const { rows } = await pool.query(
    `SELECT stream, source_id, reason, field, record, position FROM syncline.rejects
     WHERE connection_id = $1 AND resolved_at IS NULL ORDER BY stream, source_id`,
    [connection],
  );
  return rows;
}

/** Rejects as one line each: `users u1 too_long userName`. */
export async function rejectLines(pool: Pool, connection: string): Promise<string[]> {
  const rejects = await rejectsOf(pool, connection);
  return rejects.map((r) => `${r.stream} ${r.source_id} ${r.reason} ${r.field}`).sort();
}

/** A run that ended leaves no stage, whatever its end. */
export async function expectNoStage(pool: Pool, connection: string): Promise<void> {
  const { rows } = await pool.query(
    `SELECT t.tablename FROM pg_tables t JOIN org.plans p ON t.tablename ~ ('^p' || p.id || '_')
     WHERE t.schemaname = 'org_stage' AND p.connection_id = $1`,
    [connection],
  );
  expect(rows, 'stage tables of an ended run').toEqual([]);
}

/** Waits until an activity of the run is being retried, and gives the failure that the Temporal UI shows for it. */
export async function pendingFailure(handle: Handle): Promise<string> {
  return vi.waitFor(
    async () => {
      const { raw } = await handle.describe();
      const message = raw.pendingActivities?.find((a) => a.lastFailure)?.lastFailure?.message;
      if (!message) throw new Error('no pending activity has failed so far');
      return message;
    },
    { timeout: 20_000, interval: 100 },
  );
}
