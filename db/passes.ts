import { type Claim, writeUnderClaim } from './claims.ts';
import type { Client, Pool } from './client.ts';
import { dropSeen, makeSeen } from './seen.ts';
import { addSlices, jsonOf, type Range } from './slices.ts';

export type PassKind = 'full' | 'incremental' | 'replay';

/** One reading of a stream, handed from activity to activity. Ids and settings only. */
export interface Pass {
  id: number;
  claim: Claim;
  stream: string;
  kind: PassKind;
  /** When it began, ms since 1970: rows read later are never swept by it. */
  startedMs: number;
  fromMs: number | null;
  toMs: number | null;
  /** Row version that it begins with, where the stream has one and an earlier pass was whole. */
  fromVersion?: string | number | null;
  /** The ids that come are kept: for a sweep, or to prove a list whose rows move (db/seen.ts). */
  keepsSeen: boolean;
}

export interface PassRequest {
  claim: Claim;
  stream: string;
  kind: PassKind;
  scope: string;
  fromMs: number | null;
  toMs: number | null;
  fromVersion?: string | number | null;
  keepsSeen: boolean;
}

/** Whether an earlier run left a full pass of this scope open, begun since so many minutes, which openPass goes on with when full is asked for. */
export async function isLeftFull(
  pool: Pool,
  connection: string,
  stream: string,
  { scope, minutes }: { scope: string; minutes: number },
): Promise<boolean> {
  // Of several the newest: openPass drops the others.
  const { rows } = await pool.query(
    `SELECT kind = 'full' AND scope = $3 AND started_at > now() - make_interval(mins => $4) AS yes FROM syncline.passes
     WHERE connection_id = $1 AND stream = $2 AND ended_at IS NULL AND kind <> 'replay' ORDER BY id DESC LIMIT 1`,
    [connection, stream, scope, minutes],
  );
  return rows[0]?.yes ?? false;
}

/**
 * Goes on with the pass that a terminated run left open, when it is of the same kind, scope and start; drops it otherwise.
 * A resumed incremental pass keeps its old end: the next one reads on from there. A replay lets a full pass stand, for the
 * next run that goes on with it.
 * @param cut gives the parts of a new pass, or adds them itself
 */
export async function openPass(
  pool: Pool,
  request: PassRequest,
  cut: (client: Client, passId: number) => Promise<readonly Range[]>,
): Promise<{ pass: Pass; resumed: boolean }> {
  const { claim, stream, kind, scope } = request;
  return writeUnderClaim(pool, claim, { name: 'openPass', heavy: true }, async (client) => {
    const { rows: open } = await client.query(
      `SELECT id::int, kind, scope, extract(epoch FROM started_at) * 1000 AS started, extract(epoch FROM from_time) * 1000 AS from_ms,
              extract(epoch FROM to_time) * 1000 AS to_ms, from_version
       FROM syncline.passes WHERE connection_id = $1 AND stream = $2 AND ended_at IS NULL ORDER BY id DESC`,
      [claim.connection, stream],
    );
    const same = open.find(
      (one) => one.kind === kind && one.scope === scope && (kind !== 'replay' || rangeIs(one, request)),
    );
    for (const old of open)
      if (old !== same && !(kind === 'replay' && old.kind === 'full')) await dropPass(client, old);
    await forgetPasses(client, claim.connection, stream);
    if (same)
      return {
        pass: passOf(same.id, request, Number(same.started), {
          fromMs: msOf(same.from_ms),
          toMs: msOf(same.to_ms),
          fromVersion: same.from_version,
        }),
        resumed: true,
      };
    const { rows } = await client.query(
      `INSERT INTO syncline.passes (connection_id, stream, kind, scope, from_time, to_time, from_version)
       VALUES ($1, $2, $3, $4, to_timestamp($5::float8 / 1000), to_timestamp($6::float8 / 1000), $7)
       RETURNING id::int, extract(epoch FROM started_at) * 1000 AS started`,
      [claim.connection, stream, kind, scope, request.fromMs, request.toMs, jsonOf(request.fromVersion)],
    );
    const { id, started } = rows[0];
    if (request.keepsSeen) await makeSeen(client, { id, kind });
    await addSlices(client, id, await cut(client, id));
    return { pass: passOf(id, request, Number(started), request), resumed: false };
  });
}

/** Ended passes are kept for whoever wonders what a run did. A stream read every minute would keep half a million a year. */
async function forgetPasses(client: Client, connection: string, stream: string): Promise<void> {
  // The oldest alone are looked at: each pass is one more and up to twenty less.
  await client.query(
    `DELETE FROM syncline.passes p USING (
       SELECT id FROM syncline.passes WHERE connection_id = $1 AND stream = $2 ORDER BY id LIMIT 20) oldest
     WHERE p.id = oldest.id AND p.ended_at < now() - interval '30 days'`,
    [connection, stream],
  );
}

const msOf = (value: unknown) => (value === null ? null : Number(value));

function rangeIs(last: { from_ms: unknown; to_ms: unknown }, request: PassRequest): boolean {
  return msOf(last.from_ms) === request.fromMs && msOf(last.to_ms) === request.toMs;
}

function passOf(
  id: number,
  { claim, stream, kind, keepsSeen }: PassRequest,
  started: number,
  { fromMs, toMs, fromVersion = null }: Pick<Pass, 'fromMs' | 'toMs' | 'fromVersion'>,
): Pass {
  return { id, claim, stream, kind, startedMs: Math.floor(started), fromMs, toMs, fromVersion, keepsSeen };
}

async function dropPass(client: Client, { id, kind }: Pick<Pass, 'id' | 'kind'>): Promise<void> {
  await dropSeen(client, { id, kind });
  await client.query('DELETE FROM syncline.slices WHERE pass_id = $1', [id]);
  await client.query(`UPDATE syncline.passes SET ended_at = now(), verdict = 'dropped' WHERE id = $1`, [id]);
}
