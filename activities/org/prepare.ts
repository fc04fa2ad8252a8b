import { createHash } from 'node:crypto';
import { platformOptions } from '../../connectors/platform.ts';
import type { Execution } from '../../db/claims.ts';
import { takeClaim } from '../../db/claims.ts';
import type { Connection } from '../../db/connections.ts';
import { type ApplyStep, type Mode, openPlan, type Plan } from '../../db/org/plan.ts';
import type { Deps } from '../deps.ts';
import { RetryLater, SyncError } from '../errors.ts';
import type { Call } from '../step.ts';
import { directoryOptionsOf, openSource } from './sources.ts';

export interface PrepareInput extends Execution {
  connection: string;
  mode: Mode | null;
  dryRun: boolean;
  only: string | null;
  attempt: number;
}

/** What the workflow needs to know once: read here, so that a change of options cannot break a running run's replay. */
export interface Prepared {
  plan: Plan;
  scopeChanged: boolean;
  approvalHours: number;
  /** Steps switched off by the connection. */
  off: ApplyStep[];
}

/** First activity of every run: takes the claim, opens the plan with an empty stage, decides the mode. */
export async function prepare(deps: Deps, input: PrepareInput, call: Call): Promise<Prepared | { heldBy: Execution }> {
  const connection = await deps.connection(input.connection);
  const options = directoryOptionsOf(connection);
  const { workflowId, runId } = input;
  const claim = await takeClaim(deps.pool, {
    connection: connection.id,
    pipeline: 'org',
    workflowId,
    runId,
    isOpen: deps.isOpen,
  });
  if ('heldBy' in claim) return claim;
  const seen = await visibleScope(deps, connection, call);
  const { scopeChanged, ...plan } = await openPlan(deps.pool, {
    claim,
    tenant: connection.tenant,
    mode: input.mode ?? undefined,
    scope: scopeOf(connection, options, seen),
    dryRun: input.dryRun,
    only: input.only,
    attempt: input.attempt,
    changesDays: options.changesDays,
    workflowId,
    runId,
  });
  const off = Object.entries(options.steps).flatMap(([name, on]) => (on ? [] : [name as ApplyStep]));
  const reads = scopeOf(connection, options);
  return { plan: { ...plan, reads }, scopeChanged, approvalHours: options.approvalHours, off };
}

/**
 * The connection of a run that still reads, as long as it reads what the plan began with: half of another scope planned
 * with it would delete, unasked, whom the new scope leaves out.
 * @throws SyncError ScopeChanged: the run starts over under the new scope
 */
export async function connectionOf(deps: Deps, plan: Plan): Promise<Connection> {
  const connection = await deps.connection(plan.claim.connection);
  const same = plan.reads === undefined || plan.reads === scopeOf(connection, directoryOptionsOf(connection));
  if (same) return connection;
  throw new SyncError(
    'ScopeChanged',
    `What connection "${connection.id}" reads (address, filters, mapping or bases) was changed while it was read: it is read again under the new scope`,
  );
}

/** Options that decide neither who is read nor what of him. All others make the scope; another scope is another source. */
const besideScope = new Set([
  'userLimit',
  'guards',
  'allowEmpty',
  'approvalHours',
  'steps',
  'confirmMissing',
  'changesDays',
  'pageSize',
  'paging',
  'usersWithoutGroup',
  'maxDepth',
  'startTls',
  'caFile',
  'tlsServerName',
  ...Object.keys(platformOptions),
]);

/**
 * What the credential may see, where the source tells: it decides who is read just as the options do.
 * @throws SyncError Unavailable where the source asks to wait: this step has no cursor to come back to
 */
async function visibleScope(deps: Deps, connection: Connection, call: Call): Promise<string | undefined> {
  const source = openSource(connection, deps);
  try {
    return await source.scope?.(call.signal);
  } catch (error) {
    if (error instanceof RetryLater) throw new SyncError('Unavailable', error.message, { cause: error });
    throw error;
  } finally {
    await source.close();
  }
}

function scopeOf(connection: Connection, options: Record<string, unknown>, seen?: string): string {
  const scope = Object.entries(options).filter(([key, value]) => !besideScope.has(key) && value !== undefined);
  const sorted = scope.sort(([a], [b]) => (a < b ? -1 : 1));
  const text = JSON.stringify([connection.platform, connection.baseUrl, sorted, ...(seen === undefined ? [] : [seen])]);
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}
