import { type ConflictRow, listConflicts, listRejects, type RejectRow } from '../../db/org/report.ts';
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

const streams = ['users', 'groups', 'memberships'];

/** Lists what was handed back: source ids, reasons and remedies. Personal data only with `--show-records`. */
export async function rejects(
  session: Session,
  name: string | undefined,
  { stream, limit, showRecords = false, json }: RejectsOptions,
): Promise<undefined> {
  if (stream !== undefined && !streams.includes(stream))
    throw wrongUse(`--stream: got "${stream.slice(0, 40)}", accepted ${streams.join(', ')}`);
  if (name !== undefined) await session.connection(name);
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
  if (found.total > 0 && !showRecords) print('The raw records are personal data; --show-records shows them.');
  return undefined;
}

function show(row: RejectRow): string[] {
  const field = row.field === null ? '' : ` (${row.field})`;
  return [
    `${row.connection} ${row.stream} ${row.sourceId}: ${row.reason}${field}`,
    `  ${explain(row.reason)}`,
    `  first seen ${ago(row.firstSeen)}, last seen ${ago(row.lastSeen)}, reject ${row.id}`,
    ...(row.record == null ? [] : [`  ${row.record}`]),
  ];
}

function showConflict(row: ConflictRow): string[] {
  return [
    `${row.connection} users ${row.sourceId}: conflict (userName${row.userName === undefined ? '' : ` ${row.userName}`})`,
    `  ${row.ownerConnection} user ${row.ownerSourceId} of the same tenant holds the name; rename one of them at its source, or delete the one that should go`,
    `  first seen ${ago(row.firstSeen)}`,
  ];
}
