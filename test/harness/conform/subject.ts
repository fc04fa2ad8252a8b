import type { Connector, Paging, Stream } from '../../../connectors/shape.ts';
import type { Api, ApiPaging, Fixture, ListSpec } from '../../../sandbox/platform/fixture.ts';

/** One stream of a connector with the API of the fixture that serves it. */
export interface Subject {
  connector: Connector;
  fixture: Fixture;
  name: string;
  stream: Stream;
  /** Name that counts and faults of the sandbox use. */
  api: string;
  served: Api;
}

/**
 * The streams that are read by HTTP, without the limits (budget.test.ts has them). `small`: with pages of ten rows.
 * @throws Error for a stream that the fixture does not serve
 */
export function subjectsOf(written: Connector, fixture: Fixture, small: boolean): Subject[] {
  const connector = unlimited(written, small);
  return Object.entries(connector.streams).flatMap(([name, stream]) => {
    if (stream.sql) return [];
    const api = fixture.streams[name]?.api;
    const served = api === undefined ? undefined : fixture.apis[api];
    if (api === undefined || !served)
      throw new Error(`${connector.platform}: no API of the fixture serves the stream ${name}`);
    return [{ connector, fixture, name, stream, api, served }];
  });
}

/** The fixture with as many records in the stream's list, and at least as many in the others, as the account is opened with. */
export function sized({ fixture, served }: Subject): Fixture {
  const lists = Object.entries(fixture.lists).map(([name, spec]): [string, ListSpec] => {
    const least = name === served.list && !isStanding(spec) ? 0 : leastOf(spec);
    return [name, { ...spec, rows: (rows) => Math.max(rows, least) }];
  });
  return { ...fixture, lists: Object.fromEntries(lists) };
}

const leastOf = ({ rows }: ListSpec) => rows?.(0) ?? 0;
/** It has records whatever an account is opened with, and more in a larger one: a company without departments is none. */
const isStanding = (spec: ListSpec) => leastOf(spec) > 0 && spec.rows?.(1_000_000) !== leastOf(spec);

/** Whether the list can be without records. */
export function canBeEmpty({ fixture, served }: Subject): boolean {
  const spec = fixture.lists[served.list]!;
  return !spec.single && !isStanding(spec);
}

/** A few pages of this many rows are a few rows. */
export const smallPage = 10;

function unlimited(connector: Connector, small: boolean): Connector {
  const streams = Object.entries(connector.streams).map(([name, { limits: _own, ...stream }]) => [
    name,
    small ? { ...stream, paging: smaller(stream.paging) } : stream,
  ]);
  return { ...connector, limits: {}, streams: Object.fromEntries(streams) };
}

function smaller(paging: Paging): Paging {
  if (!('size' in paging) || paging.size.param === undefined) return paging;
  return { ...paging, size: { ...paging.size, rows: Math.min(paging.size.rows, smallPage) } };
}

/** Whether its list comes in several pages. */
export const isPaged = ({ stream }: Subject) => stream.paging.kind !== 'whole' && stream.paging.kind !== 'export';
export const isKind = ({ stream }: Subject, ...kinds: Paging['kind'][]) => kinds.includes(stream.paging.kind);

/** How deep the platform serves pages of this API, rows; null: without end. */
export function depthOf({ served }: Subject): number | null {
  const paged = served.paging.find((p): p is ApiPaging & { kind: 'page' } => p.kind === 'page');
  if (!paged?.deepest) return null;
  const { page = Number.POSITIVE_INFINITY, rows = Number.POSITIVE_INFINITY } = paged.deepest;
  return Math.min(page * smallPage, rows);
}
