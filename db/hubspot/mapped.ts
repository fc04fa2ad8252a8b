import { createHash } from 'node:crypto';
import pg from 'pg';
import { sameTexts } from '../capture/functions.ts';
import { type CaptureMapping, type Probe, quoted } from '../capture/probe.ts';
import { type Pool, transaction } from '../client.ts';
import { knowRows } from '../statistics.ts';
import { type EncodedProperty, encoded } from './encode.ts';
import { userOf, whoLeft } from './users.ts';

/** A mapping as far as it decides what is sent. */
export interface SentMapping extends CaptureMapping {
  properties: Readonly<Record<string, { sql: string; type: string; zone?: string }>>;
  idProperty: string;
  leave: 'update' | 'archive' | 'leave';
  leaveValues: Readonly<Record<string, string>>;
}

/** A dirty user with the row that HubSpot should have. */
export interface MappedRow {
  key: string;
  version: number;
  tries: number;
  /** `in`: in scope. `out`: there, and not in scope. `gone`: deleted. */
  scope: 'in' | 'out' | 'gone';
  /** JSON text of the properties, all values texts, names in one order; null where nothing is to be sent. */
  payload: string | null;
  /** First 16 bytes of SHA-256 of id property and payload, hex. */
  hash: string | null;
  /** Id in the calls; empty where it is a mapped value and there is none. */
  id: string;
  /** The id where it is a mapped value or an address, as HubSpot compares it; null of the deleted. */
  remote: string | null;
  /** The id under which a call left before, as HubSpot compares it. */
  former: string | null;
  /**
   * Another user has this id at HubSpot. `now`: he is to be looked at, or a call with it may still land. `held`: he is in
   * scope. Who left and whose contact stays as it is has it no more.
   */
  taken: 'now' | 'held' | null;
  /** The hash is the one that HubSpot confirmed. */
  sent: boolean;
  /** Something was confirmed once. */
  known: boolean;
  hubspotId: string | null;
  /** A call with this user left once, or its row was refused: a contact may be there although none was confirmed. */
  tried: boolean;
  /** HubSpot was told that he left. */
  toldLeft: boolean;
  parked: boolean;
  /** The hash is the one that was refused, under the same mapping and catalog. */
  refused: boolean;
}

/** Which dirty users are read. */
export interface MappedRange {
  connection: string;
  /** Keys behind this one, in the order of the bytes; null: from the first, which may be an empty text. */
  after: string | null;
  limit: number;
  /** Only this user, dirty or not. */
  only?: string;
  /** Bytes of payloads at most; one row always comes. */
  bytes: number;
  /** `hubspot_syncs.judged` of today. */
  judged: string;
  /** The statement may take so long, ms. Default: what every statement may. */
  timeoutMs?: number | undefined;
}

/** As it comes: for `taken` the others who have its id, null for one who is to be looked at. */
type ReadRow = Omit<MappedRow, 'taken'> & { taken: MappedRow['taken'] | (string | null)[] };

/** Reads mapped rows of one mapping; made once a slice. @throws TypeMismatch */
export class MappedReader {
  private readonly pool: Pool;
  private readonly mapping: SentMapping;
  private readonly keyCast: string;
  private readonly text: string;
  private readonly name: string;
  private readonly idProperty: string;
  /** Payload of users who are deleted; null where nothing is sent for them. */
  private readonly gone: string | null;
  /** Tables whose rows of the connection the planner may not know of: they grow while a first run sends. */
  private readonly unknown = new Set(['syncline.hubspot_dirty', 'syncline.hubspot_contacts']);

  constructor(pool: Pool, mapping: SentMapping, probe: Pick<Probe, 'types' | 'keyCast'>) {
    this.pool = pool;
    this.mapping = mapping;
    this.keyCast = probe.keyCast;
    this.text = statement(mapping, probe);
    this.name = `mapped ${createHash('sha256').update(this.text).digest('hex').slice(0, 16)}`;
    this.idProperty = mapping.idProperty;
    const values = Object.entries(mapping.leaveValues).sort(([a], [b]) => (a < b ? -1 : 1));
    const sends = mapping.leave === 'update' && values.length > 0;
    this.gone = sends ? JSON.stringify(Object.fromEntries(values)) : null;
  }

