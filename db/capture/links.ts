import type { Client } from '../client.ts';
import type { CaptureMapping } from './probe.ts';
import { aliasesOf, type Named, pairsOf, plain, reached, type Scope, scopesOf } from './scopes.ts';
import type { ReadTable } from './tables.ts';

/** Types of which no text of the one is a text of the other; what is not listed is not judged. */
const families = [/^(smallint|integer|bigint)$/, /^uuid$/, /^(date|timestamp.*|boolean)$/];
const familyOf = (type: string) => families.findIndex((one) => one.test(type));

/**
 * Columns under `tables` that cannot lead to all users who read a row: of another type, compared with the primary key of
 * another table and, along all comparisons, never with `u`, or not the only one that leads to `u`. `sum(i.price)` of items
 * joined to orders with "key": "order_id" logged ids of orders as keys of users; messages read by sender and by recipient
 * marked the sender alone; a manager who was renamed marked himself. What cannot be told for certain (a function, an
 * expression, a nested query) is not refused.
 * @returns a sentence for each
 */
export async function wrongLinks(
  client: Client,
  mapping: CaptureMapping,
  tables: readonly ReadTable[],
): Promise<string[]> {
  const { rows } = await client.query(
    `SELECT pg_get_viewdef('pg_temp.syncline_probe'::regclass) AS text,
       (SELECT json_agg(json_build_object('oid', attrelid::int, 'name', attname, 'type', format_type(atttypid, NULL)))
        FROM pg_attribute WHERE attrelid = ANY ($1::oid[]) AND attnum > 0 AND NOT attisdropped) AS columns`,
    [tables.map(({ oid }) => oid)],
  );
  const text = plain(String(rows[0].text));
  const scopes = scopesOf(text);
  const columns = rows[0].columns as { oid: number; name: string; type: string }[];
  const typeOf = ({ oid }: ReadTable, column: string) =>
    columns.find((one) => one.oid === oid && one.name === column)?.type ?? '';
  const users = tables.find(({ name }) => name === mapping.from);
  return tables.flatMap((table) => {
    if (table === users) return readAgain(scopes, table, mapping);
    const related = mapping.tables[table.name];
    if (!related || !users) return [];
    const [own, link] = [related.key, related.user ?? mapping.key];
    const [got, wanted] = [typeOf(table, own), typeOf(users, link)];
    const accepted = `accepted a column that holds ${mapping.from}.${link}. Where the table has none: ${ways}`;
    const place = `mapping.tables."${table.name}".key`;
    if (familyOf(got) >= 0 && familyOf(wanted) >= 0 && familyOf(got) !== familyOf(wanted))
      return [`${place}: got "${own}" (${got}), while ${mapping.from}.${link} is ${wanted}; ${accepted}`];
    const other = elsewhere(text, table, own, tables, mapping.from);
    if (other !== null)
      return [`${place}: got "${own}", which the expressions compare with ${other} and never with u; ${accepted}`];
    const more = otherWay(scopes, table, own, link);
    return more === null
      ? []
      : [
          `${place}: got "${own}" for u.${link}, while the expressions also ${more}: changes of rows read that way would be missed; accepted a table whose every reading has ${own} = u.${link}. Where it has none: ${ways}`,
        ];
  });
}

const ways = 'keep such a column by a trigger of your own (docs/hubspot.md#joins)';

/** The users' own table beside `u`: who reads another user's row is not marked when that changes. */
function readAgain(scopes: readonly Scope[], { name }: ReadTable, { key }: CaptureMapping): string[] {
  for (const { text, own } of scopes)
    for (const alias of aliasesOf(own, { name }))
      if (!pairsOf(text).some(({ of, any }) => !any && of.includes(`${alias}.${key}`) && of.includes(`u.${key}`)))
        return [
          `mapping reads "${name}" a second time beside u (as ${alias}): a change of that row marks its own user, not those who read it; accepted u alone. ${ways.replace(/^k/, 'K')}`,
        ];
  return [];
}

/** How a reading of the table comes to `u` by another way than its link, in words; null where none does for certain. */
function otherWay(scopes: readonly Scope[], table: ReadTable, column: string, link: string): string | null {
  for (const { text, own } of scopes)
    for (const alias of aliasesOf(own, table)) {
      const key = `${alias}.${column}`;
      const pairs = pairsOf(text);
      const ofUser = pairs.filter(({ of }) => of.some((one) => one.startsWith('u.')));
      // Both of one user: it is the other column, or either of them.
      for (const { of, any } of ofUser) {
        const [mine] = of.filter((one) => one.startsWith(`${alias}.`));
        if (mine === undefined) continue;
        if (of.includes(`u.${link}`) && mine !== key) return `compare ${mine.split('.')[1]} with u.${link}`;
        if (mine === key && any) return `take rows without ${column} = u.${link} (OR)`;
      }
      const direct = ofUser.find(({ of }) => of.some((one) => one.startsWith(`${alias}.`)));
      if (!direct || isHandedOut(text, key) || reached([key], pairs).has(`u.${link}`)) continue;
      return `compare ${direct.of.map((one) => (one.startsWith('u.') ? one : one.split('.')[1])).join(' with ')}`;
    }
  return null;
}

/** Handed out of its query, or joined by name: what it is compared with cannot be seen. */
const isHandedOut = (text: string, one: Named) =>
  text.includes(`SELECT ${one}`) || text.includes(`, ${one}`) || text.includes('USING (');

/** The primary key that a column is compared with instead of `u`; null where `u` is among them, or nothing is certain. */
function elsewhere(
  text: string,
  table: ReadTable,
  column: string,
  tables: readonly ReadTable[],
  from: string,
): string | null {
  const own = aliasesOf(text, table).map((alias) => `${alias}.${column}`);
  if (own.some((one) => isHandedOut(text, one))) return null;
  const equal = reached(own, pairsOf(text));
  if ([...equal].some((one) => one.startsWith('u.'))) return null;
  for (const other of tables) {
    const [key, ...more] = other.identity;
    if (other === table || other.name === from || !key || more.length > 0) continue;
    if (aliasesOf(text, other).some((alias) => equal.has(`${alias}.${key.name}`))) return `${other.name}.${key.name}`;
  }
  return null;
}
