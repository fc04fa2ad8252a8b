import type { PlatformView } from '../../activities/platform/catalog.ts';
import type { Session } from './session.ts';
import { wrongUse } from './trouble.ts';
import { columns, counted } from './words.ts';

interface ConnectorsOptions {
  unconfirmed?: boolean;
  json?: boolean;
}

/** Shows what each open platform reads and how; with `--unconfirmed` only the facts that no source confirmed. Asks no server. */
export async function connectors(
  session: Session,
  name: string | undefined,
  { unconfirmed = false, json = false }: ConnectorsOptions,
): Promise<undefined> {
  const catalog = await openCatalog(session);
  const names = Object.keys(catalog.connectors);
  if (name !== undefined && !names.includes(name))
    throw wrongUse(`platform: got "${name.slice(0, 40)}", accepted ${names.join(', ')}`);
  const chosen = name === undefined ? names : [name];
  const views = chosen.map((one) => catalog.describeConnector(catalog.connectorOf(one)));
  const { print } = session.terminal;
  if (json) print(JSON.stringify({ connectors: unconfirmed ? views.map(doubts) : views }, null, 2));
  else
    for (const line of unconfirmed ? doubtLines(views) : views.flatMap((view) => shown(view, name !== undefined)))
      print(line);
  if (name === undefined && !json && !unconfirmed)
    print('Not among them, since they are read in ways of their own: scim, ldap, stripe (docs/stripe.md), hubspot.');
  return undefined;
}

/** Open platforms, those of SYNCLINE_CONNECTORS among them. @throws Error for a wrong connector */
export async function openCatalog({ config }: Session) {
  const catalog = await import('../../activities/platform/catalog.ts');
  if (config.connectors) await catalog.loadConnectors(config.connectors);
  return catalog;
}

const doubts = ({ platform, unconfirmed }: PlatformView) => ({ platform, unconfirmed });

function doubtLines(views: PlatformView[]): string[] {
  const rows = views.flatMap(({ platform, unconfirmed }) => unconfirmed.map(({ at, what }) => [platform, at, what]));
  return rows.length > 0
    ? columns([['platform', 'where', 'what no source confirmed'], ...rows])
    : ['Everything is confirmed.'];
}

/** `alone`: the one platform that was asked for, with its settings explained. */
function shown(view: PlatformView, alone: boolean): string[] {
  const { platform, title, baseUrl, auth, limits, streams, unconfirmed } = view;
  return [
    `${platform}: ${title}, ${baseUrl}`,
    `  signs in by: ${auth}`,
    `  limits: ${limits.join(', ') || 'none known'}`,
    ...(alone ? explained(view) : [`  settings: ${listed(view)}`]),
    ...columns([
      ['  stream', 'reads', 'paging', 'window', 'limits', 'deletions'],
      ...streams.map((stream) => [
        `  ${stream.name}`,
        stream.reads,
        stream.paging,
        stream.window || '-',
        stream.limits.join(', ') || '-',
        stream.deletions,
      ]),
    ]),
    ...streams.flatMap(({ name, lacks }) => (lacks ? [`  ${name} lacks: ${lacks}`] : [])),
    ...(unconfirmed.length > 0
      ? [`  ${counted(unconfirmed.length, 'fact')} unconfirmed: npx syncline connectors ${platform} --unconfirmed`]
      : []),
    ...(alone ? [`Next: npx syncline connect NAME --platform ${platform}`] : ['']),
  ];
}

function listed({ settings }: PlatformView): string {
  const words = settings.map(
    ({ name, secret, needed }) => `${name}${secret ? ' (secret)' : ''}${needed ? '' : ' (may)'}`,
  );
  return words.join(', ') || 'none';
}

function explained({ settings }: PlatformView): string[] {
  if (settings.length === 0) return ['  settings: none'];
  const rows = settings.map(({ name, secret, needed, default: fallback, about }) => [
    `  ${name}`,
    secret ? 'credential' : 'option',
    needed ? 'needed' : fallback ? `default ${fallback}` : 'may be left out',
    about,
  ]);
  return columns([['  setting', 'given as', '', 'what it is'], ...rows]);
}
