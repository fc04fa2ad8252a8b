import { connectors } from '../../activities/platform/catalog.ts';
import { type ConflictRow, listConflicts } from '../../db/org/report.ts';
import { type HandedBack, listRejects } from '../../db/report.ts';
import { findConnection } from './choose.ts';
import { openCatalog } from './connectors.ts';
import { explain } from './reasons.ts';
import type { Session } from './session.ts';
import { wrongUse } from './trouble.ts';
import { ago, count } from './words.ts';

interface RejectsOptions {
  stream?: string;
  limit: number;
  showRecords?: boolean;
  json?: boolean;
}

const directoryStreams = ['users', 'groups', 'memberships'];

/** Lists what was handed back: source ids, reasons and remedies. Personal data only with `--show-records`. */
export async function rejects(
  session: Session,
  name: string | undefined,
  { stream, limit, showRecords = false, json }: RejectsOptions,
): Promise<undefined> {
  const known = await streamsKnown(session, name);
  if (stream !== undefined && !known.includes(stream))
    throw wrongUse(`--stream: got "${stream.slice(0, 40)}", accepted ${known.join(', ')}`);
  const pool = await session.pool();
  const { print } = session.terminal;
  const found = await listRejects(pool, { connection: name, stream, limit, records: showRecords });
  const conflicts =
    stream === undefined || stream === 'users'
      ? await listConflicts(pool, { connection: name, limit, names: showRecords })
      : { rows: [], total: 0 };
  if (json) {
    print(JSON.stringify({ rejects: found, conflicts }, null, 2));
    return undefined;
  }
  for (const row of found.rows) for (const line of show(row)) print(line);
  for (const row of conflicts.rows) for (const line of showConflict(row)) print(line);
  if (found.total + conflicts.total === 0) print('Nothing is handed back.');
  const hidden = found.total + conflicts.total - found.rows.length - conflicts.rows.length;
  if (hidden > 0) print(`${count(hidden)} more: --limit ${found.total + conflicts.total}`);
  for (const line of replays(found.rows)) print(line);
  if (found.total > 0 && !showRecords) print('The raw records are personal data; --show-records shows them.');
  return undefined;
}

/** Streams that may have rejects: of the connection, or of all platforms. */
async function streamsKnown(session: Session, name: string | undefined): Promise<string[]> {
  const { resources, stripePlatform } = await import('../../activities/stripe/catalog.ts');
  const ofStripe = resources.flatMap(({ key, nested }) => [key, ...nested.map(({ field }) => `${key}_${field}`)]);
  const streamsOf = (platform: string) =>
    platform === stripePlatform ? ofStripe : Object.keys(connectors[platform]?.streams ?? {});
  if (name === undefined) {
    await openCatalog(session);
    return [...new Set([...directoryStreams, ...[...Object.keys(connectors), stripePlatform].flatMap(streamsOf)])];
  }
  const { platform, workflows } = await findConnection(session, name);
  const isDirectory = workflows.includes('orgSync');
  return [...new Set([...(isDirectory ? directoryStreams : []), ...streamsOf(platform)])];
}

function show(row: HandedBack): string[] {
  const field = row.field === null ? '' : ` (${row.field})`;
  const position = row.pipeline !== 'org' && row.position !== null ? `, ${row.position}` : '';
  return [
    `${row.connection} ${row.stream} ${row.sourceId}: ${row.reason}${field}`,
    `  ${explain(row.pipeline, row.reason)}`,
    `  first seen ${ago(row.firstSeen)}, last seen ${ago(row.lastSeen)}${position}, reject ${row.id}`,
    ...(row.record == null ? [] : [`  ${row.record}`]),
  ];
}

/**
 * A directory is read whole by each run; the rows of an open platform may not come again by themselves. An id that was
 * refused has no record to try.
 */
function replays(rows: readonly HandedBack[]): string[] {
  const streams = rows.flatMap(({ pipeline, connection, stream, reason }) =>
    pipeline === 'platform' && reason !== 'refused' ? [`${connection} ${stream}`] : [],
  );
  return [...new Set(streams)].map(
    (one) => `Tried again, without asking the platform, by: npx syncline replay ${one} --rejects --wait`,
  );
}

function showConflict(row: ConflictRow): string[] {
  return [
    `${row.connection} users ${row.sourceId}: conflict (userName${row.userName === undefined ? '' : ` ${row.userName}`})`,
    `  ${row.ownerConnection} user ${row.ownerSourceId} of the same tenant holds the name; rename one of them at its source, or delete the one that should go`,
    `  first seen ${ago(row.firstSeen)}`,
  ];
}
