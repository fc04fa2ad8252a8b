import type { Client } from '../client.ts';
import { sqlName } from '../streams.ts';
import { type OwnedTable, schemaNames, whose } from './tables.ts';

/** A foreign key of a table that is none of ours, by which rows point at rows that would go. */
export interface Reference {
  /** As people write it: `public.desks`. */
  table: string;
  constraint: string;
  /** How many do; null where we may not see all rows of the table, and some may. */
  rows: number | null;
  to: OwnedTable;
}

/**
 * Looks for rows that would stop a deletion half way, or be changed by it unasked (CASCADE, SET NULL, SET DEFAULT). For the
 * rest of its transaction the client plans no nested loops.
 * @param going tables whose rows go @param owned all that rows of connections stand in
 */
export async function referencesTo(
  client: Client,
  connection: string,
  going: readonly OwnedTable[],
  owned: readonly OwnedTable[],
): Promise<Reference[]> {
  // A partition repeats the key of its table. Collations are those of our columns, by which the key itself compares.
  const { rows: keys } = await client.query(
    `SELECT g.place::int - 1 AS place, n.nspname || '.' || c.relname AS "table", k.conname::text AS "constraint",
       format('%s%I.%I', CASE c.relkind WHEN 'r' THEN 'ONLY ' END, n.nspname, c.relname) AS "from",
       has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT') AND NOT row_security_active(c.oid) AS seen,
       (SELECT string_agg(format('f.%I = t.%I%s', theirs.attname, ours.attname,
            CASE WHEN ours.attcollation <> 0 THEN ' COLLATE ' || ours.attcollation::regcollation END), ' AND ')
        FROM unnest(k.conkey, k.confkey) AS pair(theirs, ours)
        JOIN pg_attribute theirs ON theirs.attrelid = k.conrelid AND theirs.attnum = pair.theirs
        JOIN pg_attribute ours ON ours.attrelid = k.confrelid AND ours.attnum = pair.ours) AS "on"
     FROM unnest($1::text[]) WITH ORDINALITY AS g(name, place)
     JOIN pg_constraint k ON k.contype = 'f' AND k.conparentid = 0 AND k.confrelid = g.name::regclass
     JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE k.conrelid <> ALL ($2::text[]::regclass[]) ORDER BY 2, 3`,
    [going.map(sqlName), [...schemaNames, ...owned.map(sqlName)]],
  );
  // Both sides are whole sets. Of a connection that came after its tables were analysed the planner expects a single row, and
  // walks the other table for each: 500,000 rows against as many had not ended after two minutes, and take 0.6 s so.
  await client.query('SET LOCAL enable_nestloop = off');
  const found: Reference[] = [];
  for (const { place, table, constraint, from, seen, on } of keys) {
    const to = going[place] as OwnedTable;
    const mine = `(SELECT * FROM ${sqlName(to)} WHERE ${whose(to)})`;
    const { rows } = await client.query(
      seen ? `SELECT count(*)::float8 AS n FROM ${from} f JOIN ${mine} t ON ${on}` : `SELECT EXISTS ${mine}::int AS n`,
      [connection],
    );
    if (rows[0].n > 0) found.push({ table, constraint, rows: seen ? rows[0].n : null, to });
  }
  return found;
}
