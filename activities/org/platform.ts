import type { OrgMap } from '../../connectors/org.ts';
import type { StagePage, Stream } from '../../db/org/stageRows.ts';
import { SyncError } from '../errors.ts';
import type { PlatformClient } from '../http/client.ts';
import { valueAt } from '../http/values.ts';
import { type Reader, readDirect } from './platform/calls.ts';
import { groupPages } from './platform/groups.ts';
import { probePlatform } from './platform/probe.ts';
import { type Options, personPath, putGroup, putUser, textOf } from './platform/rows.ts';
import { readScope, type Scope } from './platform/scope.ts';
import { userPages } from './platform/users.ts';
import { emptyPage, type OrgSource, Unaskable, unseenPage } from './source.ts';

/**
 * An open platform as a company directory, by its map. Departments are read first; people department by department where the
 * platform has no list of all of them. Kept in memory are the pages under way, at most 16 of them.
 */
export function platformSource(map: OrgMap, client: PlatformClient, options: Options): OrgSource {
  const reader: Reader = { map, client, options };
  let seen: Promise<Scope> | undefined;
  const scopeOf = (signal: AbortSignal) => {
    seen ??= readScope(reader, signal);
    return seen;
  };
  return {
    resumable: true,
    absentMeansNone: false,
    absentIsActive: false,
    // People tell their departments themselves: there are no member lists in which somebody could be missed.
    narrowed: true,
    pages: (stream, cursor, signal, staged) =>
      (stream === 'groups' ? groupPages : userPages)(reader, cursor, staged, signal),
    scope: async (signal) => (await scopeOf(signal)).mark,
    readOne: async (stream, id, signal) => readOne(reader, await scopeOf(signal), stream, id, signal),
    probe: async (signal) => probePlatform(reader, await scopeOf(signal), signal),
    close: async () => undefined,
  };
}

/**
 * One record by its id. One that the credential may not see is handed back under its id and stays as we hold it: it left
 * the scope, nobody knows whether it left the company.
 * @throws Unaskable where the credential reads no single record, or only some departments are read
 */
async function readOne(
  reader: Reader,
  { way, roots }: Scope,
  stream: Stream,
  id: string,
  signal: AbortSignal,
): Promise<StagePage | null> {
  const { connector } = reader.map;
  if (way.direct === undefined || reader.options.roots !== undefined)
    throw new Unaskable(
      way.direct === undefined
        ? `${connector.title}: this credential reads no single person or department`
        : `${connector.title}: with the option roots nobody can ask whether one record stands below them`,
    );
  const read = await readDirect(reader, stream === 'users' ? way.direct.user : way.direct.group, id, signal);
  if (read === 'gone') return null;
  if (read === 'hidden') return unseenPage(stream, id);
  const page = emptyPage();
  const position = 'direct read';
  const path = stream === 'users' ? personPath(way.users.id, reader.options) : way.groups[0].id;
  if (textOf(valueAt(read.record, path)) !== id)
    throw new SyncError('BadAnswer', `${connector.title} answered with other ${stream} than the one asked for`);
  if (stream === 'users') putUser(page, way.users, reader.options, read.record, { group: null, position });
  else {
    const tops = new Set([reader.map.root, ...(roots ?? [])]);
    putGroup(page, way.groups[0], read.record, { isTop: (top) => tops.has(top), position });
  }
  return page;
}
