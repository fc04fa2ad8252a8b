import { is } from 'drizzle-orm';
import { getTableConfig, PgTable } from 'drizzle-orm/pg-core';
import pg from 'pg';
import type { Pool } from '../client.ts';
import * as audience from '../schema/audience.ts';
import * as hubspot from '../schema/hubspot.ts';
import * as org from '../schema/org.ts';
import * as platform from '../schema/platform.ts';
import * as stripe from '../schema/stripe.ts';
import * as syncline from '../schema/syncline.ts';
import { type StreamTable, sqlName } from '../streams.ts';

/** A table by its name. */
export type TableName = Pick<StreamTable, 'schema' | 'name'>;

/** A table of ours in which rows of a connection stand. */
export interface OwnedTable extends TableName {
  /** Column that tells whose a row is. */
  owner: string;
  /** What the column holds: the connection's name, or numbers of its plans or passes. */
  by: 'connection' | 'plan' | 'pass';
  /** Rows for others to read, or the word of a person that no source tells again: `--keep-rows` leaves them. */
  kept: boolean;
}

/** Rows that `--keep-rows` leaves; the tables of streams are such, too. */
const kept = new Set<PgTable>([
  org.users,
  org.groups,
  org.memberships,
  audience.users,
  audience.segments,
  audience.memberships,
  audience.orders,
  audience.unsubscribes,
  audience.grants,
]);

/** Rows without the connection's name: they hang on what has it. */
const hanging = new Map<PgTable, Pick<OwnedTable, 'owner' | 'by'>>([
  [org.changeRows, { owner: 'plan_id', by: 'plan' }],
  [org.stages, { owner: 'plan_id', by: 'plan' }],
  [platform.slices, { owner: 'pass_id', by: 'pass' }],
]);

/** Met in a way of their own, each with the reason. */
const apart = new Map<PgTable, string>([
  [syncline.connections, 'goes last: until then it says that the rest is going'],
  [audience.campaigns, 'nothing is disconnected while one stands'],
  [audience.deliveries, 'go with their campaign (db/audience/purge.ts)'],
  [platform.budgets, 'by scope, which may name an endpoint behind the connection (db/disconnect.ts)'],
  [platform.budgetWaits, 'of a worker; they count for half a second'],
]);

const everyTable = [audience, hubspot, org, platform, stripe, syncline]
  .flatMap((file) => Object.values<unknown>(file))
  .filter((one): one is PgTable => is(one, PgTable));

/** By their scope, see `whose`. */
export const budgetTable: OwnedTable = {
  ...{ schema: 'syncline', name: 'budgets', owner: 'scope', by: 'connection', kept: false },
};
export const connectionTable: OwnedTable = {
  ...{ schema: 'syncline', name: 'connections', owner: 'id', by: 'connection', kept: false },
};

/** What has the numbers that hanging rows hold. */
export const parents = { plan: 'org.plans', pass: 'syncline.passes' };

/** SQL of whose rows of a table are meant; $1 is the connection. */
export function whose(table: OwnedTable): string {
  const column = pg.escapeIdentifier(table.owner);
  // No connection has a slash in its name, and other scopes begin with it or are empty.
  if (table === budgetTable) return `(${column} = $1 OR starts_with(${column}, $1 || '/'))`;
  if (table.by === 'connection') return `${column} = $1`;
  return `${column} = ANY (ARRAY(SELECT id FROM ${parents[table.by]} WHERE connection_id = $1))`;
}

/** Names of all tables of the schema, those met in a way of their own as well. */
export const schemaNames = everyTable.map((table) => {
  const { schema = 'public', name } = getTableConfig(table);
  return sqlName({ schema, name });
});

/** Children first: who deletes in this order loses nobody's owner on the way. */
const order = ['plan', 'pass', 'connection'];

/**
 * Our own tables, from the schema: a table with a `connection_id`, or one of those above.
 * @throws Error for a table of which nobody has said how its rows are found
 */
