import type { Account } from './platform/account.ts';
import type { Statement } from './platform/fixture.ts';
import { asRead, local } from './platform/values.ts';
import { pushRow, pushTables } from './taobao/lists.ts';

const times = ['created', 'modified', 'jdp_created', 'jdp_modified'];
const rowsAStatement = 2_000;

const lists = Object.keys(pushTables) as (keyof typeof pushTables)[];

/**
 * SQL that creates the push database (schema sys_info) in Postgres and brings its tables to what an account holds. Run
 * again after records changed it pushes the changes: `jdp_modified` moves, as the platform's own push does it.
 */
export function pushStatements(account: Account): Statement[] {
  return [
    { text: 'CREATE SCHEMA IF NOT EXISTS sys_info', values: [] },
    ...lists.flatMap((list) => pushed(account, list)),
  ];
}

/** The same for MySQL, which is what Jushita runs: times without a zone, in Beijing's. */
export function pushStatementsMysql(account: Account): Statement[] {
  return [
    { text: 'CREATE DATABASE IF NOT EXISTS sys_info CHARACTER SET utf8mb4', values: [] },
    ...lists.flatMap((list) => pushedMysql(account, list)),
  ];
}

function pushedMysql(account: Account, list: keyof typeof pushTables): Statement[] {
  const { table, id, seller, columns } = pushTables[list];
  const texts = [seller, ...columns, 'jdp_hashcode'];
  const name = `sys_info.${table}`;
  const typed = [
    `${id} bigint NOT NULL PRIMARY KEY`,
    ...texts.map((column) => `${column} varchar(190)`),
    'jdp_response mediumtext',
    ...times.map((column) => `${column} datetime NOT NULL`),
    `KEY ind_jdp_modified (jdp_modified, ${id})`,
  ];
  // Its hash is compared with the row's before, so it is set last.
  const all = [id, ...columns, seller, 'jdp_response', ...times, 'jdp_hashcode'];
  const upsert = `INSERT INTO ${name} (${all.join(', ')}) VALUES ? ON DUPLICATE KEY UPDATE ${all
    .map(
      (column) =>
        `${column} = IF(${table}.jdp_hashcode <> VALUES(jdp_hashcode), VALUES(${column}), ${table}.${column})`,
    )
    .join(', ')}`;
  const rows = rowsOf(account, list).map((row) =>
    all.map((column) => (times.includes(column) ? local(Date.parse(String(row[column]))) : row[column])),
  );
  return [
    { text: `CREATE TABLE IF NOT EXISTS ${name} (${typed.join(', ')}) CHARACTER SET utf8mb4`, values: [] },
    ...partsOf(rows).map((part) => ({ text: upsert, values: [part] })),
  ];
}

/** What left its list stays here as it was. */
function rowsOf(account: Account, list: keyof typeof pushTables): Record<string, unknown>[] {
  const found = account.lists[list]!;
  return [...found.sorted('serial').rows, ...found.sorted('gone').rows].map((row) => {
    const data = asRead(pushRow(list, row, account.lists));
    return { ...data, jdp_response: JSON.stringify(data.jdp_response) };
  });
}

function partsOf<T>(rows: readonly T[]): T[][] {
  return Array.from({ length: Math.ceil(rows.length / rowsAStatement) }, (_, part) =>
    rows.slice(part * rowsAStatement, (part + 1) * rowsAStatement),
  );
}

function pushed(account: Account, list: keyof typeof pushTables): Statement[] {
  const { table, id, seller, columns } = pushTables[list];
  const texts = [seller, ...columns, 'jdp_hashcode', 'jdp_response'];
  const name = `sys_info.${table}`;
  const typed = [
    `${id} bigint`,
    ...texts.map((column) => `${column} text`),
    ...times.map((column) => `${column} timestamptz`),
  ];
  const all = [id, ...texts, ...times];
  const create = `CREATE TABLE IF NOT EXISTS ${name} (${typed.join(', ')}, PRIMARY KEY (${id}))`;
  const index = `CREATE INDEX IF NOT EXISTS ${table}_pushed ON ${name} (jdp_modified, ${id})`;
  const upsert = `INSERT INTO ${name} SELECT r.* FROM json_to_recordset($1) AS r(${typed.join(', ')})
    ON CONFLICT (${id}) DO UPDATE SET ${all.map((column) => `${column} = EXCLUDED.${column}`).join(', ')}
    WHERE ${table}.jdp_hashcode <> EXCLUDED.jdp_hashcode`;
  const fill = partsOf(rowsOf(account, list)).map((part) => ({ text: upsert, values: [JSON.stringify(part)] }));
  return [{ text: create, values: [] }, { text: index, values: [] }, ...fill];
}
