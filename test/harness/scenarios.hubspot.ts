import type { WorkflowHandle } from '@temporalio/client';
import type { HubspotFault } from '../../sandbox/hubspot.ts';
import { type Crm, type CrmOptions, openCrm } from './crm.ts';
import type { Ground } from './ground.ts';
import { ended, type Scenario, scheduled } from './scenario.ts';
import { until } from './until.ts';

const begun = ['beginHubspot', 'sendContacts'] as const;
const open = (ground: Ground, given: CrmOptions = {}) =>
  openCrm(ground, { users: 20, ...given, options: { callsPerWindow: 10_000, ...given.options } });

/** By the name of the file that keeps the history. */
export const hubspotScenarios: Record<string, Scenario> = {
  'hubspotSync.first': {
    shows: [...begun, 'completed whole'],
    record: async (ground) => ended(await (await open(ground)).start()),
  },
  'hubspotSync.full': {
    shows: [...begun, 'completed whole'],
    async record(ground) {
      const crm = await open(ground);
      await crm.sync();
      return ended(await crm.start({ mode: 'full' }));
    },
  },
  'hubspotSync.one-user': {
    shows: [...begun, 'completed whole'],
    record: async (ground) => ended(await (await open(ground)).start({ only: { user: '7' } })),
  },
  'hubspotSync.parked-rows': {
    shows: [...begun, 'completed partial'],
    async record(ground) {
      const crm = await open(ground);
      await crm.sql(`UPDATE users SET plan = 'platinum' WHERE id = 3`);
      return ended(await crm.start());
    },
  },
  'hubspotSync.rate-limited': {
    shows: ['beginHubspot', 'sendContacts', 'timer', 'sendContacts', 'completed whole'],
    record: (ground) => faulty(ground, [{ type: 'rate', policy: 'TEN_SECONDLY_ROLLING', retryAfter: 4, times: 1 }]),
  },
  'hubspotSync.unanswered': {
    shows: ['sendContacts', 'timer', 'sendContacts', 'completed whole'],
    record: (ground) => faulty(ground, [{ type: 'silent', applied: true, times: 1 }], { settleSeconds: 2 }),
  },
  'hubspotSync.tried-again': {
    shows: ['failed BadAnswer', 'timer', 'sendContacts', 'completed whole'],
    record: (ground) => faulty(ground, [{ type: 'status', status: 404, times: 1 }]),
  },
  'hubspotSync.replanned': {
    shows: ['sendContacts', 'timer', 'sendContacts', 'beginHubspot', 'sendContacts', 'completed whole'],
    async record(ground) {
      const crm = await open(ground, {
        sandbox: { faults: [{ type: 'rate', policy: 'TEN_SECONDLY_ROLLING', retryAfter: 4, times: 1 }] },
      });
      const run = await crm.start();
      await until('the wait', async () => crm.source.calls.refused > 0);
      await crm.options({ mode: 'mirror' });
      return ended(run);
    },
  },
  'hubspotSync.too-many-rejects': {
    shows: [...begun, 'workflow failed TooManyRejects'],
    async record(ground) {
      const crm = await open(ground, { users: 200 });
      await crm.sql(`UPDATE users SET plan = 'platinum'`);
      return ended(await crm.start());
    },
  },
  'hubspotSync.isolation-spent': {
    shows: [...begun, 'workflow failed IsolationSpent'],
    async record(ground) {
      const fault: HubspotFault = {
        type: 'status',
        status: 400,
        body: { status: 'error', message: 'Invalid input', category: 'VALIDATION_ERROR' },
      };
      return faulty(ground, [fault], { isolationCalls: 3 });
    },
  },
  'hubspotSync.unauthorized': {
    shows: ['failed Unauthorized', 'workflow failed Unauthorized'],
    record: (ground) => faulty(ground, [{ type: 'status', status: 401, on: 'properties' }]),
  },
  'hubspotSync.not-captured': {
    shows: ['failed InvalidInput', 'workflow failed InvalidInput'],
    record: async (ground) => ended(await (await open(ground, { capture: false })).start()),
  },
  'hubspotSync.paused-resumed': {
    shows: ['update pause', 'update resume', 'completed whole'],
    async record(ground) {
      const { run } = await slow(ground);
      await run.executeUpdate('pause');
      await run.executeUpdate('resume');
      return ended(run);
    },
  },
  'hubspotSync.cancelled': {
    shows: ['sendContacts', 'cancel requested', 'canceled'],
    async record(ground) {
      const { run } = await slow(ground);
      await run.cancel();
      return ended(run);
    },
  },
  'hubspotSync.already-running': {
    shows: ['beginHubspot', 'workflow failed AlreadyRunning'],
    async record(ground) {
      const { crm, run } = await slow(ground);
      const second = await ended(await crm.start());
      await ended(run);
      return second;
    },
  },
  'hubspotSync.skipped': {
    shows: ['beginHubspot', 'completed skipped'],
    async record(ground) {
      const { crm, run } = await slow(ground);
      const second = await scheduled(ground, 'hubspotSync', { connection: crm.name });
      await ended(run);
      return second;
    },
  },
  'hubspotSync.continues': {
    shows: [...begun, 'timer', 'continued as new'],
    shortHistories: 20,
    async record(ground) {
      const run = await long(ground);
      return ground.client.workflow.getHandle(
        run.workflowId,
        (run as { firstExecutionRunId?: string }).firstExecutionRunId,
      );
    },
  },
  'hubspotSync.continued': {
    shows: ['taken over', ...begun, 'completed whole'],
    shortHistories: 20,
    record: async (ground) => ground.client.workflow.getHandle((await long(ground)).workflowId),
  },
  'hubspotSync.waits-on': {
    shows: ['beginHubspot', 'timer', 'continued as new'],
    shortHistories: 20,
    async record(ground) {
      const fault = { type: 'rate', policy: 'SECONDLY', on: 'properties', retryAfter: 1, times: 4 } as const;
      const run = await (await open(ground, { sandbox: { faults: [fault] } })).start({ mode: 'full' });
      await ended(run);
      return ground.client.workflow.getHandle(
        run.workflowId,
        (run as { firstExecutionRunId?: string }).firstExecutionRunId,
      );
    },
  },
};

async function faulty(
  ground: Ground,
  faults: HubspotFault[],
  options: Record<string, unknown> = {},
): Promise<WorkflowHandle> {
  return ended(await (await open(ground, { sandbox: { faults }, options })).start());
}

/** A run whose call takes its time. */
async function slow(ground: Ground): Promise<{ crm: Crm; run: WorkflowHandle }> {
  const crm = await open(ground, {
    sandbox: { faults: [{ type: 'slow', ms: 2_500, times: 1 }] },
    options: { timeoutSeconds: 30 },
  });
  const run = await crm.start();
  await until('a call that takes its time', async () => crm.source.calls.byName.upsert);
  return { crm, run };
}

/** Limits again and again: a wait and a slice each. */
async function long(ground: Ground): Promise<WorkflowHandle> {
  const run = await (
    await open(ground, {
      sandbox: { faults: [{ type: 'rate', policy: 'TEN_SECONDLY_ROLLING', retryAfter: 4, times: 4 }] },
    })
  ).start();
  return ended(run);
}
