import pg from 'pg';
import { createPool } from '../../../db/client.ts';
import { type ForeignColumn, type ForeignDatabase, keyName, leastLocal, type Page, type Question } from './dialect.ts';

const timestampWithoutZone = 1114;
const date = 1082;

/** Opens a Postgres database for reading alone. */
export function openPostgres(url: string): ForeignDatabase {
  const pool = createPool({ url, size: 1, name: 'syncline source', readOnly: true });
  return {
    async describe(from, columns) {
      const text = `SELECT ${columns.map(id).join(', ')} FROM ${tableName(from)} LIMIT 0`;
      const { fields } = await pool.query(text);
      return new Map(
        fields.map(({ name, dataTypeID }): [string, ForeignColumn] => [
          name,
          { naive: dataTypeID === timestampWithoutZone, integer: null },
        ]),
      );
    },
    async page(question) {
      const { text, values } = statementOf(question);
      const { rows } = await pool.query({ text, values, types: plainDates });
      for (const row of rows) for (const column of question.select) row[column] = plain(row[column]);
      return rows;
    },
    async count(question) {
      const values: unknown[] = [];
      const where = whereOf(conditionsOf(question, values));
      const { rows } = await pool.query(
        `SELECT count(*)::float8 AS n FROM ${tableName(question.from)} ${where}`,
        values,
      );
      return rows[0].n;
    },
    close: () => pool.end(),
  };
}

const id = pg.escapeIdentifier;
const tableName = (from: string) => from.split('.').map(id).join('.');

/** A day is a day wherever the worker stands; the driver makes a moment of it. */
const plainDates: pg.CustomTypesConfig = {
  getTypeParser: ((oid: number, format?: 'text') =>
    oid === date ? (text: string) => text : pg.types.getTypeParser(oid, format)) as typeof pg.types.getTypeParser,
};

/** Values as JSON has them: the driver makes dates of timestamps. */
const plain = (value: unknown) => (value instanceof Date ? value.toISOString() : value);

const momentOf = ({ columns, zone }: Question, column: string) =>
  columns.get(column)?.naive ? `(${id(column)} AT TIME ZONE ${pg.escapeLiteral(zone)})` : id(column);

const whereOf = (conditions: readonly string[]) => (conditions.length > 0 ? `WHERE ${conditions.join(' AND ')}` : '');

function conditionsOf(question: Question, values: unknown[]): string[] {
  const { columns, zone, equals, time } = question;
  const put = (value: unknown) => `$${values.push(value)}`;
  const bound = (column: string, ms: number) => put(columns.get(column)?.naive ? leastLocal(ms, zone) : new Date(ms));
  const conditions = equals.map(([column, value]) => `${id(column)} = ${put(value)}`);
  if (time && time.fromMs !== null) conditions.push(`${id(time.column)} >= ${bound(time.column, time.fromMs)}`);
  if (time && time.toMs !== null) conditions.push(`${id(time.column)} < ${bound(time.column, time.toMs)}`);
  return conditions;
}

function statementOf(question: Page) {
  const { from, select, keyset, after, rows } = question;
  const values: unknown[] = [rows];
  const put = (value: unknown) => `$${values.push(value)}`;
  const conditions = conditionsOf(question, values);
  if (after === 'keyless') conditions.push(`(${keyset.map((c) => `${id(c)} IS NULL`).join(' OR ')})`);
  else conditions.push(...keyset.map((c) => `${id(c)} IS NOT NULL`));
  if (Array.isArray(after)) conditions.push(`(${keyset.map(id).join(', ')}) > (${after.map(put).join(', ')})`);
  const shown = [
    ...select.map((c) => `${momentOf(question, c)} AS ${id(c)}`),
    ...keyset.map((c) => `${id(c)}::text AS ${id(keyName(c))}`),
  ];
  const text = `SELECT ${shown.join(', ')} FROM ${tableName(from)} t
    ${whereOf(conditions)} ORDER BY ${keyset.map((c) => `t.${id(c)}`).join(', ')} LIMIT $1`;
  return { text, values };
}
