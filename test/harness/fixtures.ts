import type { Connector } from '../../connectors/shape.ts';
import * as all from '../../sandbox/fixtures.ts';
import type { Fixture } from '../../sandbox/platform.ts';

/** The simulated platforms by the names of their connectors. */
export const fixtures: Readonly<Record<string, Fixture>> = all;

/** The fixture of a connector. @throws Error where there is none: a connector that nothing answers proves nothing */
export function fixtureOf({ platform }: Connector): Fixture {
  const fixture = Object.hasOwn(fixtures, platform) ? fixtures[platform] : undefined;
  if (fixture) return fixture;
  throw new Error(
    `Platform "${platform}" has no fixture: write sandbox/${platform}.ts and name it in sandbox/fixtures.ts`,
  );
}
