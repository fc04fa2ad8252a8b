import { pathToFileURL } from 'node:url';
import { addChannels, isChannel } from '../../connectors/channel.index.ts';
import { addConnectors } from '../../connectors/index.ts';

/*
 * What the command line shows and checks of platforms: workers reach connectors through here.
 */
export { describeConnector, type PlatformView, type StreamView } from '../../connectors/describe.ts';
export { directoryPlatforms } from '../../connectors/directories.ts';
export { explain } from '../../connectors/explain.ts';
export { type Cut, cutLines, cutOf } from '../../connectors/history.ts';
export { connectorOf, connectors } from '../../connectors/index.ts';
export { optionsSchema } from '../../connectors/platform.ts';
export type { Connector, Setting } from '../../connectors/shape.ts';
export { budgetOwner } from '../http/budget/owner.ts';

/** Adds the connectors and channels of a module (SYNCLINE_CONNECTORS). @throws Error naming file, key, value got and values accepted */
export async function loadConnectors(file: string): Promise<void> {
  const found = Object.entries((await import(pathToFileURL(file).href)) as Record<string, unknown>);
  addChannels(Object.fromEntries(found.filter(([, one]) => isChannel(one))), file);
  addConnectors(Object.fromEntries(found.filter(([, one]) => !isChannel(one))), file);
}
