import type { WorkflowHandle } from '@temporalio/client';
import { changeForEveryStep } from './every-step.ts';
import type { Directory, Ground, Run } from './ground.ts';
import { ended, type Scenario, scheduled } from './scenario.ts';
import { audienceScenarios } from './scenarios.audience.ts';
import { hubspotScenarios } from './scenarios.hubspot.ts';
import { platformScenarios } from './scenarios.platform.ts';
import { stripeScenarios } from './scenarios.stripe.ts';
import { until } from './until.ts';

const size = { users: 120, groups: 14, depth: 3 } as const;
const apply = ['deleteUsers', 'addGroups', 'moveUsers', 'addUsers', 'editUsers', 'deleteGroups'] as const;
const plan = ['prepare', 'stageGroups', 'markGroups', 'stageUsers', 'markUsers', 'checkLimits'] as const;

/** By the name of the file that keeps the history. */
export const scenarios: Record<string, Scenario> = {
  ...platformScenarios,
  ...stripeScenarios,
  ...audienceScenarios,
  ...hubspotScenarios,
  'orgSync.full': {
    shows: [...plan, 'addGroups', 'addUsers', 'finish', 'completed applied'],
    record: async (ground) => ended(await ground.start((await ground.scim(size)).name)),
  },
  'orgSync.incremental': {
    shows: [
      'prepare',
      'stageGroups',
      'confirmMissing',
      'stageUsers',
      'confirmMissing',
      'markUsers',
      'checkLimits',
      ...apply,
      'finish',
      'completed applied',
    ],
    async record(ground) {
      const { name, source } = await filled(ground);
      changeForEveryStep(source.directory, 1);
      return ended(await ground.start(name));
    },
  },
  'orgSync.parked-approved': {
    shows: ['checkLimits', 'timer', 'update approve', 'confirmNames', 'deleteUsers', 'completed applied'],
    record: (ground) => parked(ground, 'approve'),
  },
  'orgSync.parked-declined': {
    shows: ['checkLimits', 'timer', 'update decline', 'finish', 'completed declined'],
    record: (ground) => parked(ground, 'decline'),
  },
  'orgSync.paused-resumed': {
    shows: ['update pause', 'update resume', 'completed applied'],
    async record(ground) {
      const run = await pausedRun(ground);
      await run.handle.executeUpdate('resume');
      return ended(run.handle);
    },
  },
  'orgSync.stage-lost': {
    shows: ['prepare', 'update pause', 'update resume', 'failed StageLost', 'finish', 'prepare', 'completed applied'],
    async record(ground) {
      const { handle } = await pausedRun(ground);
      const { rows } = await ground.pool.query(
        `SELECT tablename FROM pg_tables WHERE tablename LIKE '%\\_groups' AND schemaname = 'org_stage'`,
      );
      // What a crash of the server does to an unlogged table.
      for (const { tablename } of rows) await ground.pool.query(`TRUNCATE org_stage.${tablename}`);
      await handle.executeUpdate('resume');
      return ended(handle);
    },
  },
  'orgSync.step-tried-again': {
    shows: ['failed BadAnswer', 'timer', 'stageUsers', 'completed applied'],
    record: (ground) => withFault(ground, 1),
  },
  'orgSync.started-over': {
    shows: ['prepare', ...Array(3).fill('failed BadAnswer'), 'finish', 'prepare', 'completed applied'],
    record: (ground) => withFault(ground, 3),
  },
  'orgSync.rate-limited': {
    shows: ['timer', 'completed applied'],
    async record(ground) {
      const { name, source } = await ground.scim(size, { options: { pageSize: 30 } });
      source.setFaults([{ type: 'rateLimit', perSecond: 2 }]);
      return ended(await ground.start(name));
    },
  },
  'orgSync.continues': {
    shows: ['prepare', 'stageGroups', 'markGroups', 'stageUsers', 'timer', 'continued as new'],
    shortHistories: 50,
    async record(ground) {
      const run = await longRun(ground);
      return ground.client.workflow.getHandle(run.workflowId, run.firstExecutionRunId);
    },
  },
  'orgSync.continued': {
    shows: ['taken over', 'stageUsers', 'markUsers', 'addUsers', 'completed applied'],
    shortHistories: 50,
    async record(ground) {
      const run = await longRun(ground);
      return ground.client.workflow.getHandle(run.workflowId);
    },
  },
  'orgSync.skipped': {
    shows: ['prepare', 'completed skipped'],
    async record(ground) {
      const { handle, name } = await pausedRun(ground);
      const skipped = await scheduled(ground, 'orgSync', { connection: name });
      await handle.executeUpdate('resume');
      await ended(handle);
      return skipped;
    },
  },
  'orgSync.already-running': {
    shows: ['prepare', 'workflow failed AlreadyRunning'],
    async record(ground) {
      const { handle, name } = await pausedRun(ground);
      const second = await ended(await ground.start(name));
      await handle.executeUpdate('resume');
      await ended(handle);
      return second;
    },
  },
  'orgSync.cancelled': {
    shows: ['cancel requested', 'finish', 'canceled'],
    async record(ground) {
      const { name, source } = await ground.scim(size);
      source.setFaults([{ type: 'latency', ms: 400 }]);
      const run = await ground.start(name);
      await atStep(run, 'stageUsers');
      await run.cancel();
      return ended(run);
    },
  },
  'orgSync.unauthorized': {
    shows: ['failed Unauthorized', 'finish', 'workflow failed Unauthorized'],
    async record(ground) {
      const { name, source } = await ground.scim(size);
      source.setFaults([{ type: 'status', status: 401 }]);
      return ended(await ground.start(name));
    },
  },
  'orgSync.dry-run': {
    shows: [...plan, 'finish', 'completed planned'],
    record: async (ground) => ended(await ground.start((await ground.scim(size)).name, { dryRun: true })),
  },
  'orgSync.one-person': {
    shows: [...plan, 'editUsers', 'finish', 'completed applied'],
    async record(ground) {
      const { name, source } = await filled(ground);
      const user = source.directory.userIds()[3]!;
      source.directory.editUser(user, { title: 'Keeper' });
      return ended(await ground.start(name, { only: { user } }));
    },
  },
  'orgSync.steps-off': {
    shows: [...plan, 'addGroups', 'editUsers', 'finish', 'completed applied'],
    async record(ground) {
      const { name, source } = await filled(ground);
      changeForEveryStep(source.directory, 1);
      return ended(await ground.start(name, { steps: { deleteUsers: false, deleteGroups: false, moveUsers: false } }));
    },
  },
};

