import { expect, it } from 'vitest';
import { unsubscribe } from '../db/audience/unsubscribes.ts';
import { define, deliveries, launch, mailOf, people } from './harness/audience.ts';
import { startSmtpSink } from './harness/smtp.ts';
import { openWorld } from './harness/world.ts';

const world = await openWorld();
const sink = await startSmtpSink();
world.onClose(() => sink.stop());
const mail = await world.connect({
  platform: 'smtp',
  baseUrl: sink.url,
  credential: null,
  options: { from: 'a@b.org' },
});
const template = { subject: 'Hi', text: 'Hi {{name}}' };
it('an address that unsubscribed in other letter case gets nothing, and gets it again', async () => {
  const connection = await people(world, { count: 3, record: (n) => (n === 1 ? { mail: 'Person1@Example.org' } : {}) });
  const gone = [' PERSON0@example.org ', 'person1@EXAMPLE.org'];
  for (const value of gone) {
    for (const channel of ['', 'smtp'])
      await unsubscribe(world.pool, { connection, kind: 'address', value, channel }, false);
  }
  const name = await define(world, { connection }, mail, { template });
  expect((await (await launch(world, name)).result()).states).toEqual({ sent: 1, skipped: 2 });
  expect([...sink.received.keys()]).toEqual([mailOf(2)]);
  for (const value of gone) {
    for (const channel of ['', 'smtp'])
      expect(
        await unsubscribe(world.pool, { connection, kind: 'address', value: value.toUpperCase(), channel }, true),
      ).toBe(true);
  }
  const again = await define(world, { connection }, mail, { template });
  expect((await (await launch(world, again)).result()).states).toEqual({ sent: 3 });
});

it('an address that unsubscribes in other letter case after the freeze is skipped', async () => {
  const connection = await people(world, { count: 2 });
  const name = await define(world, { connection }, mail, {
    template,
    throttle: 0.5,
  });
  const run = await launch(world, name);
  const { until } = await import('./harness/until.ts');
  await until('the freeze', async () => (await deliveries(world.pool, name)).length === 2);
  await unsubscribe(world.pool, { connection, kind: 'address', value: 'Person1@example.ORG', channel: 'smtp' }, false);
  expect((await run.result()).reasons).toEqual({ 'skipped unsubscribed': 1 });
});
