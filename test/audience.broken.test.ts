import { expect, it } from 'vitest';
import type { ReceiverFault } from '../sandbox/receiver.ts';
import { startWebhookSandbox } from '../sandbox/webhook.ts';
import { define, launch, people, tally, userOf } from './harness/audience.ts';
import { until } from './harness/until.ts';
import { openWorld } from './harness/world.ts';

const world = await openWorld();
const receiver = await startWebhookSandbox();
world.onClose(() => receiver.stop());

it.each<[string, ReceiverFault, string]>([
  ['answers 502 to everything', { type: 'answer', status: 502 }, 'unknown 502'],
  ['takes every message and cuts the connection', { type: 'cut-after' }, 'unknown no_answer'],
])(
  'a receiver that %s is waited for: no more unknown than were in flight, and one a try',
  async (_what, fault, key) => {
    const hook = await world.connect({
      platform: 'webhook',
      baseUrl: receiver.url,
      credential: JSON.stringify({ signSecret: receiver.secret }),
      options: { inFlight: 20 },
    });
    const connection = await people(world, { count: 2_200 });
    receiver.setFaults([fault]);
    const name = await define(world, { connection }, hook);
    const run = await launch(world, name);
    const pending = async () => (await run.describe()).raw.pendingActivities ?? [];
    const told = await until('both lanes to wait', async () => {
      const failed = (await pending()).filter((one) => (one.attempt ?? 0) > 1 && one.lastFailure?.message);
      return failed.length === 2 && failed[0]?.lastFailure?.message;
    });
    expect(told).toContain('the receiver leaves open whether it took the messages');
    const unknown = (await tally(world.pool, name))[key];
    const tries = (await pending()).reduce((sum, { attempt }) => sum + (attempt ?? 1) - 1, 0);
    // The first try of each lane has its places, each later one a single message.
    expect(unknown).toBeLessThanOrEqual(20 + tries);
    receiver.setFaults([]);
    const { states } = await run.result();
    expect((states.sent ?? 0) + (states.unknown ?? 0)).toBe(2_200);
    expect(states.unknown).toBeLessThanOrEqual(40);
  },
);

it('one recipient whom the receiver always puts off holds up nobody else', async () => {
  const hook = await world.connect({
    platform: 'webhook',
    baseUrl: receiver.url,
    credential: JSON.stringify({ signSecret: receiver.secret }),
    options: { inFlight: 4 },
  });
  const from = 5_000;
  const connection = await people(world, { count: 300, from });
  receiver.setFaults([{ type: 'answer', status: 503, to: [userOf(from)] }]);
  const name = await define(world, { connection }, hook);
  const run = await launch(world, name);
  await until('everybody else', async () => (await tally(world.pool, name)).sent === 299);
  receiver.setFaults([]);
  expect((await run.result()).states).toEqual({ sent: 300 });
});