async function filled(ground: Ground): Promise<Directory> {
  const directory = await ground.scim(size);
  await (await ground.start(directory.name)).result();
  return directory;
}

async function parked(ground: Ground, answer: 'approve' | 'decline'): Promise<WorkflowHandle> {
  const { name, source } = await filled(ground);
  source.directory.removeUsers(source.directory.userIds().slice(0, 60));
  const run = await ground.start(name);
  const digest = await until(
    'a parked run',
    async () => (await run.query<{ parked: { digest: string } | null }>('progress')).parked?.digest,
  );
  await run.executeUpdate(answer, { args: [{ digest }] });
  return ended(run);
}

/** A first run that was asked to pause while it read groups, and stands before the people. */
async function pausedRun(ground: Ground): Promise<{ handle: Run; name: string }> {
  const { name, source } = await ground.scim(size);
  source.setFaults([{ type: 'latency', ms: 300, path: '/Groups' }]);
  const handle = await ground.start(name);
  await atStep(handle, 'stageGroups');
  await handle.executeUpdate('pause');
  await until('a run that stands', async () => (await handle.describe()).raw.pendingActivities?.length === 0);
  return { handle, name };
}

/** A source that refuses long enough for a few executions. */
async function longRun(ground: Ground): Promise<Run> {
  const { name, source } = await ground.scim(size);
  source.setFaults([{ type: 'status', status: 429, retryAfterSeconds: 0, path: '/Users', times: 8 }]);
  const run = await ground.start(name);
  await ended(run);
  return run;
}

/** The list of people is no JSON so many times. */
async function withFault(ground: Ground, times: number): Promise<WorkflowHandle> {
  const { name, source } = await ground.scim(size);
  source.setFaults([{ type: 'truncatedJson', path: '/Users', times }]);
  return ended(await ground.start(name));
}

async function atStep(run: WorkflowHandle, step: string): Promise<void> {
  await until(`${step} started`, async () => {
    const { raw } = await run.describe();
    return raw.pendingActivities?.some((a) => a.activityType?.name === step && a.state === 2);
  });
}