export function schemaTables(tables = everyTable): OwnedTable[] {
  return tables
    .flatMap((table): OwnedTable[] => {
      if (apart.has(table)) return [];
      const { schema = 'public', name, columns } = getTableConfig(table);
      const own = columns.some((column) => column.name === 'connection_id');
      const found = hanging.get(table) ?? (own ? { owner: 'connection_id', by: 'connection' as const } : undefined);
      if (!found) throw new Error(`db/disconnect/tables.ts: ${schema}.${name}: nobody has said whose its rows are`);
      return [{ schema, name, ...found, kept: kept.has(table) }];
    })
    .sort((a, b) => order.indexOf(a.by) - order.indexOf(b.by) || Number(a.kept) - Number(b.kept));
}

/** Columns that we give every table of a stream, and every table of its snapshots: one that lacks them is somebody else's. */
const streamColumns = ['connection_id', 'id', 'data', 'generation', 'synced_at', 'deleted_at'];
const snapshotColumns = ['connection_id', 'generation', 'id', 'data', 'source_time'];

/**
 * Tables in which rows of a connection may stand, as far as they are there. Only those that we made: of the schema, and of
 * streams by their names and by the columns of ours; a `connection_id` alone makes no table ours.
 * @param streams tables of all connectors @param left schema of the connection's connector, which may have lost a stream since
 */
export async function ownedTables(
  pool: Pool,
  connection: string,
  streams: readonly TableName[],
  left: string | null,
): Promise<OwnedTable[]> {
  const ours = schemaTables();
  const named = left === null ? [] : await formerStreams(pool, connection, left);
  const unique = new Map([...streams, ...named].map((one) => [sqlName(one), one]));
  for (const one of ours) unique.delete(sqlName(one));
  const rows = [...unique.values()].map((one) => ({ ...one, columns: streamColumns, kept: true }));
  const snapshots = [...streams, ...named].map(({ schema, name }) => ({
    ...{ schema, name: `${name}_snapshots`, columns: snapshotColumns, kept: false },
  }));
  const there = await present(pool, [...snapshots, ...rows]);
  const seen: OwnedTable = { schema: 'syncline_pass', name: 'seen', owner: 'pass_id', by: 'pass', kept: false };
  const isMade = (await present(pool, [{ ...seen, columns: ['pass_id', 'id'] }])).length > 0;
  // What tells of former streams goes last, so that a second call finds their tables, too.
  const isNames = ({ schema, name }: OwnedTable) => schema === 'syncline' && name === 'streams';
  return [
    ...(isMade ? [seen] : []),
    ...ours.filter((one) => !isNames(one)),
    ...there.map(({ schema, name, kept: stays }) => ({
      ...{ schema, name, owner: 'connection_id', by: 'connection' as const, kept: stays },
    })),
    ...ours.filter(isNames),
  ];
}

/** Streams that were read once, whether or not the connector still has them. */
async function formerStreams(pool: Pool, connection: string, schema: string): Promise<TableName[]> {
  const { rows } = await pool.query('SELECT stream AS name FROM syncline.streams WHERE connection_id = $1', [
    connection,
  ]);
  return rows.map(({ name }) => ({ schema, name }));
}

/** Those that are tables with these columns. */
async function present<T extends TableName & { columns: readonly string[] }>(
  pool: Pool,
  asked: readonly T[],
): Promise<T[]> {
  const { rows } = await pool.query(
    `SELECT n.nspname AS schema, c.relname AS name, array_agg(a.attname::text) AS columns
     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
     WHERE c.relkind = 'r' AND (n.nspname, c.relname) IN (SELECT * FROM unnest($1::text[], $2::text[])) GROUP BY 1, 2`,
    [asked.map(({ schema }) => schema), asked.map(({ name }) => name)],
  );
  const found = new Map(rows.map((row) => [sqlName(row), new Set<string>(row.columns)]));
  const unique = new Map(asked.map((one) => [sqlName(one), one]));
  return [...unique].flatMap(([name, one]) =>
    one.columns.every((column) => found.get(name)?.has(column)) ? [one] : [],
  );
}
