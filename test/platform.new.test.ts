import { appendFileSync, copyFileSync, cpSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, test } from 'vitest';
import { addConnectors, connectorOf, connectors, PlatformUnknown } from '../connectors/index.ts';
import type { Connector } from '../connectors/shape.ts';
import { checksOf, openTools } from './harness/conform/all.ts';
import { proveCheck } from './harness/conform/trial.ts';
import { proveWhole } from './harness/conform/whole.ts';
import { lanterns as fixture } from './harness/lanterns/fixture.ts';
import { openWorld } from './harness/world.ts';

const world = await openWorld();
const tools = openTools(world);
const root = fileURLToPath(new URL('..', import.meta.url));
const scratch = mkdtempSync(join(tmpdir(), 'syncline-new-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/** A platform takes one file and one line: both are put into a copy of the room, which is loaded as the product loads its own. */
async function roomWithLanterns(): Promise<Record<string, Connector>> {
  const room = join(scratch, 'connectors');
  cpSync(join(root, 'connectors'), room, { recursive: true });
  copyFileSync(join(root, 'package.json'), join(scratch, 'package.json'));
  symlinkSync(join(root, 'node_modules'), join(scratch, 'node_modules'));
  copyFileSync(join(root, 'test/harness/lanterns/connector.ts'), join(room, 'lanterns.ts'));
  appendFileSync(join(room, 'platforms.ts'), "export { lanterns } from './lanterns.ts';\n");
  return (await import(join(room, 'index.ts'))).connectors;
}

test('an imaginary platform takes one file, one line and one fixture', async () => {
  const before = Object.keys(connectors);
  const { lanterns, ...others } = await roomWithLanterns();
  expect(Object.keys(others).sort()).toEqual([...before].sort());
  expect(() => connectorOf('lanterns')).toThrow(PlatformUnknown);
  addConnectors({ lanterns }, 'lanterns.ts');
  try {
    await proveWhole(world, connectorOf('lanterns'), fixture);
    for (const check of checksOf(world))
      await proveCheck({ tools, fixture, connector: connectorOf('lanterns') }, check);
  } finally {
    delete connectors.lanterns;
  }
  expect(Object.keys(connectors)).toEqual(before);
});
