import { memberRows, segmentMapping, segmentTables } from '../../sandbox/segments.ts';
import { startWebhookSandbox, type WebhookSandbox } from '../../sandbox/webhook.ts';
import { type CampaignRun, define, launch, people } from './audience.ts';
import type { Ground } from './ground.ts';
import { ended, type Scenario } from './scenario.ts';
import { until } from './until.ts';

const sent = ['beginCampaign', 'freezeAudience', 'sendShard', 'finishCampaign'] as const;

interface Stage {
  receiver: WebhookSandbox;
  name: string;
}

/** Some people, a receiver of their own, and a campaign that was not started. */
async function stage(
  ground: Ground,
  count: number,
  campaign: Record<string, unknown> = {},
  options: Record<string, unknown> = {},
): Promise<Stage> {
  const receiver = await startWebhookSandbox();
  ground.onClose(() => receiver.stop());
  const credential = JSON.stringify({ signSecret: receiver.secret });
  const channel = await ground.connect({ platform: 'webhook', baseUrl: receiver.url, credential, options });
  const connection = await people(ground, { count, tags: () => [1] });
  const { filter, ...more } = campaign;
  return { receiver, name: await define(ground, { connection, ...(filter ? { filter } : {}) }, channel, more) };
}

const some = ({ receiver }: Stage, n: number) => until('some messages', async () => receiver.counts.delivered >= n);

/** By the name of the file that keeps the history. */
export const audienceScenarios: Record<string, Scenario> = {
  'campaign.done': {
    shows: [...sent, 'completed done'],
    record: async (ground) => ended(await launch(ground, (await stage(ground, 200)).name)),
  },
  'campaign.empty': {
    shows: ['beginCampaign', 'freezeAudience', 'failed EmptyAudience', 'workflow failed EmptyAudience'],
    record: async (ground) => ended(await launch(ground, (await stage(ground, 5, { filter: '99' })).name)),
  },
  'campaign.stopped': {
    shows: [...sent, 'workflow failed CampaignStopped'],
    async record(ground) {
      const { receiver, name } = await stage(ground, 5);
      receiver.setFaults([{ type: 'answer', status: 403 }]);
      return ended(await launch(ground, name));
    },
  },
  'campaign.late': {
    shows: [...sent, 'completed late'],
    async record(ground) {
      const deadline = new Date(Date.now() + 3_000).toISOString();
      return ended(await launch(ground, (await stage(ground, 100, { deadline }, { requestsPerSecond: 5 })).name));
    },
  },
  'campaign.rate-limited': {
    shows: ['sendShard', 'timer', 'sendShard', 'completed done'],
    async record(ground) {
      const { receiver, name } = await stage(ground, 20);
      receiver.setFaults([{ type: 'answer', status: 429, headers: { 'retry-after': '1' }, times: 1 }]);
      return ended(await launch(ground, name));
    },
  },
  'campaign.tried-again': {
    shows: ['sendShard', 'timer', 'sendShard', 'completed done'],
    async record(ground) {
      const { receiver, name } = await stage(ground, 20);
      receiver.setFaults([{ type: 'answer', status: 500, times: 1 }]);
      return ended(await launch(ground, name));
    },
  },
  'campaign.reconciled': {
    shows: ['sendShard', 'countCampaign', 'finishCampaign', 'completed done'],
    async record(ground) {
      const { name } = await stage(ground, 5, { policy: 'reconcile', reconcileMinutes: 1 });
      return ended(await launch(ground, name));
    },
  },
  'campaign.paused-resumed': {
    shows: ['sendShard', 'update pause', 'update resume', 'sendShard', 'completed done'],
    async record(ground) {
      const at = await stage(ground, 60, {}, { requestsPerSecond: 20, inFlight: 4 });
      const run = await launch(ground, at.name);
      await some(at, 10);
      await run.executeUpdate('pause');
      await until('the end of the slice', async () => (await pending(run)) === 0);
      await run.executeUpdate('resume');
      return ended(run);
    },
  },
  'campaign.cancelled': {
    shows: ['sendShard', 'cancel requested', 'finishCampaign', 'canceled'],
    async record(ground) {
      const at = await stage(ground, 200, {}, { requestsPerSecond: 10, inFlight: 4 });
      const run = await launch(ground, at.name);
      await some(at, 3);
      await run.cancel();
      return ended(run);
    },
  },
  'campaign.already-running': {
    shows: ['beginCampaign', 'workflow failed AlreadyRunning'],
    async record(ground) {
      const at = await stage(ground, 60, {}, { requestsPerSecond: 10, inFlight: 4 });
      const first = await launch(ground, at.name);
      await some(at, 1);
      const second = await ended(await launch(ground, at.name));
      await first.cancel();
      await ended(first);
      return second;
    },
  },
  'campaign.continues': {
    shows: ['freezeAudience', 'sendShard', 'continued as new'],
    shortHistories: 50,
    async record(ground) {
      const run = await long(ground);
      return ground.client.workflow.getHandle(run.workflowId, run.firstExecutionRunId);
    },
  },
  'campaign.continued': {
    shows: ['taken over', 'sendShard', 'finishCampaign', 'completed done'],
    shortHistories: 50,
    record: async (ground) => ground.client.workflow.getHandle((await long(ground)).workflowId),
  },
  'campaignTest.sent': {
    shows: ['testSend', 'completed'],
    async record(ground) {
      const { name } = await stage(ground, 3);
      const run = await ground.client.workflow.start('campaignTest', {
        args: [{ campaign: name, users: ['u00000001'] }],
        taskQueue: ground.config.taskQueue,
        workflowId: `campaignTest-${name}`,
      });
      return ended(run);
    },
  },
  'segmentSync.full': {
    shows: ['listStreams', 'child users', 'child memberships', 'completed whole'],
    async record(ground) {
      for (const { text, values } of [
        ...segmentTables('postgres'),
        ...memberRows({ dialect: 'postgres', members: 20 }),
      ])
        await ground.pool.query(text, values);
      const connection = await ground.connect({
        platform: 'database',
        baseUrl: 'https://database.invalid',
        credential: JSON.stringify({ databaseUrl: ground.servers.databaseUrl }),
        options: segmentMapping('postgres'),
      });
      const run = await ground.client.workflow.start('segmentSync', {
        args: [{ connection }],
        taskQueue: ground.config.taskQueue,
        workflowId: `segmentSync-${connection}`,
      });
      return ended(run);
    },
  },
};

async function pending(run: CampaignRun): Promise<number> {
  return ((await run.describe()).raw.pendingActivities ?? []).length;
}

/** Many slices, each ended by a refusal. */
async function long(ground: Ground): Promise<CampaignRun> {
  const { receiver, name } = await stage(ground, 600, {}, { inFlight: 16 });
  receiver.setFaults([{ type: 'answer', status: 429, headers: { 'retry-after': '0' }, every: 40 }]);
  const run = await launch(ground, name);
  await ended(run);
  return run;
}