  /** Dirty users in key order with their mapped rows, in one snapshot: a later change has a mark of its own. */
  async read({ connection, after, limit, only, bytes, judged, timeoutMs }: MappedRange): Promise<MappedRow[]> {
    for (const table of this.unknown)
      if (await knowRows(this.pool, table, { connection_id: connection })) this.unknown.delete(table);
    // A policy that somebody puts on a table in mid-run is an error: users it hides would read as deleted.
    // `::date` and `::text` mean the same whatever the database, the role or this machine has set.
    const settings = `SET TRANSACTION READ ONLY; SET LOCAL row_security = off; ${sameTexts}${
      timeoutMs === undefined ? '' : `; SET LOCAL statement_timeout = ${Math.trunc(timeoutMs)}`
    }`;
    const read = await transaction(this.pool, { name: `map ${connection}`, settings }, async (client) => {
      const values = [connection, after, limit, only ?? null, bytes, judged, this.idProperty, this.gone];
      const { rows } = await client.query({ name: this.name, text: this.text, values });
      // In place: a copy of each would be the better part of the garbage.
      for (const row of rows) row.version = Number(row.version ?? 0);
      return rows as ReadRow[];
    });
    await this.judge(read);
    return read as MappedRow[];
  }

  /** Who has another's id. The others' condition is evaluated apart: where it fails for one of them, no row here does. */
  private async judge(rows: readonly ReadRow[]): Promise<void> {
    const contested = rows.flatMap((row) => (Array.isArray(row.taken) ? [{ row, others: row.taken }] : []));
    if (contested.length === 0) return;
    const asked = new Set(contested.flatMap(({ others }) => others.filter((key) => key !== null)));
    const left = new Set<string | null>(await whoLeft(this.pool, this.mapping, this.keyCast, [...asked]));
    for (const { row, others } of contested)
      row.taken = others.includes(null) ? 'now' : others.every((key) => left.has(key)) ? null : 'held';
  }
}

/**
 * OFFSET 0 keeps each row's expressions inside their own look-up by key: the server cannot turn the batch into a scan of
 * the whole table, and evaluates each expression once. It keeps the look-up of the contact by key as well: joined, all
 * contacts were read and hashed for each 500 users while there were fewer than some 30,000 of them, 35 ms instead of 15.
 */
