import { describe, expect, onTestFinished, test } from 'vitest';
import { checkConnector } from '../connectors/check.ts';
import { addConnectors, connectors } from '../connectors/index.ts';
import { checksOf, openTools } from './harness/conform/all.ts';
import { spoiled } from './harness/conform/spoiled.ts';
import { subjectsOf } from './harness/conform/subject.ts';
import { proveCheck } from './harness/conform/trial.ts';
import { proveWhole } from './harness/conform/whole.ts';
import { fixtureOf } from './harness/fixtures.ts';
import { openWorld } from './harness/world.ts';

const world = await openWorld();
const tools = openTools(world);
const checks = checksOf(world);
const names = Object.keys(connectors);

/** Eight platforms side by side, each read twice: 40 s for the largest with the machine to itself. */
const wholeMs = 150_000;

describe.concurrent('whole', () => {
  test.each(names)(
    '%s: every stream agrees with its source row by row, and a second run writes nothing',
    (name) => proveWhole(world, connectors[name]!, fixtureOf(connectors[name]!)),
    wholeMs,
  );

  test('a connector that reads one row a page is found', async () => {
    const { kuaishou } = connectors;
    const { coupons } = kuaishou!.streams;
    const streams = { coupons: { ...coupons!, rows: 'couponList.0', emptyHas: 'total' } };
    const bad = { ...kuaishou!, platform: 'kuaishou_bad', streams, unconfirmed: [] };
    addConnectors({ kuaishou_bad: bad }, 'test/connectors.test.ts');
    onTestFinished(() => void delete connectors.kuaishou_bad);
    const fixture = { ...fixtureOf(kuaishou!), platform: 'kuaishou_bad' };
    await expect(proveWhole(world, bad, fixture)).rejects.toThrow(/coupons/);
  });
});

describe.concurrent.each(names)('%s', (name) => {
  const connector = connectors[name]!;
  test.each(checks.map((check) => [check.name, check] as const))('%s', async (_, check) => {
    await proveCheck({ tools, connector, fixture: fixtureOf(connector) }, check);
  });
});

describe.concurrent('the suite bites', () => {
  test('a connector without a fixture is found', () => {
    const { kuaishou } = connectors;
    expect(() => fixtureOf({ ...kuaishou!, platform: 'gopher' })).toThrow('"gopher" has no fixture');
    const { orders: _gone, ...streams } = fixtureOf(kuaishou!).streams;
    const fixture = { ...fixtureOf(kuaishou!), streams };
    expect(() => subjectsOf(kuaishou!, fixture, true)).toThrow('serves the stream orders');
  });

  test('there is a connector that fails each check', () => {
    expect(spoiled.map(({ check }) => check).sort()).toEqual(checks.map(({ name }) => name).sort());
  });

  test.each(spoiled.map((one) => [one.check, one.wrong, one] as const))('%s: %s', async (wanted, _, one) => {
    const { connector, stream, found } = one;
    const check = checks.find(({ name }) => name === wanted)!;
    checkConnector(connector, 'test/harness/conform/spoiled.ts');
    const proof = proveCheck({ tools, fixture: fixtureOf(connector), connector }, check, stream);
    const { message } = await proof.then(
      () => expect.fail(`it was not found: ${check.name} accepts it`),
      (error: Error) => error,
    );
    expect(message).toContain(`${connector.platform}.${stream}: `);
    expect(message).toContain(found);
  });
});
