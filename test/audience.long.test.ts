import { expect, it } from 'vitest';
import { startWebhookSandbox } from '../sandbox/webhook.ts';
import { define, launch, people, tally } from './harness/audience.ts';
import { openWorld } from './harness/world.ts';

/** Ten million recipients are 200 shards, about 1,500 events at full speed, and many more where limits make them wait. */
const world = await openWorld({ shortHistories: 60 });
const receiver = await startWebhookSandbox();
world.onClose(() => receiver.stop());
const count = 1_500;

it('a campaign of many slices goes on in another execution, and reaches each member once', async () => {
  const hook = await world.connect({
    platform: 'webhook',
    baseUrl: receiver.url,
    credential: JSON.stringify({ signSecret: receiver.secret }),
    options: { inFlight: 64 },
  });
  const connection = await people(world, { count });
  // Each refusal ends a slice and makes the run wait: its history grows by eleven events.
  receiver.setFaults([{ type: 'answer', status: 429, headers: { 'retry-after': '0' }, every: 100 }]);
  const name = await define(world, { connection }, hook);
  const run = await launch(world, name);
  const result = await run.result();
  expect(result).toMatchObject({ outcome: 'done', states: { sent: count }, audience: { recipients: count } });
  expect([...receiver.received.values()].every((times) => times === 1)).toBe(true);
  expect(receiver.received.size).toBe(count);
  expect(await tally(world.pool, name)).toEqual({ sent: count });
  const last = await world.client.workflow.getHandle(run.workflowId).describe();
  expect(last.runId, 'it continued as new').not.toBe(run.firstExecutionRunId);
  const { rows } = await world.pool.query(
    `SELECT claimed_at AS "claimedAt" FROM syncline.claims WHERE connection_id = $1 AND pipeline = 'campaign'`,
    [`campaign ${name}`],
  );
  expect(rows[0].claimedAt.getTime(), 'under the claim of its first execution').toBeLessThan(last.startTime.getTime());
}, 120_000);
