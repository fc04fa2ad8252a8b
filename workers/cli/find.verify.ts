import { type Client, defaultPayloadConverter } from '@temporalio/client';
import type { Execution } from '../../db/claims.ts';
import { verifyStripeId } from '../../workflows/stripe.verify.ts';
import { describeRun, type Run } from './runs.ts';

/** Open comparisons are few; more than this are not looked at. */
const most = 100;

/**
 * Open comparisons of a Stripe account. They hold no claim, so they are looked for by the usual id, and by type among the
 * open runs for those that were started from the UI under another id; one of these may be missing in its first second.
 */
export async function findComparisons(client: Client, connection: string): Promise<Run[]> {
  const [usual, others] = await Promise.all([
    describeRun(client, { workflowId: verifyStripeId(connection), runId: '' }),
    openUnderOtherIds(client, connection),
  ]);
  return [usual, ...others].filter((run): run is Run => run?.status === 'RUNNING' && run.type === 'verifyStripe');
}

async function openUnderOtherIds(client: Client, connection: string): Promise<(Run | null)[]> {
  const found: Execution[] = [];
  const query = `WorkflowType = 'verifyStripe' AND ExecutionStatus = 'Running'`;
  for await (const { workflowId, runId } of client.workflow.list({ query, pageSize: most })) {
    if (workflowId !== verifyStripeId(connection)) found.push({ workflowId, runId });
    if (found.length >= most) break;
  }
  const named = await Promise.all(found.map((one) => connectionOf(client, one)));
  return Promise.all(found.filter((_, i) => named[i] === connection).map((one) => describeRun(client, one)));
}

/** The list of runs tells no input: it stands in the first event. */
async function connectionOf(client: Client, { workflowId, runId }: Execution): Promise<unknown> {
  const { history } = await client.workflowService.getWorkflowExecutionHistory({
    namespace: client.options.namespace,
    execution: { workflowId, runId },
    maximumPageSize: 1,
  });
  const payload = history?.events?.[0]?.workflowExecutionStartedEventAttributes?.input?.payloads?.[0];
  const input = payload ? defaultPayloadConverter.fromPayload<{ connection?: unknown } | null>(payload) : null;
  return input?.connection;
}
