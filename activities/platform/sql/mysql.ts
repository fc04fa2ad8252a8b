import { DateTime } from 'luxon';
import mysql from 'mysql2/promise';
import { type ForeignColumn, type ForeignDatabase, keyName, leastLocal, type Page, type Question } from './dialect.ts';

/** Column types of the protocol (mysql_com.h). */
const [timestamp, dateTime] = [7, 12];
const integers = [1, 2, 3, 8, 9, 13];
const unsignedFlag = 32;

/** Opens a MySQL or MariaDB database for reading alone. The session speaks UTC, so that a TIMESTAMP is what it means. */
export async function openMysql(url: string): Promise<ForeignDatabase> {
  const connection = await mysql.createConnection({
    uri: url,
    // Texts as the server has them: microseconds, and bigint like Postgres, so that a copy of a table reads the same.
    dateStrings: true,
    supportBigNumbers: true,
    bigNumberStrings: true,
    connectTimeout: 15_000,
    charset: 'utf8mb4',
  });
  // Unheard, a connection that breaks between two pages would end the process; the next page tells.
  connection.on('error', () => undefined);
  try {
    await connection.query(`SET SESSION time_zone = '+00:00', SESSION sql_mode = CONCAT(@@sql_mode, ',ANSI_QUOTES')`);
    await connection.query('SET SESSION TRANSACTION READ ONLY');
  } catch (error) {
    connection.destroy();
    throw error;
  }
  const kinds = new Map<string, number>();
  return {
    async describe(from, columns) {
      const [, fields] = await connection.query(`SELECT ${columns.map(id).join(', ')} FROM ${tableName(from)} LIMIT 0`);
      return new Map(
        fields.map(({ name, columnType = 0, flags }): [string, ForeignColumn] => {
          const unsigned = typeof flags === 'number' && (flags & unsignedFlag) !== 0;
          const integer = integers.includes(columnType) ? (unsigned ? 'unsigned' : 'signed') : null;
          kinds.set(name, columnType);
          return [name, { naive: columnType === dateTime, integer }];
        }),
      );
    },
    async page(question) {
      const { text, values } = statementOf(question);
      const [rows] = await connection.query<mysql.RowDataPacket[]>(text, values);
      for (const row of rows)
        for (const column of question.select) row[column] = plain(row[column], kinds.get(column) ?? 0, question.zone);
      return rows;
    },
    async count(question) {
      const values: unknown[] = [];
      const where = whereOf(conditionsOf(question, values));
      const text = `SELECT count(*) AS n FROM ${tableName(question.from)} ${where}`;
      const [rows] = await connection.query<mysql.RowDataPacket[]>(text, values);
      return Number(rows[0]?.n);
    },
    close: () => connection.end(),
  };
}

const id = (name: string) => mysql.escapeId(name, true);
const tableName = (from: string) => mysql.escapeId(from);

/** Values as JSON has them. */
function plain(value: unknown, type: number, zone: string): unknown {
  if (Buffer.isBuffer(value)) return value.toString('hex');
  if (typeof value !== 'string' || (type !== timestamp && type !== dateTime)) return value;
  const moment = DateTime.fromSQL(value, { zone: type === timestamp ? 'UTC' : zone });
  // 0000-00-00 is how older servers write that there is none.
  return moment.isValid ? moment.toUTC().toISO() : null;
}

const whereOf = (conditions: readonly string[]) => (conditions.length > 0 ? `WHERE ${conditions.join(' AND ')}` : '');

/** A whole number is compared as one, since a text would be compared as a double. */
function put({ columns }: Question, values: unknown[], column: string, value: unknown): string {
  values.push(value);
  const { integer } = columns.get(column) ?? { integer: null };
  return integer ? `CAST(? AS ${integer === 'unsigned' ? 'UNSIGNED' : 'SIGNED'})` : '?';
}

function conditionsOf(question: Question, values: unknown[]): string[] {
  const { columns, zone, equals, time } = question;
  const conditions = equals.map(([column, value]) => `${id(column)} = ${put(question, values, column, value)}`);
  const bound = (column: string, ms: number) => leastLocal(ms, columns.get(column)?.naive ? zone : 'UTC');
  if (time && time.fromMs !== null)
    conditions.push(`${id(time.column)} >= ${put(question, values, time.column, bound(time.column, time.fromMs))}`);
  if (time && time.toMs !== null)
    conditions.push(`${id(time.column)} < ${put(question, values, time.column, bound(time.column, time.toMs))}`);
  return conditions;
}

/** `(a, b) > (x, y)` uses no index here: it is written out. */
function statementOf(question: Page) {
  const { from, select, keyset, after, rows } = question;
  const values: unknown[] = [];
  const conditions = conditionsOf(question, values);
  if (after === 'keyless') conditions.push(`(${keyset.map((c) => `${id(c)} IS NULL`).join(' OR ')})`);
  else conditions.push(...keyset.map((c) => `${id(c)} IS NOT NULL`));
  if (Array.isArray(after)) {
    const behind = keyset.map((column, i) => {
      const same = keyset.slice(0, i).map((one, j) => `${id(one)} = ${put(question, values, one, after[j])}`);
      return [...same, `${id(column)} > ${put(question, values, column, after[i])}`].join(' AND ');
    });
    conditions.push(`(${behind.map((one) => `(${one})`).join(' OR ')})`);
  }
  const shown = [...select.map(id), ...keyset.map((c) => `CAST(${id(c)} AS CHAR) AS ${id(keyName(c))}`)];
  const text = `SELECT ${shown.join(', ')} FROM ${tableName(from)} t
    ${whereOf(conditions)} ORDER BY ${keyset.map((c) => `t.${id(c)}`).join(', ')} LIMIT ${Math.trunc(rows)}`;
  return { text, values };
}
