import { checkConnector } from './check.ts';
import * as platforms from './platforms.ts';
import type { Connector } from './shape.ts';

/** No connector of that name: the message lists the names there are. */
export class PlatformUnknown extends Error {
  override name = 'PlatformUnknown';
}

/** All open platforms by name, in alphabetical order. A wrong one fails here, when the program starts. */
export const connectors: Record<string, Connector> = proven(platforms);

/** The connector of a platform. @throws PlatformUnknown */
export function connectorOf(platform: string): Connector {
  const connector = Object.hasOwn(connectors, platform) ? connectors[platform] : undefined;
  if (connector) return connector;
  throw new PlatformUnknown(
    `Platform "${platform.slice(0, 40)}" has no connector. Accepted: ${Object.keys(connectors).join(', ')}. What each reads: npx syncline connectors`,
  );
}

/**
 * Adds connectors of your own, e.g. of the module that SYNCLINE_CONNECTORS names: exports under the platforms' names.
 * @throws Error of `checkConnector`, and for a name that is taken
 */
export function addConnectors(found: Readonly<Record<string, unknown>>, file: string): void {
  for (const [name, connector] of Object.entries(proven(found, file))) {
    if (connectors[name] && connectors[name] !== connector)
      throw new Error(`${file}: platform "${name}" is there already`);
    connectors[name] = connector;
  }
}

/** Exports of platforms.ts, checked, each under the name of its export. @throws Error of `checkConnector` */
export function proven(found: Readonly<Record<string, unknown>>, from?: string): Record<string, Connector> {
  const names = Object.keys(found).sort();
  return Object.fromEntries(
    names.map((name) => {
      const file = from ?? `connectors/${name}.ts`;
      const connector = checkConnector(found[name], file);
      if (connector.platform !== name)
        throw new Error(`${file}: platform: got "${connector.platform}", accepted the name of its export: ${name}`);
      return [name, connector];
    }),
  );
}
