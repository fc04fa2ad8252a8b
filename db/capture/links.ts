import type { Client } from '../client.ts';
import type { Equalities } from './equals.ts';
import type { CaptureMapping } from './probe.ts';
import { type Reading, readingsOf } from './readings.ts';
import type { ReadTable } from './tables.ts';
import { parseTree } from './tree.ts';

/**
 * Readings of which nobody can prove that a changed row reaches only users whose link it holds: `u.<user>` = its `key`,
 * for certain. Products joined to orders with "key": "id" logged ids of products as keys of users, messages read by sender
 * and by recipient marked the sender alone, a manager who was renamed himself. The proof is in the server's own parse.
 * @param places of the expressions, in the order of the view
 * @returns a sentence for each table
 */
export async function wrongLinks(
  client: Client,
  mapping: CaptureMapping,
  tables: readonly ReadTable[],
  places: readonly string[],
): Promise<string[]> {
  const { rows } = await client.query(
    `SELECT (SELECT ev_action::text FROM pg_rewrite WHERE ev_class = 'pg_temp.syncline_probe'::regclass) AS tree,
       (SELECT json_agg(json_build_object('oid', attrelid::bigint, 'name', attname, 'no', attnum))
        FROM pg_attribute WHERE attrelid = ANY ($1::oid[]) AND attnum > 0 AND NOT attisdropped) AS columns`,
    [tables.map(({ oid }) => oid)],
  );
  const columns = rows[0].columns as { oid: number; name: string; no: number }[];
  const noOf = ({ oid }: ReadTable, column: string) =>
    columns.find((one) => one.oid === oid && one.name === column)?.no ?? 0;
  const readings = readingsOf(parseTree(String(rows[0].tree)), await equalities(client));
  const users = tables.find(({ name }) => name === mapping.from);
  return tables.flatMap((table) => {
    if (!users) return [];
    const own = readings.filter(({ oid }) => oid === table.oid);
    const related = mapping.tables[table.name];
    const key = table === users ? mapping.key : (related?.key ?? '');
    const link = table === users ? mapping.key : (related?.user ?? mapping.key);
    const wrong = own.find((one) => !one.leads(noOf(table, key), noOf(users, link)));
    if (wrong === undefined && (own.length > 0 || table === users)) return [];
    return [table === users ? sayAgain(table, wrong!) : sayWrong(table, key, link, wrong)];

    function sayAgain({ name }: ReadTable, { alias, expression }: Reading): string {
      return `mapping reads "${name}" a second time beside u (as ${alias}, in ${places[expression]}): a change of that row marks its own user, not those who read it; accepted u alone. ${ways}`;
    }

    function sayWrong({ name }: ReadTable, column: string, user: string, reading: Reading | undefined): string {
      const equals = reading?.equals(noOf(table, column)) ?? [];
      const found = equals.length > 0 ? `, which is compared with ${equals.join(', ')}` : '';
      const where = reading ? `${places[reading.expression]} reads ${name} (as ${reading.alias})` : `${name} is read`;
      return `mapping.tables."${name}".key: got "${column}"${found}, but ${where} and nothing proves ${reading?.alias ?? name}.${column} = u.${user} there: changes would be missed; accepted a table whose every reading has that very condition, by AND and without casts or functions. ${ways}`;
    }
  });
}

const ways =
  'Where there is none: keep such a column in the table, or read it in a function (docs/hubspot.md#joins has the ways)';

/** Cross-type operators of dates are left out: which moment a day begins is the session's to say. */
async function equalities(client: Client): Promise<Equalities> {
  const { rows } = await client.query(
    `SELECT (SELECT json_object_agg(opno, family) FROM (
         SELECT amopopr AS opno, min(amopfamily::bigint) AS family FROM pg_amop JOIN pg_am a ON a.oid = amopmethod JOIN pg_operator o ON o.oid = amopopr
         JOIN pg_proc p ON p.oid = o.oprcode WHERE amname = 'btree' AND amopstrategy = 3 AND provolatile = 'i' GROUP BY 1) e) AS families,
       (SELECT coalesce(json_agg(oid::text), '[]') FROM pg_collation WHERE NOT collisdeterministic) AS loose`,
  );
  const { families, loose } = rows[0] as { families: Record<string, number>; loose: string[] };
  return {
    families: new Map(Object.entries(families).map(([opno, family]) => [opno, String(family)])),
    loose: new Set(loose),
  };
}
