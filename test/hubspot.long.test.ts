import { expect, test } from 'vitest';
import { openCrm } from './harness/crm.ts';
import { historyJson } from './harness/scan.ts';
import { openWorld } from './harness/world.ts';

/** Events from which the server suggests another execution: a run's first, and two waits. */
const suggestedAt = 24;
/** Events of the wait in hand when it does. */
const slack = 16;

const world = await openWorld({ shortHistories: suggestedAt });

/** How many events each execution of a run has, the first one first. */
async function executionsOf(workflowId: string, runId?: string): Promise<number[]> {
  const { events } = historyJson(await world.client.workflow.getHandle(workflowId, runId).fetchHistory());
  const next = events.at(-1)?.workflowExecutionContinuedAsNewEventAttributes as
    | { newExecutionRunId: string }
    | undefined;
  return [events.length, ...(next ? await executionsOf(workflowId, next.newExecutionRunId) : [])];
}

test('a limit that a run meets before its first row is waited for in many executions, and a full run stays one', async () => {
  const crm = await openCrm(world, { users: 20, options: { callsPerWindow: 10_000 } });
  await crm.sync();
  crm.source.setFaults([{ type: 'rate', policy: 'TEN_SECONDLY_ROLLING', on: 'properties', retryAfter: 1, times: 7 }]);
  const run = await crm.start({ mode: 'full' });
  const { firstExecutionRunId } = run as { firstExecutionRunId?: string };
  expect(await run.result()).toMatchObject({ outcome: 'whole', written: 20 });
  expect(crm.source.calls.refused).toBe(7);
  const lengths = await executionsOf(run.workflowId, firstExecutionRunId);
  expect(lengths.length, 'executions').toBeGreaterThan(2);
  expect(Math.max(...lengths), 'events of one').toBeLessThan(suggestedAt + slack);
});
