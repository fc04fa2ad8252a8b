import type { Client } from './client.ts';
import type { Pass } from './passes.ts';
import { rejectPipeline } from './rejects.ts';
import { addSlices } from './slices.ts';
import { type StreamTable, sqlName } from './streams.ts';

/** What is known of the stream whose ids another one is read for, at the moment they are taken. */
export interface ParentReading {
  /** It was read to its end, whole or in doubt. */
  ended: boolean;
  /** The last time it was. */
  whole: boolean;
  /** That reading began after the last whole full pass of the other stream had ended. */
  since: boolean;
  /** Records of it that stand aside and are no row: nobody asks for their ids. */
  aside: number;
}

export async function parentReading(
  client: Client,
  { claim, stream }: Pick<Pass, 'claim' | 'stream'>,
  parent: StreamTable,
): Promise<ParentReading> {
  const { rows } = await client.query(
    `SELECT p.id IS NOT NULL AS ended, coalesce(p.verdict = 'whole', false) AS whole,
       coalesce(p.started_at >= coalesce(c.ended_at, '-infinity'), false) AS since, r.aside
     FROM (SELECT count(*)::int AS aside FROM syncline.rejects r
       WHERE r.connection_id = $1 AND r.pipeline = $4 AND r.stream = $3 AND r.resolved_at IS NULL
         AND NOT EXISTS (SELECT 1 FROM ${sqlName(parent)} t WHERE t.connection_id = $1 AND t.id = r.source_id AND t.deleted_at IS NULL)) r
     LEFT JOIN LATERAL (SELECT id, verdict, started_at FROM syncline.passes
       WHERE connection_id = $1 AND stream = $3 AND kind <> 'replay' AND verdict <> 'dropped' ORDER BY id DESC LIMIT 1) p ON true
     LEFT JOIN LATERAL (SELECT ended_at FROM syncline.passes
       WHERE connection_id = $1 AND stream = $2 AND kind = 'full' AND verdict = 'whole' ORDER BY id DESC LIMIT 1) c ON true`,
    [claim.connection, stream, parent.name, rejectPipeline(claim)],
  );
  return rows[0];
}

/** Puts a pass that was just cut in doubt, also one without parts. */
export async function doubtPass(client: Client, passId: number, doubt: string): Promise<void> {
  const set = () => client.query('UPDATE syncline.slices SET doubt = $2 WHERE pass_id = $1', [passId, doubt]);
  if ((await set()).rowCount !== 0) return;
  await addSlices(client, passId, [{}]);
  await set();
}
