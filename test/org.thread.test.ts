import { expect, it } from 'vitest';
import { endThread } from '../activities/org/thread.ts';
import type { Fault } from '../sandbox/scim.ts';
import { expectSameAsSource } from './harness/compare.ts';
import { livingIds } from './harness/ours.ts';
import { until } from './harness/until.ts';
import { openWorld } from './harness/world.ts';

const world = await openWorld();
/** 45 pages of 200; from the twentieth on they are read in the thread. */
const users = 9_000;
const late = { path: '/Users', only: 'list', afterRequests: 30, times: 1 } as const;

async function long(faults: Fault[] = []) {
  const { name, source } = await world.scim({ users, groups: 600, prepared: true }, { usersWithoutGroup: 'accept' });
  source.setFaults(faults);
  return { name, source };
}

it('a long list is read whole, each page once', async () => {
  const { name, source } = await long();
  expect((await world.run(name)).users).toMatchObject({ staged: users, added: users });
  expect(source.requests.byPath['/Users'], 'pages and the empty one that ends them').toBe(users / 200 + 1);
  await expectSameAsSource(world.pool, name, source.directory);
});

it.each<[string, Fault, string, RegExp]>([
  ['HTML', { type: 'html', ...late }, 'BadAnswer', /\/Users answered 200 with HTML/],
  [
    'a credential taken back',
    { type: 'status', status: 401, ...late },
    'Unauthorized',
    /\/Users refused the credential/,
  ],
])('%s behind the first pages ends the run as it does before them', async (_, fault, type, message) => {
  const { name } = await long([fault, { ...fault, times: 9 }]);
  const failure = await world.fail(name);
  expect(failure.type).toBe(type);
  expect(failure.message).toMatch(message);
  expect(await livingIds(world.pool, name, 'users')).toEqual([]);
});

it('a wish to wait is heard, and the list goes on behind the last page', async () => {
  const { name, source } = await long([{ type: 'status', status: 429, retryAfterSeconds: 1, ...late }]);
  expect((await world.run(name)).users).toMatchObject({ staged: users, added: users });
  await expectSameAsSource(world.pool, name, source.directory);
});

it('a thread that ends costs its pages, and the run ends well', async () => {
  const { name, source } = await long([{ type: 'latency', ms: 20, path: '/Users' }]);
  const run = world.run(name);
  // It has read some pages by then, and more are on their way.
  await until('pages in the thread', async () => (source.requests.byPath['/Users'] ?? 0) > 25);
  await endThread();
  expect((await run).users).toMatchObject({ staged: users, added: users });
  await expectSameAsSource(world.pool, name, source.directory);
});
