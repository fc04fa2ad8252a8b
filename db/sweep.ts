import type { Client } from './client.ts';
import type { Pass } from './passes.ts';
import { seenOf } from './seen.ts';
import { type StreamTable, sqlName } from './streams.ts';

/** Most rows a sweep may take without being asked; the smaller of count and share (see connectors/platform.ts). */
export interface SweepGuard {
  count: number;
  percent: number;
  smallCount: number;
  smallPercent: number;
}

export interface SweepRules {
  /**
   * Rows missing from a whole full pass are marked deleted. `twice`: only those that the whole full pass before missed too
   * (see connectors/deletes.ts for the lists that need it).
   */
  sweep: boolean | 'twice';
  guard: SweepGuard;
  /** A person has looked and said yes: the guard is not asked. Doubts still withhold the sweep. */
  force: boolean;
}

export interface Swept {
  deleted: number;
  withheld: number;
  /** Missing for the first time. */
  unsure: number;
  why: string | null;
}

const nobody: Swept = { deleted: 0, withheld: 0, unsure: 0, why: null };

/** Marks the living rows deleted that a full pass did not bring, as far as it proves that they are gone. */
export async function sweep(
  client: Client,
  pass: Pass,
  table: StreamTable,
  rules: SweepRules,
  { doubt, cameEmpty }: { doubt: string | null; cameEmpty: boolean },
): Promise<Swept> {
  if (pass.kind !== 'full' || !rules.sweep) return nobody;
  const values = [pass.claim.connection, pass.startedMs];
  // A row that was read after the pass began is alive, whoever read it.
  const missing = `t.connection_id = $1 AND t.deleted_at IS NULL AND t.synced_at < to_timestamp($2::float8 / 1000)
    AND NOT EXISTS (SELECT 1 FROM ${seenOf(pass)} s WHERE s.id = t.id)`;
  const { rows } = await client.query(
    `SELECT count(*) FILTER (WHERE ${missing})::int AS missing, count(*)::int AS living FROM ${sqlName(table)} t
     WHERE t.connection_id = $1 AND t.deleted_at IS NULL`,
    values,
  );
  const { missing: gone, living } = rows[0] as { missing: number; living: number };
  const empty = cameEmpty && !rules.force;
  const why = gone === 0 ? null : (doubt ?? whyAll(rules, { gone, living, empty }));
  const twice = rules.sweep === 'twice';
  const sure = twice
    ? `${missing} AND EXISTS (SELECT 1 FROM ${missed} m WHERE m.connection_id = $1 AND m.stream = $4 AND m.id = t.id)`
    : missing;
  let deleted = 0;
  if (gone > 0 && why === null) {
    const { rowCount } = await client.query(
      `UPDATE ${sqlName(table)} t SET deleted_at = to_timestamp($2::float8 / 1000), generation = $3 WHERE ${sure}`,
      [...values, pass.id, ...(twice ? [pass.stream] : [])],
    );
    deleted = rowCount ?? 0;
  }
  // What is in doubt counts as no reading of the two.
  if (twice)
    await keepMissed(
      client,
      pass,
      doubt === null && !empty ? `SELECT t.id FROM ${sqlName(table)} t WHERE ${missing}` : null,
      values,
    );
  if (why !== null) return { ...nobody, withheld: gone, why };
  return { ...nobody, deleted, unsure: gone - deleted };
}

const missed = 'syncline.missed';

/** Who is missing from this pass takes the place of who was from the one before. */
async function keepMissed(client: Client, pass: Pass, ids: string | null, values: readonly unknown[]): Promise<void> {
  const { stream, claim } = pass;
  await client.query(`DELETE FROM ${missed} WHERE connection_id = $1 AND stream = $2`, [claim.connection, stream]);
  if (ids !== null)
    await client.query(`INSERT INTO ${missed} (connection_id, stream, id) SELECT $1, $3, x.id FROM (${ids}) x`, [
      ...values,
      stream,
    ]);
}

/** Why none of those who are missing may go without asking; null where they may. */
function whyAll(
  { guard, force }: SweepRules,
  { gone, living, empty }: { gone: number; living: number; empty: boolean },
): string | null {
  if (empty) return `the list came empty where ${living} rows live: nothing was deleted`;
  const most = allowed(guard, living);
  if (force || gone <= most) return null;
  return `${gone} of ${living} rows are missing at the source, allowed without asking ${most}: nothing was deleted`;
}

function allowed(guard: SweepGuard, living: number): number {
  const [count, percent] = living < 100 ? [guard.smallCount, guard.smallPercent] : [guard.count, guard.percent];
  return Math.min(count, Math.floor((living * percent) / 100));
}
