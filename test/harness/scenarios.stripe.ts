import { randomBytes } from 'node:crypto';
import type { WorkflowHandle } from '@temporalio/client';
import type { StripeSandboxOptions } from '../../sandbox/stripe.ts';
import type { Ground } from './ground.ts';
import { ended, type Scenario, scheduled } from './scenario.ts';
import { openStripeAccount, type StripeAccount } from './stripes.ts';
import { until } from './until.ts';

const counts = { customers: 120, subscriptions: 20, balance_transactions: 10 };
const begun = ['beginStripe', 'fillType', 'fillType', 'fillType', 'fillType', 'replayFeed'] as const;
/** Events after which a run that follows is continued: a beginning and some quick readings again. */
const short = 60;

const open = (ground: Ground, sandbox: StripeSandboxOptions = {}, options: Record<string, unknown> = {}) =>
  openStripeAccount(ground, { counts, ...sandbox }, options);

/** By the name of the file that keeps the history. */
export const stripeScenarios: Record<string, Scenario> = {
  'stripeSync.once': {
    shows: [...begun, 'completed live'],
    record: async (ground) => ended(await (await open(ground)).start({ follow: false })),
  },
  'stripeSync.cancelled': {
    shows: [...begun, 'followFeed', 'cancel requested', 'canceled'],
    async record(ground) {
      const account = await open(ground);
      return stopped(await live(account));
    },
  },
  'stripeSync.paused-resumed': {
    shows: ['followFeed', 'update pause', 'update resume', 'followFeed', 'canceled'],
    async record(ground) {
      const account = await open(ground);
      const run = await live(account);
      await run.executeUpdate('pause');
      await until('the follower to end', async () => (await run.describe()).raw.pendingActivities?.length === 0);
      await run.executeUpdate('resume');
      await until('the follower', async () => (await run.describe()).raw.pendingActivities?.length === 1);
      return stopped(run);
    },
  },
  'stripeSync.relisted': {
    shows: ['followFeed', 'planStripe', 'fillType', 'canceled'],
    async record(ground) {
      const account = await open(ground, {}, { relistHours: 0.001 });
      const run = await live(account);
      const [id] = account.source.truth('balance_transactions').keys();
      account.source.update('balance_transactions', id as string);
      await until('the change', async () => (await account.differences()).length === 0);
      return stopped(run);
    },
  },
  'stripeSync.parked-resumed': {
    shows: ['failed Unauthorized', 'update resume', 'replayFeed', 'completed live'],
    async record(ground) {
      const account = await open(ground, { faults: [{ type: 'revoked', path: '/v1/events', after: 1 }] });
      const run = await account.start({ follow: false });
      await until('the run to be parked', async () => (await account.progress(run)).state === 'parked');
      account.source.setFaults([]);
      await run.executeUpdate('resume');
      return ended(run);
    },
  },
  'stripeSync.unauthorized': {
    shows: ['failed Unauthorized', 'workflow failed Unauthorized'],
    record: async (ground) =>
      ended(await (await open(ground, { faults: [{ type: 'revoked' }] })).start({ follow: false })),
  },
  'stripeSync.feed-lost': {
    shows: ['beginStripe', 'replayFeed', 'completed live'],
    async record(ground) {
      const account = await open(ground);
      await account.copy();
      await ground.pool.query(
        `UPDATE syncline.stripe_feeds SET settled_at = settled_at - interval '31 days' WHERE connection_id = $1`,
        [account.name],
      );
      return ended(await account.start({ follow: false }));
    },
  },
  'stripeSync.already-running': {
    shows: ['beginStripe', 'workflow failed AlreadyRunning'],
    async record(ground) {
      const account = await open(ground);
      const run = await live(account);
      const other = await ended(await account.start());
      await stopped(run);
      return other;
    },
  },
  'stripeSync.skipped': {
    shows: ['beginStripe', 'completed skipped'],
    async record(ground) {
      const account = await open(ground);
      const run = await live(account);
      const other = await scheduled(ground, 'stripeSync', { connection: account.name });
      await stopped(run);
      return other;
    },
  },
  'stripeSync.continues': {
    shows: [...begun, 'followFeed', 'planStripe', 'continued as new'],
    shortHistories: short,
    record: async (ground) => {
      const run = await long(ground);
      return ground.client.workflow.getHandle(run.workflowId, run.firstExecutionRunId);
    },
  },
  'stripeSync.continued': {
    shows: ['taken over', 'beginStripe', 'replayFeed', 'followFeed', 'canceled'],
    shortHistories: short,
    record: async (ground) => ground.client.workflow.getHandle((await long(ground)).workflowId),
  },
  'verifyStripe.equal': {
    shows: ['listCopied', 'scanType', 'scanType', 'completed equal'],
    async record(ground) {
      const account = await open(ground);
      await account.copy();
      return ended(await verify(ground, { connection: account.name }));
    },
  },
  'verifyStripe.mended': {
    shows: ['listCopied', 'scanType', 'mendType', 'completed mended'],
    async record(ground) {
      const account = await open(ground);
      await account.copy();
      const [id] = account.source.truth('customers').keys();
      await ground.pool.query('DELETE FROM stripe.customers WHERE connection_id = $1 AND id = $2', [account.name, id]);
      return ended(await verify(ground, { connection: account.name, types: ['customers'] }));
    },
  },
  'verifyStripe.failed': {
    shows: ['listCopied', 'workflow failed InvalidInput'],
    async record(ground) {
      const account = await open(ground);
      return ended(await verify(ground, { connection: account.name, types: ['charges'] }));
    },
  },
};

async function live(account: StripeAccount): Promise<WorkflowHandle> {
  const run = await account.start();
  await account.untilLive(run);
  await until('the follower', async () => (await run.describe()).raw.pendingActivities?.length === 1);
  return run;
}

async function stopped(run: WorkflowHandle): Promise<WorkflowHandle> {
  await run.cancel();
  return ended(run);
}

/** A run that reads again what has no events until its history is long, and is continued. */
async function long(ground: Ground) {
  const account = await open(ground, {}, { relistHours: 0.001 });
  const run = await account.start();
  const first = (await run.describe()).runId;
  await until('another execution', async () => {
    const handle = ground.client.workflow.getHandle(run.workflowId);
    const { runId, raw } = await handle.describe();
    return runId !== first && raw.pendingActivities?.some((one) => one.activityType?.name === 'followFeed');
  });
  await stopped(ground.client.workflow.getHandle(run.workflowId));
  return { workflowId: run.workflowId, firstExecutionRunId: first };
}

function verify(ground: Ground, input: Record<string, unknown>): Promise<WorkflowHandle> {
  return ground.client.workflow.start('verifyStripe', {
    args: [input],
    taskQueue: ground.config.taskQueue,
    workflowId: `verify-${randomBytes(6).toString('hex')}`,
  });
}
