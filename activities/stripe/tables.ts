import {
  columnsOf,
  columnTypes,
  type Nested,
  type Resource,
  resourceOf,
  resources,
} from '../../connectors/stripe/catalog.ts';
import type { StreamTable } from '../../db/streams.ts';
import { SyncError } from '../errors.ts';

const schema = 'stripe';
/** Longest name of a table in Postgres. */
const longestName = 63;

const tables = new Map<string, StreamTable>();

/** One object a table, so that statements made for it are kept. */
function kept(name: string, make: () => Omit<StreamTable, 'schema' | 'name'>): StreamTable {
  let table = tables.get(name);
  if (table === undefined) {
    table = { schema, name: name.slice(0, longestName), ...make() };
    tables.set(name, table);
  }
  return table;
}

const typedColumns = (of: { columns: string }) =>
  columnsOf(of).map(({ name, letter }) => ({ name, type: columnTypes[letter] }));

/** Table of a resource: `stripe.customers`. */
export function tableOf(resource: Resource): StreamTable {
  return kept(resource.key, () => ({ columns: typedColumns(resource) }));
}

/** Table of a list inside a resource: `stripe.invoices_lines`, key `parent/item`, with the place of the item in the list. */
export function nestedTableOf(resource: Resource, nested: Nested): StreamTable {
  return kept(`${resource.key}_${nested.field}`, () => ({
    columns: [
      { name: 'parent_id', type: 'text' },
      { name: 'item_id', type: 'text' },
      { name: 'position', type: 'bigint' },
      ...typedColumns(nested),
    ],
    index: 'parent_id',
  }));
}

/** @throws SyncError InvalidInput that lists the resources */
export function requireResource(key: string): Resource {
  const found = resourceOf(key);
  if (found) return found;
  throw new SyncError(
    'InvalidInput',
    `Stripe has no resource "${key.slice(0, 64)}". Resources: ${resources.map((one) => one.key).join(', ')}`,
  );
}