function statement(mapping: SentMapping, { types, keyCast }: Pick<Probe, 'types' | 'keyCast'>): string {
  const properties = Object.entries(mapping.properties)
    .map(([name, one]): EncodedProperty => ({ ...one, name, sqlType: types[name] ?? 'text' }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
  const values = new Map(properties.map((one, i) => [one.name, `coalesce(${encoded(one, `r.v${i}`)}, '')`]));
  const idIsMapped = values.has(mapping.idProperty);
  if (!idIsMapped) values.set(mapping.idProperty, 'd.key');
  const id = idIsMapped ? values.get(mapping.idProperty)! : 'd.key';
  // HubSpot writes addresses in small letters, and nothing else.
  const asKept = mapping.idProperty === 'email' ? `lower(${id})` : id;
  // Two keys may be one address as well. Compared as stored ids are, whatever collation the column has.
  const isShared = idIsMapped || mapping.idProperty === 'email';
  const remote = isShared ? `(${asKept}) COLLATE "default"` : 'NULL::text';
  const where = `(${mapping.where ?? 'true'})::boolean`;
  const user = userOf(mapping, keyCast, 'd.key');
  const others = ['remote_id', 'doubt_id'].map(
    (name) =>
      `SELECT key FROM syncline.hubspot_contacts WHERE connection_id = $1 AND ${name} = h.remote AND key <> h.key`,
  );
  const taken = `(SELECT array_agg(CASE WHEN NOT EXISTS (SELECT 1 FROM syncline.hubspot_dirty b WHERE b.connection_id = $1 AND b.key = o.key) THEN o.key END)
      FROM (${others.join(' UNION ')}) o)`;
  const inScope = payload(values);
  const outOfScope =
    mapping.leave === 'update'
      ? payload(
          new Map([
            ...values,
            ...Object.entries(mapping.leaveValues).map(([name, text]) => [name, pg.escapeLiteral(text)] as const),
          ]),
        )
      : 'NULL';
  return `WITH d AS MATERIALIZED (
    SELECT key, version, tries FROM syncline.hubspot_dirty
    WHERE $4::text IS NULL AND connection_id = $1 AND ($2::text IS NULL OR key > $2) AND (held_until IS NULL OR held_until <= now()) ORDER BY key LIMIT $3),
  asked AS MATERIALIZED (
    SELECT * FROM d UNION ALL
    SELECT $4, (SELECT version FROM syncline.hubspot_dirty WHERE connection_id = $1 AND key = $4), 0::smallint WHERE $4 IS NOT NULL),
  mapped AS MATERIALIZED (
    SELECT d.key, d.version, d.tries, CASE WHEN m.in_scope IS NULL THEN 'gone' WHEN m.in_scope THEN 'in' ELSE 'out' END AS scope,
      CASE WHEN m.in_scope IS NULL THEN $8::text ELSE m.payload END AS payload, m.id, m.remote
    FROM asked d LEFT JOIN LATERAL (
      SELECT r.in_scope, CASE WHEN r.in_scope THEN ${inScope} ELSE ${outOfScope} END AS payload, ${id} AS id, ${remote} AS remote
      FROM (SELECT coalesce(${where}, false) AS in_scope${properties.map(({ sql }, i) => `, (${sql}) AS v${i}`).join('')}
        FROM ${user} OFFSET 0) r OFFSET 0) m ON true),
  hashed AS (
    SELECT *, substr(sha256(convert_to($7::text || payload, 'UTF8')), 1, 16) AS hash,
      sum(octet_length(payload)) OVER (ORDER BY key) AS total, row_number() OVER (ORDER BY key) AS place FROM mapped)
  SELECT h.key, h.version, h.tries, h.scope, h.payload, encode(h.hash, 'hex') AS hash, coalesce(h.id, ${idIsMapped ? `''` : 'h.key'}) AS id,
    h.remote, coalesce(c.doubt_id, c.remote_id) AS former, ${isShared ? taken : 'NULL::text[]'} AS taken,
    coalesce(c.sent_hash = h.hash, false) AS sent, c.sent_hash IS NOT NULL AS known, c.hubspot_id AS "hubspotId", c.key IS NOT NULL AS tried,
    coalesce(c.told_left, false) AS "toldLeft", c.parked_hash IS NOT NULL AS parked, coalesce(c.parked_hash = h.hash AND c.parked_under = $6::text, false) AS refused
  FROM hashed h LEFT JOIN LATERAL (
    SELECT * FROM syncline.hubspot_contacts o WHERE o.connection_id = $1 AND o.key = h.key OFFSET 0) c ON true
  WHERE h.total IS NULL OR h.total <= $5::bigint OR h.place = 1 ORDER BY h.key`;
}

/** JSON object of texts; json_object takes arrays, where json_build_object ends at 50 properties. */
function payload(values: ReadonlyMap<string, string>): string {
  const names = [...values.keys()].sort();
  const list = (items: readonly string[]) => `ARRAY[${items.join(', ')}]::text[]`;
  return `json_object(${list(names.map((name) => pg.escapeLiteral(name)))}, ${list(names.map((name) => values.get(name)!))})::text`;
}

/**
 * The key that a person typed, as triggers and marks write it: 5 where the user of 005 has it. Another text would be
 * another user, whose contact is a second one of the same.
 * @returns null where it can be no key of this type at all
 */
export async function ownKey(
  pool: Pool,
  { from, key }: Pick<CaptureMapping, 'from' | 'key'>,
  keyCast: string,
  text: string,
): Promise<string | null> {
  try {
    return await transaction(pool, { name: 'key', settings: sameTexts }, async (client) => {
      const own = `u.${pg.escapeIdentifier(key)}`;
      const { rows } = await client.query(
        `SELECT coalesce((SELECT ${own}::text FROM ${quoted(from)} u WHERE ${own} = $1::text::${keyCast}), ($1::text::${keyCast})::text) AS key`,
        [text],
      );
      return rows[0].key;
    });
  } catch (error) {
    if (!String((error as { code?: unknown }).code).startsWith('22')) throw error;
    return null;
  }
}
