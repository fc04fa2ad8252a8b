import type { Client } from '../client.ts';
import type { CaptureMapping, ReadTable } from './probe.ts';

/** A column as expressions name it, `alias.column`. */
type Named = string;

/** Types of which no text of the one is a text of the other; what is not listed is not judged. */
const families = [/^(smallint|integer|bigint)$/, /^uuid$/, /^(date|timestamp.*|boolean)$/];
const familyOf = (type: string) => families.findIndex((one) => one.test(type));

/**
 * Columns under `tables` that cannot lead to a user: of another type, or compared with the primary key of another table
 * and, along all comparisons, never with `u`. `sum(i.price)` of items joined to orders with "key": "order_id" logged ids
 * of orders as keys of users. What cannot be told for certain (a function, a nested query) is not refused.
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
  const text = String(rows[0].text).replace(/\s+/g, ' ');
  const columns = rows[0].columns as { oid: number; name: string; type: string }[];
  const typeOf = ({ oid }: ReadTable, column: string) =>
    columns.find((one) => one.oid === oid && one.name === column)?.type ?? '';
  const users = tables.find(({ name }) => name === mapping.from);
  return tables.flatMap((table) => {
    const related = mapping.tables[table.name];
    if (!related || !users || table === users) return [];
    const [own, link] = [related.key, related.user ?? mapping.key];
    const [got, wanted] = [typeOf(table, own), typeOf(users, link)];
    const accepted = `accepted a column that holds ${mapping.from}.${link}. Where the table has none: ${ways}`;
    const place = `mapping.tables."${table.name}".key`;
    if (familyOf(got) >= 0 && familyOf(wanted) >= 0 && familyOf(got) !== familyOf(wanted))
      return [`${place}: got "${own}" (${got}), while ${mapping.from}.${link} is ${wanted}; ${accepted}`];
    const other = elsewhere(text, table, own, tables, mapping.from);
    return other === null
      ? []
      : [`${place}: got "${own}", which the expressions compare with ${other} and never with u; ${accepted}`];
  });
}

const ways = 'keep such a column by a trigger of your own (docs/hubspot.md#joins)';

/** The primary key that a column is compared with instead of `u`; null where `u` is among them, or nothing is certain. */
function elsewhere(
  text: string,
  table: ReadTable,
  column: string,
  tables: readonly ReadTable[],
  from: string,
): string | null {
  const pairs = [...text.matchAll(/(\w+\.\w+)(?:::[\w ]+)?\)* = \(*(\w+\.\w+)/g)].map(([, a, b]) => [a!, b!] as const);
  const own = aliasesOf(text, table).map((alias) => `${alias}.${column}`);
  // Handed out of its query, or joined by name: what it is compared with cannot be seen.
  if (own.some((one) => text.includes(`SELECT ${one}`) || text.includes(`, ${one}`)) || text.includes('USING ('))
    return null;
  const equal = reached(own, pairs);
  if ([...equal].some((one) => one.startsWith('u.'))) return null;
  for (const other of tables) {
    const [key, ...more] = other.identity;
    if (other === table || other.name === from || !key || more.length > 0) continue;
    if (aliasesOf(text, other).some((alias) => equal.has(`${alias}.${key.name}`))) return `${other.name}.${key.name}`;
  }
  return null;
}

/** Everything that is equal to one of these, along all comparisons. */
function reached(begin: readonly Named[], pairs: readonly (readonly [Named, Named])[]): Set<Named> {
  const found = new Set(begin);
  for (let size = -1; size !== found.size; ) {
    size = found.size;
    for (const [a, b] of pairs) {
      if (found.has(a)) found.add(b);
      if (found.has(b)) found.add(a);
    }
  }
  return found;
}

/** Names under which the server's own text of the view reads a table. */
function aliasesOf(text: string, { name }: ReadTable): string[] {
  const [schema = '', table = ''] = name.split('.');
  const found = [
    ...text.matchAll(new RegExp(`(?:FROM|JOIN) \\(*(?:${escaped(schema)}\\.)?${escaped(table)}(?: (\\w+))?`, 'g')),
  ];
  return found.map(([, alias]) => (alias && alias === alias.toLowerCase() ? alias : table));
}

const escaped = (name: string) => name.replace(/\$/g, '\\$');
