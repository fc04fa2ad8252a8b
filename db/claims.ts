import pg from 'pg';
import { type Client, type Pool, type TransactionOptions, transaction } from './client.ts';
import { connectionUnknown, isStanding, stands } from './connections.ts';
import { forgetSettled } from './rejects.ts';

/** Who may write: handed from activity to activity. Holds nothing secret. */
export interface Claim {
  connection: string;
  pipeline: string;
  epoch: number;
}

export interface Execution {
  workflowId: string;
  runId: string;
}

export interface ClaimRequest extends Execution {
  connection: string;
  pipeline: string;
  /** Asks Temporal whether that execution is still open. */
  isOpen: (execution: Execution) => Promise<boolean>;
}

/** Another run took the connection over: whatever this activity still holds must not be written. */
export class ClaimLost extends Error {
  override name = 'ClaimLost';
}

/**
 * Takes the connection for a run. A holder that Temporal calls open keeps it; a closed, terminated or forgotten holder
 * loses it. Two takers at once: the epoch is compared and set, so one wins and the other sees the winner. Asking again
 * from the same run returns the same epoch. A run that begins deletes what the pipeline's records left a month ago.
 * A connection that goes meanwhile (db/disconnect.ts) gives no claim any more.
 * @throws ConnectionUnknown
 */
export async function takeClaim(pool: Pool, request: ClaimRequest): Promise<Claim | { heldBy: Execution }> {
  const { connection, pipeline, workflowId, runId } = request;
  // Runs of campaigns claim under a name that no connection can have.
  const ofConnection = !connection.includes(' ');
  for (;;) {
    const { rows } = await pool.query(
      `SELECT epoch, workflow_id AS "workflowId", run_id AS "runId" FROM syncline.claims
       WHERE connection_id = $1 AND pipeline = $2`,
      [connection, pipeline],
    );
    const held = rows[0] as (Execution & { epoch: number }) | undefined;
    if (held?.workflowId === workflowId && held.runId === runId) return { connection, pipeline, epoch: held.epoch };
    if (held && (await request.isOpen(held))) return { heldBy: { workflowId: held.workflowId, runId: held.runId } };
    const taken = await pool.query(
      `INSERT INTO syncline.claims AS c (connection_id, pipeline, epoch, workflow_id, run_id)
       SELECT $1, $2, nextval('syncline.epochs'), $3, $4 WHERE ${ofConnection ? stands('$1') : 'true'}
       ON CONFLICT (connection_id, pipeline) DO UPDATE
         SET epoch = greatest(excluded.epoch, c.epoch + 1), workflow_id = $3, run_id = $4, claimed_at = now() WHERE c.epoch = $5
       RETURNING epoch`,
      [connection, pipeline, workflowId, runId, held?.epoch ?? 0],
    );
    if (!taken.rows[0]) {
      if (ofConnection && !(await isStanding(pool, connection))) throw await connectionUnknown(pool, connection);
      continue;
    }
    const claim = { connection, pipeline, epoch: taken.rows[0].epoch as number };
    await forgetSettled(pool, claim);
    return claim;
  }
}

/** The claim as it stands, for who writes beside the run that holds it; null where none was ever taken. */
export async function heldClaim(pool: Pool, connection: string, pipeline: string): Promise<Claim | null> {
  const { rows } = await pool.query('SELECT epoch FROM syncline.claims WHERE connection_id = $1 AND pipeline = $2', [
    connection,
    pipeline,
  ]);
  return rows[0] ? { connection, pipeline, epoch: rows[0].epoch } : null;
}

/** Run that took the claim last; null where none did. */
export async function claimHolder(pool: Pool, connection: string, pipeline: string): Promise<Execution | null> {
  const { rows } = await pool.query(
    `SELECT workflow_id AS "workflowId", run_id AS "runId" FROM syncline.claims WHERE connection_id = $1 AND pipeline = $2`,
    [connection, pipeline],
  );
  return rows[0] ?? null;
}

/**
 * The way activities write: one transaction that first proves the claim. FOR SHARE makes a successor wait for the commit, so
 * nothing of an older epoch lands after the successor has begun. `writeInTurn` (db/hubspot/turns.ts) proves an attempt as well.
 */
export async function writeUnderClaim<T>(
  pool: Pool,
  claim: Claim,
  options: TransactionOptions,
  work: (client: Client) => Promise<T>,
): Promise<T> {
  const first = `SELECT 1 FROM syncline.claims WHERE ${isHeld(claim)} FOR SHARE`;
  return transaction(
    pool,
    { ...options, name: `${options.name} ${claim.connection}`, first },
    async (client, { rowCount }) => {
      if (rowCount === 1) return work(client);
      throw takenOver(claim);
    },
  );
}

/** SQL condition of `syncline.claims`. */
export const isHeld = ({ connection, pipeline, epoch }: Claim) =>
  `connection_id = ${pg.escapeLiteral(connection)} AND pipeline = ${pg.escapeLiteral(pipeline)} AND epoch = ${epoch}`;

export const takenOver = ({ connection, epoch }: Claim) =>
  new ClaimLost(
    `Connection "${connection}" was taken over by a later run: this one (epoch ${epoch}) writes nothing more.`,
  );
