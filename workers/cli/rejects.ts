import { connectors } from '../../activities/platform/catalog.ts';
import { listConnections } from '../../db/connections.ts';
import { type ConflictRow, listConflicts } from '../../db/org/report.ts';
import { hasRecord, isNobody } from '../../db/rejects.ts';
import { type HandedBack, listRejects } from '../../db/report.ts';
import { type AcceptOptions, accept } from './accept.ts';
import { findConnection } from './choose.ts';
import { openCatalog } from './connectors.ts';
import { explain } from './reasons.ts';
import { comesBack, shapeIn } from './rejects.hubspot.ts';
import type { Session } from './session.ts';
import { wrongUse } from './trouble.ts';
import { ago, count } from './words.ts';

interface RejectsOptions extends AcceptOptions {
  stream?: string;
  limit: number;
  showRecords?: boolean;
  json?: boolean;
  /** Lists what was accepted. */
  accepted?: boolean;
}

const directoryStreams = ['users', 'groups', 'memberships'];
const contactStreams = ['contacts'];

/** Lists what was handed back: source ids, reasons and remedies. Personal data only with `--show-records`. */
export async function rejects(
  session: Session,
  given: string | undefined,
  options: RejectsOptions,
): Promise<undefined> {
  if (options.accept !== undefined || options.takeBack !== undefined) return accept(session, given, options);
  const { stream, limit, showRecords = false, json, accepted = false } = options;
  const { connection: name, pipeline } = await whose(session, given);
  const known = await streamsKnown(session, name);
  if (stream !== undefined && !known.includes(stream))
    throw wrongUse(`--stream: got "${stream.slice(0, 40)}", accepted ${known.join(', ')}`);
  const pool = await session.pool();
  const { print } = session.terminal;
  // The shape of a refused value is told, so the record is read; it is shown only when asked for.
  const read = await listRejects(pool, { connection: name, pipeline, stream, limit, accepted, records: true });
  const shapes = new Map(read.rows.map((row) => [row.id, shapeIn(row)]));
  const found = showRecords ? read : { ...read, rows: read.rows.map(({ record: _kept, ...row }) => row) };
  const conflicts =
    !accepted && pipeline === undefined && (stream === undefined || stream === 'users')
      ? await listConflicts(pool, { connection: name, limit, names: showRecords })
      : { rows: [], total: 0 };
  if (json) {
    const rows = found.rows.map((row) => ({ ...row, shape: shapes.get(row.id) ?? null }));
    print(JSON.stringify({ rejects: { ...found, rows }, conflicts }, null, 2));
    return undefined;
  }
  for (const row of found.rows) for (const line of show(row, shapes.get(row.id) ?? null)) print(line);
  for (const row of conflicts.rows) for (const line of showConflict(row)) print(line);
  if (found.total + conflicts.total === 0) print(accepted ? 'Nothing was accepted.' : 'Nothing is handed back.');
  const hidden = found.total + conflicts.total - found.rows.length - conflicts.rows.length;
  if (hidden > 0) print(`${count(hidden)} more: --limit ${found.total + conflicts.total}`);
  if (!accepted) for (const line of await replays(session, found.rows)) print(line);
  if (found.total > 0 && !showRecords) print('The raw records are personal data; --show-records shows them.');
  return undefined;
}

/** A connection, or the name of a pipeline for all of its connections; a connection of that name comes first. */
async function whose(
  session: Session,
  given: string | undefined,
): Promise<{ connection?: string; pipeline?: 'hubspot' }> {
  if (given !== 'hubspot') return { connection: given };
  const named = (await listConnections(await session.pool())).some(({ id }) => id === given);
  return named ? { connection: given } : { pipeline: 'hubspot' };
}

