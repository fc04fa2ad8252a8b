import { describe, expect, it } from 'vitest';
import { startWebhookSandbox } from '../sandbox/webhook.ts';
import { define, launch, people, tally, userOf } from './harness/audience.ts';
import { openWorld } from './harness/world.ts';

const world = await openWorld();
const receiver = await startWebhookSandbox();
world.onClose(() => receiver.stop());
const hook = await world.connect({
  platform: 'webhook',
  baseUrl: receiver.url,
  credential: JSON.stringify({ signSecret: receiver.secret }),
});

describe('a campaign by webhook', () => {
  it('reaches each member once', async () => {
    const members = await people(world, { count: 3_000, tags: (n) => [n % 3] });
    const name = await define(world, { connection: members, filter: '1' }, hook);
    const result = await (await launch(world, name)).result();
    expect(result).toMatchObject({
      outcome: 'done',
      states: { sent: 1_000 },
      audience: { recipients: 1_000, total: 1_000 },
    });
    const got = [...receiver.received].filter(([address]) => Number(address.slice(1)) % 3 === 1);
    expect(got).toHaveLength(1_000);
    expect([...receiver.received.values()].every((times) => times === 1)).toBe(true);
    expect(receiver.received.has(userOf(1))).toBe(true);
    expect(await tally(world.pool, name)).toEqual({ sent: 1_000 });
  });
});
