import { createHash } from 'node:crypto';
import type { Execution } from '../../db/claims.ts';
import { takeClaim } from '../../db/claims.ts';
import type { Connection } from '../../db/connections.ts';
import { type ApplyStep, type Mode, openPlan, type Plan } from '../../db/org/plan.ts';
import type { Deps } from '../deps.ts';
import { directoryOptionsOf } from './sources.ts';

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
export async function prepare(deps: Deps, input: PrepareInput): Promise<Prepared | { heldBy: Execution }> {
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
  const { scopeChanged, ...plan } = await openPlan(deps.pool, {
    claim,
    tenant: connection.tenant,
    mode: input.mode ?? undefined,
    scope: scopeOf(connection, options),
    dryRun: input.dryRun,
    only: input.only,
    attempt: input.attempt,
    changesDays: options.changesDays,
    workflowId,
    runId,
  });
  const off = Object.entries(options.steps).flatMap(([name, on]) => (on ? [] : [name as ApplyStep]));
  return { plan, scopeChanged, approvalHours: options.approvalHours, off };
}

/** Options that decide neither who is read nor what of him. All others make the scope; another scope is another source. */
const besideScope = new Set([
  'userLimit',
  'guards',
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
]);

function scopeOf(connection: Connection, options: Record<string, unknown>): string {
  const scope = Object.entries(options).filter(([key, value]) => !besideScope.has(key) && value !== undefined);
  const text = JSON.stringify([connection.platform, connection.baseUrl, scope.sort(([a], [b]) => (a < b ? -1 : 1))]);
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}
