import pg from 'pg';
import type { SqlCall } from '../../connectors/shape.ts';
import { createPool, type Pool } from '../../db/client.ts';
import type { Deps } from '../deps.ts';
import { SyncError } from '../errors.ts';
import { resolveValue } from '../http/values.ts';
import type { Call } from '../step.ts';
import type { OpenStream } from './open.ts';
import { type ReadEnd, report, type SliceWriter } from './writer.ts';

/** Last values of the keyset that were read. */
type Cursor = { after: string[] } | null;

/**
 * Reads a table of a foreign database by keyset, in the order of its key columns: ties at the edge of a page lose nothing,
 * and no page costs more than the one before. Read-only; the address is the credential's field `databaseUrl`.
 */
export async function readRows(_deps: Deps, writer: SliceWriter, call: Call): Promise<ReadEnd> {
  const { opened } = writer;
  const sql = opened.stream.sql as SqlCall;
  const size = opened.stream.paging.kind === 'keyset' ? opened.stream.paging.size.rows : 1_000;
  const pool = openForeign(opened);
  try {
    const naive = await columnsWithoutZone(pool, opened, sql);
    for (;;) {
      const cursor = writer.state.cursor as Cursor;
      const readMs = Date.now();
      const { rows } = await query(pool, opened, { ...sql, naive }, writer.state, cursor, size);
      const last = rows.at(-1);
      if (last === undefined) return { kind: 'done', doubt: null };
      const after = sql.keyset.map((column) => String(last[keyName(column)]));
      const records = rows.map((row) => Object.fromEntries(sql.select.map((column) => [column, plain(row[column])])));
      await writer.add(
        records,
        { readMs, position: `rows after ${writer.state.rows}` },
        {
          cursor: { after },
          requests: writer.state.requests + 1,
        },
      );
      report(writer, call);
      if (rows.length < size) return { kind: 'done', doubt: null };
      if (call.shouldEnd()) return { kind: 'more' };
    }
  } finally {
    await pool.end();
  }
}

/** Values as JSON has them: the driver makes dates of timestamps. */
const plain = (value: unknown) => (value instanceof Date ? value.toISOString() : value);

const keyName = (column: string) => `key of ${column}`;

function query(
  pool: Pool,
  { connection, options }: OpenStream,
  sql: SqlCall & { naive: ReadonlySet<string> },
  range: { fromMs?: number; toMs?: number },
  cursor: Cursor,
  size: number,
): Promise<pg.QueryResult<Record<string, unknown>>> {
  const id = pg.escapeIdentifier;
  const zone = pg.escapeLiteral(sql.zone ?? 'UTC');
  const moment = (column: string) => (sql.naive.has(column) ? `(${id(column)} AT TIME ZONE ${zone})` : id(column));
  const values: unknown[] = [size];
  const put = (value: unknown) => `$${values.push(value)}`;
  const [time] = sql.keyset;
  const conditions: string[] = [];
  for (const [column, value] of Object.entries(sql.where ?? {}))
    conditions.push(`${id(column)} = ${put(resolveValue(value, { options, secrets: {}, nowMs: Date.now() }))}`);
  if (typeof range.fromMs === 'number') conditions.push(`${moment(time)} >= ${put(new Date(range.fromMs))}`);
  if (typeof range.toMs === 'number') conditions.push(`${moment(time)} < ${put(new Date(range.toMs))}`);
  if (cursor) conditions.push(`(${sql.keyset.map(id).join(', ')}) > (${cursor.after.map(put).join(', ')})`);
  // Key columns travel as text: a JavaScript date has milliseconds, the column may have microseconds.
  const columns = [
    ...sql.select.map((c) => `${moment(c)} AS ${id(c)}`),
    ...sql.keyset.map((c) => `${id(c)}::text AS ${id(keyName(c))}`),
  ];
  const text = `SELECT ${columns.join(', ')} FROM ${sql.from.split('.').map(id).join('.')} t
    ${conditions.length > 0 ? `WHERE ${conditions.join(' AND ')}` : ''} ORDER BY ${sql.keyset.map((c) => `t.${id(c)}`).join(', ')} LIMIT $1`;
  return pool.query(text, values).catch((cause) => {
    throw foreignTrouble(connection.id, cause);
  });
}

const timestampWithoutZone = 1114;

/** Columns whose times have no zone: the driver would read them in the worker's, hours away from the source's. */
async function columnsWithoutZone(pool: Pool, { connection }: OpenStream, sql: SqlCall): Promise<Set<string>> {
  const id = pg.escapeIdentifier;
  const names = [...new Set([...sql.select, ...sql.keyset])];
  const text = `SELECT ${names.map(id).join(', ')} FROM ${sql.from.split('.').map(id).join('.')} LIMIT 0`;
  const { fields } = await pool.query(text).catch((cause) => {
    throw foreignTrouble(connection.id, cause);
  });
  return new Set(fields.flatMap(({ name, dataTypeID }) => (dataTypeID === timestampWithoutZone ? [name] : [])));
}

function openForeign({ connection }: OpenStream): Pool {
  const url = secretUrl(connection.credential);
  if (url !== undefined) return createPool({ url, size: 1, name: 'syncline source' });
  throw new SyncError(
    'InvalidInput',
    `The credential of connection "${connection.id}" has no field databaseUrl, the address of the database to read. Give it with: npx syncline connect ${connection.id} --credential-env VARIABLE`,
  );
}

/** Whether the connection names a database to read. */
export const hasDatabase = ({ credential }: { credential: string | null }) => secretUrl(credential) !== undefined;

function secretUrl(credential: string | null): string | undefined {
  try {
    const { databaseUrl } = JSON.parse(credential ?? '{}') as { databaseUrl?: unknown };
    return typeof databaseUrl === 'string' && databaseUrl !== '' ? databaseUrl : undefined;
  } catch {
    return undefined;
  }
}

/** Trouble of the foreign database, told apart from our own: codes only, since texts quote values. */
function foreignTrouble(connection: string, cause: unknown): unknown {
  const code = (cause as { code?: string }).code ?? '';
  if (['28P01', '28000'].includes(code))
    return new SyncError(
      'Unauthorized',
      `The source database of "${connection}" refused the user or password (SQLSTATE ${code})`,
      { cause },
    );
  if (code === '42501')
    return new SyncError(
      'Forbidden',
      `The user of the source database of "${connection}" may not read the table (SQLSTATE ${code})`,
      { cause },
    );
  if (/^(ECONN|ENOTFOUND|EAI_|ETIMEDOUT)/.test(code))
    return new SyncError('Unavailable', `The source database of "${connection}" does not answer (${code})`, { cause });
  if (code.startsWith('42'))
    return new SyncError(
      'BadAnswer',
      `The source database of "${connection}" lacks the table or a column (SQLSTATE ${code})`,
      { cause },
    );
  return cause;
}
