import { expect, it } from 'vitest';
import { expectSame, openStripeAccount } from './harness/stripes.ts';
import { openWorld } from './harness/world.ts';

const world = await openWorld();

it('copies an account whole and ends at the present', async () => {
  const account = await openStripeAccount(world);
  const result = await account.copy();
  expect(result.outcome).toBe('live');
  expect(result.types.filter(({ state }) => state !== 'done')).toEqual([]);
  await expectSame(account);
  expect(account.source.requests.wrong, 'requests with unknown parameters').toBe(0);
});
