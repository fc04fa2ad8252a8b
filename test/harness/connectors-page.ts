import { fileURLToPath } from 'node:url';
import { describeConnector, type PlatformView } from '../../connectors/describe.ts';
import { connectors } from '../../connectors/index.ts';
import { table } from './table.ts';

/** docs/connectors.md: what `npx syncline connectors` prints, as tables. */
export const connectorsFile = fileURLToPath(new URL('../../docs/connectors.md', import.meta.url));

/** Its tables; see readme.ts for how they are renewed. */
export const connectorRegions: Record<string, () => Promise<string[]>> = {
  platforms: async () =>
    table(
      ['platform', 'address', 'signs in by', 'limits', 'settings'],
      views().map((view) => [
        `${code(view.platform)} ${view.title}`,
        view.baseUrl,
        view.auth,
        view.limits.join(', ') || 'none known',
        view.settings.map(({ name, needed }) => (needed ? code(name) : `(${code(name)})`)).join(' '),
      ]),
    ),
  streams: async () =>
    table(
      ['platform', 'stream', 'reads', 'paging', 'window', 'limits', 'deletions'],
      rows((view) =>
        view.streams.map((stream) => [
          `${code(stream.name)} ${stream.title}${stream.lacks ? `. Lacks: ${stream.lacks}` : ''}`,
          stream.reads,
          stream.paging,
          stream.window || '–',
          stream.limits.join(', ') || '–',
          stream.deletions,
        ]),
      ),
    ),
  settings: async () =>
    table(
      ['platform', 'setting', 'given as', 'default', 'what it is'],
      rows((view) =>
        view.settings.map(({ name, secret, needed, default: fallback, about }) => [
          code(name),
          secret ? 'credential' : 'option',
          needed ? 'needed' : fallback ? code(fallback) : 'none',
          about,
        ]),
      ),
    ),
  unconfirmed: async () =>
    table(
      ['platform', 'where', 'what no source confirmed'],
      rows((view) => view.unconfirmed.map(({ at, what }) => [code(at), what])),
    ),
};

const views = () => Object.values(connectors).map(describeConnector);
const code = (text: string) => `\`${text}\``;

/** Rows of all platforms, the platform in front. */
function rows(of: (view: PlatformView) => string[][]): string[][] {
  return views().flatMap((view) => of(view).map((cells) => [code(view.platform), ...cells]));
}
