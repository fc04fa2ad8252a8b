import type { Resource } from '../../connectors/stripe/catalog.ts';
import type { Pool } from '../../db/client.ts';
import { ensureTable, type StreamTable } from '../../db/streams.ts';
import type { Deps } from '../deps.ts';
import { fillColumns } from '../platform/fill.ts';
import type { Call } from '../step.ts';
import { chosenLists, chosenResources, type OpenStripe } from './open.ts';
import { columnValues } from './rows.ts';
import { nestedTableOf, tableOf } from './tables.ts';
import { upcoming, upcomingChosen } from './upcoming.ts';

/** Tables that this process has seen whole: a follower opens every four minutes, and asks for some hundred of them. */
const whole = new WeakMap<Pool, Set<StreamTable>>();

/** Everything that the options choose: what has a table. */
export function copiedOf({ options }: OpenStripe): Resource[] {
  return [...chosenResources(options), ...(upcomingChosen(options) ? [upcoming] : [])];
}

/**
 * Makes the tables and columns of what is copied, and fills new columns from the records that are there. Asked for wherever
 * the options are read: a type that is added while a run follows has no table yet.
 * @param again asks for tables too that were whole before: somebody may have dropped a column
 */
export async function ensureTables(
  deps: Pick<Deps, 'pool'>,
  opened: OpenStripe,
  call: Pick<Call, 'report' | 'shouldEnd'>,
  { copied = copiedOf(opened), again = false }: { copied?: readonly Resource[]; again?: boolean } = {},
): Promise<void> {
  const known = whole.get(deps.pool) ?? new Set();
  whole.set(deps.pool, known);
  const ensure = async (table: StreamTable, of: { columns: string }) => {
    if (known.has(table) && !again) return;
    const columns = await ensureTable(deps.pool, table);
    await fillColumns(deps.pool, table, columns, (data) => columnValues(of, columns, data), call);
    known.add(table);
  };
  for (const resource of copied) {
    await ensure(tableOf(resource), resource);
    for (const nested of chosenLists(opened.options, resource)) await ensure(nestedTableOf(resource, nested), nested);
  }
}
