import type { Pool } from '../client.ts';
import type { GrantScope } from './deliveries.ts';
import { type People, peopleSql, readPeople, Statement } from './people.ts';

/** Where the value of a template's variable stands. */
export type Source = { column: string } | 'orders' | 'order_id';

/** Recipients that would be refused before anything leaves. */
export interface Refusable {
  /** Without a grant of the template. */
  noGrant: number;
  /** Without a value, by variable; only those that have some. */
  missing: Record<string, number>;
}

/**
 * Counts who of an audience would be refused, without freezing it.
 * @param required variables of the template that have no text for those without
 */
export async function countRefusable(
  pool: Pool,
  people: People,
  required: Readonly<Record<string, Source>>,
  grants: GrantScope | null,
): Promise<Refusable> {
  const statement = new Statement();
  const { put } = statement;
  const names = Object.keys(required);
  const inner = peopleSql(people, statement);
  const sqlOf = (source: Source) =>
    source === 'orders' ? 'p.records::text' : source === 'order_id' ? 'p.order_id' : `u.data->>${put(source.column)}`;
  const lacks = names.map(
    (name, i) => `count(*) FILTER (WHERE coalesce(${sqlOf(required[name] as Source)}, '') = '')::int AS v${i}`,
  );
  const granted = grants
    ? `EXISTS (SELECT FROM audience.grants g WHERE g.connection_id = ${put(grants.channelId)} AND g.template = ${put(grants.template)}
         AND g.address = p.address AND g.remaining > 0)`
    : 'true';
  const { rows } = await readPeople(
    pool,
    `SELECT ${[`count(*) FILTER (WHERE NOT ${granted})::int AS no_grant`, ...lacks].join(', ')}
     FROM (${inner}) p JOIN audience.users u ON u.connection_id = ${put(people.connection)} AND u.id = p.id WHERE p.reason IS NULL`,
    statement.values,
  );
  const found = names.map((name, i) => [name, rows[0][`v${i}`] as number] as const).filter(([, n]) => n > 0);
  return { noGrant: rows[0].no_grant, missing: Object.fromEntries(found) };
}

/** Recipients of an audience by what a column says of their time zone. */
export async function countZones(
  pool: Pool,
  people: People,
  column: string,
): Promise<{ zone: string | null; people: number }[]> {
  const statement = new Statement();
  const { rows } = await readPeople(
    pool,
    `SELECT u.data->>${statement.put(column)} AS zone, count(*)::int AS people FROM (${peopleSql(people, statement)}) p
     JOIN audience.users u ON u.connection_id = ${statement.put(people.connection)} AND u.id = p.id WHERE p.reason IS NULL GROUP BY 1`,
    statement.values,
  );
  return rows;
}
