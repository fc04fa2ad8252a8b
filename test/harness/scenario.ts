import type { WorkflowHandle } from '@temporalio/client';
import type { Ground } from './ground.ts';
import { until } from './until.ts';

/** A run worth keeping, as a history that every later bundle must be able to replay. */
export interface Scenario {
  /** What its history must hold, in this order with others between, so that a recording that missed its point is noticed. */
  shows: readonly string[];
  /** Needs a ground with this `shortHistories`. */
  shortHistories?: number;
  record(ground: Ground): Promise<WorkflowHandle>;
}

/** Waits for the end, whatever it is: what the history shows is looked at afterwards. */
export async function ended(run: WorkflowHandle): Promise<WorkflowHandle> {
  await run.result().catch(() => undefined);
  return run;
}

/** Starts a run by a schedule, as a clock would, and gives it when it has ended. */
export async function scheduled(
  ground: Ground,
  workflowType: 'orgSync' | 'platformSync' | 'stripeSync' | 'hubspotSync',
  input: { connection: string; streams?: string[] },
): Promise<WorkflowHandle> {
  const schedule = await ground.client.schedule.create({
    scheduleId: `every-day-${input.connection}`,
    spec: { intervals: [{ every: '1 day' }] },
    action: {
      type: 'startWorkflow',
      workflowType,
      args: [input],
      taskQueue: ground.config.taskQueue,
      workflowId: `${workflowType}-${input.connection}`,
    },
  });
  await schedule.trigger();
  const action = await until('the scheduled run', async () => {
    const [recent] = (await schedule.describe()).info.recentActions;
    return recent?.action.type === 'startWorkflow' ? recent.action.workflow : undefined;
  });
  await schedule.delete();
  return ended(ground.client.workflow.getHandle(action.workflowId, action.firstExecutionRunId));
}
