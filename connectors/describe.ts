import { sweepsTwice } from './deletes.ts';
import { usualMs } from './history.ts';
import type { Connector, Paging, Rate, Stream, Window } from './shape.ts';

/** A platform in words, for the command line and docs/connectors.md. */
export interface PlatformView {
  platform: string;
  title: string;
  baseUrl: string;
  /** How a connection proves who it is. */
  auth: string;
  /** What counts for all its streams; empty where nothing is known. */
  limits: string[];
  /** What a connection says: options, and fields of its credential (`secret`). */
  settings: { name: string; secret: boolean; needed: boolean; default?: string; about: string }[];
  streams: StreamView[];
  unconfirmed: { at: string; what: string }[];
}

export interface StreamView {
  name: string;
  title: string;
  /** What the list does not have; '' where nothing is known to be missing. */
  lacks: string;
  /** API or table that is read, and for what it is read again. */
  reads: string;
  paging: string;
  /** '' where the list is read whole. */
  window: string;
  /** Of its API alone; empty where it has none. */
  limits: string[];
  deletions: string;
}

/** What a connector does, without running it. Pure. */
export function describeConnector(connector: Connector): PlatformView {
  const { platform, title, baseUrl, limits, settings, streams, unconfirmed } = connector;
  const shared = limits.app === undefined ? 'over all connections' : 'an app';
  return {
    platform,
    title,
    baseUrl,
    auth: authOf(connector),
    limits: [...ratesOf(limits.platform, shared), ...ratesOf(limits.connection, 'a connection')],
    settings: Object.entries(settings).map(([name, { secret, about, default: fallback }]) => ({
      name,
      secret,
      needed: fallback === undefined,
      ...(fallback === undefined || secret ? {} : { default: fallback }),
      about,
    })),
    streams: Object.entries(streams).map(([name, stream]) => ({
      name,
      title: stream.title,
      lacks: stream.lacks ?? '',
      reads: readsOf(stream),
      paging: pagingOf(stream.paging),
      window: stream.window ? windowOf(stream.window, stream.sql?.count) : '',
      limits: [...ratesOf(stream.appLimits, shared), ...ratesOf(stream.limits, stream.appLimits ? 'a connection' : '')],
      deletions: deletionsOf(stream),
    })),
    unconfirmed: unconfirmed.map(({ at, what }) => ({ at, what })),
  };
}

function authOf({ auth, gateway }: Connector): string {
  const signed = gateway.sign ? 'signature' : '';
  if (auth.kind === 'none') return signed || 'none';
  if (auth.kind === 'static') return ['key that does not change', signed].filter(Boolean).join(', ');
  const token = auth.obtain ? 'token from the credential' : 'token from a refresh token';
  return [token, auth.obtain && auth.refresh ? 'refreshed' : '', signed].filter(Boolean).join(', ');
}

function readsOf({ call, sql, over, instead }: Stream): string {
  const source = call ? [call.api, call.version].filter(Boolean).join(' ') : `table ${sql?.from}`;
  if (instead) return `${source}; level by level where that is too big`;
  if (!over) return source;
  if (over.kind === 'tree') return `${source}, one call a node of the tree`;
  const ids = over.batch === 1 ? 'for each id of' : `for each ${number(over.batch)} ids of`;
  return `${source}, ${ids} ${over.when === 'changed' ? 'changed ' : ''}${over.stream}${over.path ? ` (${over.path})` : ''}`;
}

function pagingOf(paging: Paging): string {
  if (paging.kind === 'whole') return 'whole list at once';
  if (paging.kind === 'export') return `file on order (${paging.format})`;
  const rows = `${number(paging.size.rows)} a page`;
  if (paging.kind === 'page') {
    const { deepest = {}, order } = paging;
    const depth = [
      deepest.page === undefined ? '' : `page ${number(deepest.page)}`,
      deepest.rows === undefined ? '' : `row ${number(deepest.rows)}`,
    ].filter(Boolean);
    return [
      `page number, ${rows}`,
      order === 'fixed' ? '' : 'last page first',
      depth.length > 0 ? `to ${depth.join(' or ')}` : '',
    ]
      .filter(Boolean)
      .join(', ');
  }
  const families = {
    cursor: 'cursor',
    offset: 'row offset',
    link: 'link to the next page',
    version: 'row version',
    keyset: 'keyset',
    custom: 'own strategy',
  };
  const again = paging.kind === 'version' && paging.overlapMs ? `, ${span(paging.overlapMs)} again` : '';
  return `${families[paging.kind]}, ${rows}${again}`;
}

function windowOf({ capMs, floorMs, beginning, lagMs, overlapMs, count }: Window, counted = false): string {
  return [
    `at most ${span(capMs)}`,
    floorMs === undefined
      ? beginning
        ? `from ${beginning} on`
        : `last ${span(usualMs)} (since)`
      : `last ${span(floorMs)}`,
    lagMs > 0 ? `${span(lagMs)} behind` : '',
    overlapMs > 0 ? `${span(overlapMs)} again` : '',
    count || counted ? 'counted before it is read' : '',
  ]
    .filter(Boolean)
    .join(', ');
}

function deletionsOf(stream: Stream): string {
  const { deletes } = stream;
  if (deletes.kind === 'sweep')
    return sweepsTwice(stream)
      ? 'missing from two full passes running, proven complete'
      : 'missing from a full pass proven complete';
  if (deletes.kind === 'status') return `${deletes.path} is ${deletes.is.join(' or ')}`;
  if (deletes.kind === 'listed') return `listed by ${deletes.by}`;
  return `not seen: ${deletes.why}`;
}

function ratesOf(rates: readonly Rate[] | undefined, whose: string): string[] {
  return (rates ?? []).map(({ requests, perMs }) => `${number(requests)} in ${span(perMs)} ${whose}`.trim());
}

const number = (n: number) => n.toLocaleString('en');

/** `90 d`, `89 d 23 h`, `1 s 500 ms`: the two largest units. */
function span(ms: number): string {
  const units: [number, string][] = [
    [86_400_000, 'd'],
    [3_600_000, 'h'],
    [60_000, 'min'],
    [1_000, 's'],
    [1, 'ms'],
  ];
  const first = units.findIndex(([size]) => ms >= size);
  let rest = ms;
  const parts = units.slice(first, first + 2).map(([size, unit]) => {
    const n = Math.floor(rest / size);
    rest -= n * size;
    return n > 0 ? `${number(n)} ${unit}` : '';
  });
  return parts.filter(Boolean).join(' ');
}
