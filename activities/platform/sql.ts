import type { SqlCall, Stream } from '../../connectors/shape.ts';
import type { Deps } from '../deps.ts';
import { SyncError } from '../errors.ts';
import { resolveValue } from '../http/values.ts';
import type { Call } from '../step.ts';
import type { OpenStream } from './open.ts';
import { type ForeignDatabase, keyName, type Page, type Question } from './sql/dialect.ts';
import { openPostgres } from './sql/postgres.ts';
import { foreignTrouble } from './sql/trouble.ts';
import { type ReadEnd, report, type SliceWriter } from './writer.ts';

/** Last values of the keyset that were read. */
type Cursor = { after: string[] } | null;

const schemes = { postgres: /^postgres(ql)?:$/, mysql: /^(mysql|mariadb):$/ };

/**
 * Reads a table of a foreign database by keyset, in the order of its key columns: ties at the edge of a page lose nothing,
 * and no page costs more than the one before. Read-only; the address is the credential's field `databaseUrl`.
 */
export async function readRows(_deps: Deps, writer: SliceWriter, call: Call): Promise<ReadEnd> {
  const { opened } = writer;
  const { connection } = opened;
  const sql = opened.stream.sql as SqlCall;
  const rows = opened.stream.paging.kind === 'keyset' ? opened.stream.paging.size.rows : 1_000;
  const { keyset, ...meant } = meantBy(writer);
  const database = await openForeign(opened, sql);
  // Trouble of our own database, met by the writer, must not be told as the source's.
  const asked = <T>(question: Promise<T>) =>
    question.catch((cause: unknown) => {
      throw foreignTrouble(connection.id, cause);
    });
  try {
    const columns = await asked(database.describe(sql.from, [...new Set([...sql.select, ...keyset])]));
    const read = async (after: Page['after']) => {
      const readMs = Date.now();
      return {
        readMs,
        page: await asked(database.page({ ...meant, select: sql.select, columns, keyset, rows, after })),
      };
    };
    const take = async ({ readMs, page }: Awaited<ReturnType<typeof read>>, cursor: Cursor) => {
      const records = page.map((row) => Object.fromEntries(sql.select.map((column) => [column, row[column]])));
      const position = `rows after ${writer.state.rows}`;
      await writer.add({ rows: records }, { readMs, position }, { cursor, requests: writer.state.requests + 1 });
      report(writer, call);
    };
    for (;;) {
      const cursor = writer.state.cursor as Cursor;
      const found = await read(cursor?.after ?? null);
      const last = found.page.at(-1);
      const ended = found.page.length < rows;
      const after = last ? keyset.map((column) => String(last[keyName(column)])) : cursor?.after;
      await take(found, after && !ended ? { after } : cursor);
      // They are set aside and put the reading in doubt. A page never held them: NULL is behind no value.
      if (ended) await take(await read('keyless'), cursor);
      if (ended) return { kind: 'done', doubt: null };
      if (call.shouldEnd()) return { kind: 'more' };
    }
  } finally {
    // It was read to its end or has broken: how it closes tells nothing.
    await database.close().catch(() => undefined);
  }
}

/** Rows of the slice's window. */
export async function countRows(writer: SliceWriter): Promise<number> {
  const { connection, stream } = writer.opened;
  const { keyset, ...meant } = meantBy(writer);
  const database = await openForeign({ connection }, stream.sql as SqlCall);
  try {
    const named = [...keyset, ...meant.equals.map(([column]) => column)];
    const columns = await database.describe(meant.from, [...new Set(named)]);
    return await database.count({ ...meant, columns });
  } catch (cause) {
    throw foreignTrouble(connection.id, cause);
  } finally {
    await database.close().catch(() => undefined);
  }
}

/** Which rows the slice means, and in which order. */
function meantBy({ opened, state }: SliceWriter): Omit<Question, 'columns'> & { keyset: readonly string[] } {
  const { connection, options, stream } = opened;
  const sql = stream.sql as SqlCall;
  const { fromMs, toMs } = state;
  const ranged = typeof fromMs === 'number' || typeof toMs === 'number';
  const keyset =
    sql.changed && ranged ? [sql.changed.column, ...sql.keyset.filter((c) => c !== sql.changed?.column)] : sql.keyset;
  const equals = equalsOf(sql, connection.id, options);
  const time = ranged ? { column: keyset[0] as string, fromMs: fromMs ?? null, toMs: toMs ?? null } : null;
  return { from: sql.from, zone: sql.zone ?? 'UTC', equals, keyset, time };
}

/** Whose rows are meant. @throws SyncError InvalidInput where the connection does not say it: nobody's rows would be read as all there are */
function equalsOf({ from, where = {} }: SqlCall, connection: string, options: Record<string, unknown>) {
  return Object.entries(where).map(([column, value]) => {
    const resolved = resolveValue(value, { options, secrets: {}, nowMs: Date.now() });
    if (typeof value === 'object' && 'option' in value && (resolved === undefined || resolved === ''))
      throw new SyncError(
        'InvalidInput',
        `Option "${value.option}" of connection "${connection}": got nothing, accepted whose rows of ${from} are meant. Give it with: npx syncline connect ${connection} --option ${value.option}=…`,
      );
    return [column, resolved] as const;
  });
}

/** The first page of a list, for a look at a connection that is not saved yet. */
export async function readFirst(
  { connection }: Pick<OpenStream, 'connection'>,
  { sql, paging }: Stream,
  options: Record<string, unknown> = connection.options,
): Promise<unknown[]> {
  const call = sql as SqlCall;
  const equals = equalsOf(call, connection.id, options);
  const database = await openForeign({ connection }, call);
  try {
    const named = [...call.select, ...call.keyset, ...equals.map(([column]) => column)];
    const columns = await database.describe(call.from, [...new Set(named)]);
    const rows = await database.page({
      ...{ from: call.from, select: call.select, columns, zone: call.zone ?? 'UTC', equals, keyset: call.keyset },
      ...{ time: null, after: null, rows: paging.kind === 'keyset' ? paging.size.rows : 1_000 },
    });
    return rows.map((row) => Object.fromEntries(call.select.map((column) => [column, row[column]])));
  } catch (cause) {
    throw foreignTrouble(connection.id, cause);
  } finally {
    await database.close().catch(() => undefined);
  }
}

async function openForeign(
  { connection }: Pick<OpenStream, 'connection'>,
  { dialect }: Pick<SqlCall, 'dialect'>,
): Promise<ForeignDatabase> {
  const url = secretUrl(connection.credential);
  const give = `Give it with: npx syncline connect ${connection.id} --credential-env VARIABLE`;
  if (url === undefined)
    throw new SyncError(
      'InvalidInput',
      `The credential of connection "${connection.id}" has no field databaseUrl, the address of the database to read. ${give}`,
    );
  const scheme = URL.canParse(url) ? new URL(url).protocol : '';
  const accepted = dialect === undefined ? (['postgres', 'mysql'] as const) : [dialect];
  const found = accepted.find((one) => schemes[one].test(scheme));
  if (found === undefined)
    throw new SyncError(
      'InvalidInput',
      `The credential's field databaseUrl of connection "${connection.id}": got a text of ${url.length} characters, accepted ${accepted.map((one) => `${one}://user:password@host:port/database`).join(' or ')}. ${give}`,
    );
  try {
    if (found === 'postgres') return openPostgres(url);
    // Its driver is loaded by those who need it: with the other rare ones it is 10 MB of every worker.
    const { openMysql } = await import('./sql/mysql.ts');
    return await openMysql(url);
  } catch (cause) {
    throw foreignTrouble(connection.id, cause);
  }
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