/** Streams that may have rejects: of the connection, or of all platforms. */
async function streamsKnown(session: Session, name: string | undefined): Promise<string[]> {
  const { resources, stripePlatform } = await import('../../activities/stripe/catalog.ts');
  const ofStripe = resources.flatMap(({ key, nested }) => [key, ...nested.map(({ field }) => `${key}_${field}`)]);
  const streamsOf = (platform: string) =>
    platform === stripePlatform ? ofStripe : Object.keys(connectors[platform]?.streams ?? {});
  if (name === undefined) {
    await openCatalog(session);
    const platforms = [...Object.keys(connectors), stripePlatform];
    return [...new Set([...directoryStreams, ...contactStreams, ...platforms.flatMap(streamsOf)])];
  }
  const { platform, workflows } = await findConnection(session, name);
  if (workflows.includes('hubspotSync')) return contactStreams;
  const isDirectory = workflows.includes('orgSync');
  return [...new Set([...(isDirectory ? directoryStreams : []), ...streamsOf(platform)])];
}

function show(row: HandedBack, shape: string | null): string[] {
  const field = row.field === null ? '' : ` (${row.field}${shape === null ? '' : `: ${shape}`})`;
  const nobody = row.pipeline === 'platform' && isNobody(row.sourceId);
  const hasPosition = row.pipeline !== 'org';
  const position = hasPosition && row.position !== null ? `, ${row.position}` : '';
  return [
    `${row.connection} ${row.stream} ${row.sourceId}: ${row.reason}${field}`,
    `  ${explain(row.pipeline, row.reason, row.connection)}`,
    `  first seen ${ago(row.firstSeen)}, last seen ${ago(row.lastSeen)}${position}, reject ${row.id}`,
    ...(nobody && row.resolvedAt === null
      ? [
          `  nobody can tell who it is, so nobody is taken for gone. If it is none of yours: npx syncline rejects ${row.connection} --accept ${row.id}`,
        ]
      : []),
    ...(row.record == null ? [] : [`  ${row.record}`]),
  ];
}

/**
 * A directory is read whole by each run; the rows of an open platform may not come again by themselves. An id that was
 * refused or left out has no record to try.
 */
async function replays(session: Session, rows: readonly HandedBack[]): Promise<string[]> {
  const streams = rows.flatMap(({ pipeline, connection, stream, reason }) =>
    pipeline === 'platform' && hasRecord(reason) ? [`${connection} ${stream}`] : [],
  );
  const objects = await Promise.all(
    rows.flatMap(({ pipeline, connection, stream, reason }) =>
      pipeline === 'stripe' && reason !== 'unread' && reason !== 'foreign_account'
        ? [resourceOf(stream).then((resource) => `${connection} --types ${resource}`)]
        : [],
    ),
  );
  const contacts = new Set(rows.flatMap(({ pipeline, connection }) => (pipeline === 'hubspot' ? [connection] : [])));
  return [
    ...[...new Set(streams)].map(
      (one) => `Tried again, without asking the platform, by: npx syncline replay ${one} --rejects --wait`,
    ),
    ...[...new Set(objects)].map(
      (one) => `Objects are read again when they change, or all of a list by: npx syncline verify ${one} --wait`,
    ),
    ...(await Promise.all([...contacts].map((one) => comesBack(session, one)))),
  ];
}

/** The resource of a stream, which may be a list inside one. */
async function resourceOf(stream: string): Promise<string> {
  const { resources } = await import('../../activities/stripe/catalog.ts');
  const inside = resources.find(({ key, nested }) => nested.some(({ field }) => `${key}_${field}` === stream));
  return inside?.key ?? stream;
}

function showConflict(row: ConflictRow): string[] {
  return [
    `${row.connection} users ${row.sourceId}: conflict (userName${row.userName === undefined ? '' : ` ${row.userName}`})`,
    `  ${row.ownerConnection} user ${row.ownerSourceId} of the same tenant holds the name; rename one of them at its source, or delete the one that should go`,
    `  first seen ${ago(row.firstSeen)}`,
  ];
}
