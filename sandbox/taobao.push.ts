import type { Account } from './platform/account.ts';
import type { Statement } from './platform/fixture.ts';
import { asRead } from './platform/values.ts';
import { pushRow, pushTables } from './taobao/lists.ts';

const times = ['created', 'modified', 'jdp_created', 'jdp_modified'];
const rowsAStatement = 2_000;

/**
 * SQL that creates the push database (schema sys_info) in Postgres and brings its tables to what an account holds. Run
 * again after records changed it pushes the changes: `jdp_modified` moves, as the platform's own push does it.
 */
export function pushStatements(account: Account): Statement[] {
  const lists = Object.keys(pushTables) as (keyof typeof pushTables)[];
  return [
    { text: 'CREATE SCHEMA IF NOT EXISTS sys_info', values: [] },
    ...lists.flatMap((list) => pushed(account, list)),
  ];
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
  const found = account.lists[list]!;
  // What left its list stays here as it was.
  const rows = [...found.sorted('serial').rows, ...found.sorted('gone').rows].map((row) => {
    const data = asRead(pushRow(list, row, account.lists));
    return { ...data, jdp_response: JSON.stringify(data.jdp_response) };
  });
  const parts = Array.from({ length: Math.ceil(rows.length / rowsAStatement) }, (_, part) =>
    rows.slice(part * rowsAStatement, (part + 1) * rowsAStatement),
  );
  const fill = parts.map((part) => ({ text: upsert, values: [JSON.stringify(part)] }));
  return [{ text: create, values: [] }, { text: index, values: [] }, ...fill];
}
