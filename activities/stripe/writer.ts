import type { Resource } from '../../connectors/stripe/catalog.ts';
import { type Claim, writeUnderClaim } from '../../db/claims.ts';
import type { Client } from '../../db/client.ts';
import { type LandRow, land } from '../../db/land.ts';
import { rejectPlace, setAside, settle } from '../../db/rejects.ts';
import { dropMissingItems, type Standing, standingsOf } from '../../db/stripe/objects.ts';
import type { Deps } from '../deps.ts';
import type { Faulty } from '../platform/extract.ts';
import type { NestedRows } from './nested.ts';
import { nestedTableOf, tableOf } from './tables.ts';

/** Objects of one resource with their lists, ready to be written. */
export interface ObjectRows {
  resource: Resource;
  rows: LandRow[];
  faults: Faulty[];
  nested: NestedRows[];
}

export interface WriteOptions {
  generation: number;
  /** The states come one by one and not in order: see db/land.ts. */
  touch: boolean;
  /** Whether records of the resource may stand aside: only then is it worth a look. */
  mayHaveRejects: boolean;
}

export const noRows = (resource: Resource): ObjectRows => ({ resource, rows: [], faults: [], nested: [] });

/** Writes objects and their lists in the transaction of `client`; returns how many objects were written. */
export async function writeObjects(
  client: Client,
  claim: Claim,
  { resource, rows, faults, nested }: ObjectRows,
  { generation, touch, mayHaveRejects }: WriteOptions,
): Promise<number> {
  const { connection } = claim;
  const table = tableOf(resource);
  const { inserted, updated } = await land(client, table, connection, generation, rows, { touch });
  if (mayHaveRejects || faults.length > 0) {
    const ids = rows.map(({ id }) => id);
    await settle(client, rejectPlace(claim, resource.key), ids);
    await setAside(client, claim, resource.key, faults);
  }
  if (nested.some(({ lists }) => lists.length > 0)) {
    const standings = await standingsOf(
      client,
      table,
      connection,
      rows.map(({ id }) => id),
    );
    for (const one of nested)
      await writeLists(client, claim, resource, currentOnly(one, standings), { generation, touch });
  }
  return inserted + updated;
}

/**
 * Lists of parents that are deleted by now, or whose row is of a newer state, are not written: that state came with its own
 * list. An item that left before anybody here knew of it has no row which could refuse the older list that still shows it.
 *
 * @example of two events the later one, without line 3, is written first by the reader of what is new; the earlier one, with
 * line 3, by the reader of late events
 */
function currentOnly(nested: NestedRows, standings: Map<string, Standing>): NestedRows {
  const passed = nested.lists.filter(({ parent, timeMs, readMs }) => {
    const now = standings.get(parent);
    if (now === undefined) return false;
    const newer = now.timeMs !== null && (now.timeMs > timeMs || (now.timeMs === timeMs && now.readMs > readMs));
    return now.deleted || newer;
  });
  return withoutParents(nested, new Set(passed.map(({ parent }) => parent)));
}

function withoutParents(nested: NestedRows, dead: ReadonlySet<string>): NestedRows {
  if (dead.size === 0) return nested;
  return {
    ...nested,
    lists: nested.lists.filter(({ parent }) => !dead.has(parent)),
    rows: nested.rows.filter(({ columns: [parent] }) => !dead.has(String(parent))),
  };
}

async function writeLists(
  client: Client,
  claim: Claim,
  resource: Resource,
  { nested, lists, rows, faults }: NestedRows,
  { generation, touch }: Pick<WriteOptions, 'generation' | 'touch'>,
): Promise<void> {
  const table = nestedTableOf(resource, nested);
  await land(client, table, claim.connection, generation, rows, { touch });
  await setAside(client, claim, `${resource.key}_${nested.field}`, faults);
  const kept = [...rows.map(({ id }) => id), ...faults.map(({ id }) => id)];
  await dropMissingItems(client, table, claim.connection, generation, lists, kept);
}

/** Objects that were deleted while they were read are no part of what was found: their event, or the sweep, tells the rest. */
export function withoutObjects(found: ObjectRows, gone: ReadonlySet<string>): ObjectRows {
  if (gone.size === 0) return found;
  return {
    ...found,
    rows: found.rows.filter(({ id }) => !gone.has(id)),
    nested: found.nested.map((one) => withoutParents(one, gone)),
  };
}

/** Appends what was read to what waits to be written. */
export function addRows(to: ObjectRows, more: ObjectRows): void {
  to.rows.push(...more.rows);
  to.faults.push(...more.faults);
  for (const one of more.nested) {
    const known = to.nested.find(({ nested }) => nested === one.nested);
    if (known) {
      known.lists.push(...one.lists);
      known.rows.push(...one.rows);
      known.faults.push(...one.faults);
    } else to.nested.push({ ...one, lists: [...one.lists], rows: [...one.rows], faults: [...one.faults] });
  }
}

/** Of one object that was read by itself, under the connection's claim. */
export async function writeOne(deps: Deps, claim: Claim, rows: ObjectRows): Promise<void> {
  await writeUnderClaim(deps.pool, claim, { name: `look ${rows.resource.key}`, durable: false }, (client) =>
    writeObjects(client, claim, rows, { generation: 0, touch: true, mayHaveRejects: true }),
  );
}
