import pg from 'pg';
import type { Client } from '../client.ts';

/**
 * What stops a look at a mapping, in a transaction that can go on: schemas that it names and the user may not enter, or no
 * right to a temporary view. The server's own message names the schema in its language, and unquoted.
 * @param text all that the mapping names
 */
export async function sayClosed(client: Client, text: string, { message }: Error): Promise<string> {
  const { rows } = await client.query(
    `SELECT has_database_privilege(current_database(), 'TEMP') AS temp, current_user AS name, current_database() AS database,
       ARRAY(SELECT nspname::text FROM pg_namespace WHERE NOT has_schema_privilege(oid, 'USAGE')
         AND (strpos($1, nspname || '.') > 0 OR strpos($1, quote_ident(nspname) || '.') > 0) ORDER BY 1) AS closed`,
    [text],
  );
  const { temp, name, database, closed } = rows[0];
  const id = pg.escapeIdentifier;
  const grants = [
    ...(temp ? [] : [`GRANT TEMPORARY ON DATABASE ${id(database)} TO ${id(name)};`]),
    ...(closed.length === 0 ? [] : [`GRANT USAGE ON SCHEMA ${closed.map(id).join(', ')} TO ${id(name)};`]),
  ];
  const told = grants.length > 0 ? `Grant it: ${grants.join(' ')}` : 'Its owner must grant that';
  return `mapping: the user ${name} may not read what it names (${message}). ${told}`;
}
