import { apiVersion, eventTypes, resources, source } from './resources.ts';

export { apiVersion, eventTypes, resources, source };

/**
 * How a resource is followed.
 * - `A`: events tell every change (there is an `.updated`), and its list can be cut by time
 * - `B`: such events, and a list that can only be read from its start
 * - `C`: no events, unreliable ones, or none for every change: read again on a schedule, what is missing is swept
 *
 * `D`, children of a parent, are the nested lists of their parent; `E`, virtual objects, stand in activities/stripe/upcoming.ts.
 */
export type Kind = 'A' | 'B' | 'C';

/** A list inside an object: a table of its own, keyed by parent and item. */
export interface Nested {
  /** Property of the parent, and with the parent's key the name of the table: `invoices_lines`. */
  field: string;
  /** Name of its items in the API's description; `any` for several kinds. */
  item: string;
  /** Where it is read whole, `{id}` standing for the parent. */
  route: string;
  /** False: the route shows everything at once and takes no page. */
  paged: boolean;
  /** `inline`: the parent carries its first page. `expand`: it does when it is asked for. `ask`: read by its route alone, a request a parent. */
  mode: 'inline' | 'expand' | 'ask';
  /** False: copied only where the connection's option `lists` names it. */
  usual: boolean;
  columns: string;
}

/** A list of the API whose objects have a table. */
export interface Resource {
  /** Name of its table, and of the resource in options and inputs, e.g. `checkout_sessions`. */
  key: string;
  /** What objects of it say in `object`, e.g. `checkout.session`. */
  object: string;
  path: string;
  kind: Kind;
  /** The list takes a range of `created`. */
  created: boolean;
  /** False: the list shows everything at once and takes no page. */
  paged: boolean;
  /** One object can be asked for by id. */
  retrieve: boolean;
  /** Without these the list hides rows. */
  params: Record<string, string>;
  /** Objects under a test clock show only when the list is asked for that clock. */
  clocks: boolean;
  /** How its ids begin, e.g. `cus_`; empty where they have no mark. */
  prefix: string;
  events: readonly string[];
  /** Events after which the object is gone. A canceled subscription stays. */
  deletes: readonly string[];
  /** Objects vanish without an event: only a whole list proves it. */
  sweep: boolean;
  /** Fields that hold an id, or the object when it is expanded. */
  expandable: readonly string[];
  nested: readonly Nested[];
  /** `name:letter` separated by spaces; see {@link columnTypes}. */
  columns: string;
}

/** Letters of `columns`: text, integer, decimal, flag, seconds since 1970, id or expanded object, part as JSON. */
export const columnTypes = {
  t: 'text',
  i: 'bigint',
  n: 'numeric',
  f: 'boolean',
  s: 'timestamptz',
  x: 'text',
  j: 'jsonb',
} as const;

export type ColumnLetter = keyof typeof columnTypes;

export interface CatalogColumn {
  name: string;
  letter: ColumnLetter;
}

/** Columns of a resource or nested list, in the order of the catalog. */
export function columnsOf({ columns }: { columns: string }): CatalogColumn[] {
  return columns
    .split(' ')
    .filter((one) => one !== '')
    .map((one) => {
      const at = one.lastIndexOf(':');
      return { name: one.slice(0, at), letter: one.slice(at + 1) as ColumnLetter };
    });
}

const byKey = new Map(resources.map((one) => [one.key, one]));
/** Two lists of the same objects (`plans` and `prices` are not): the first of the catalog takes their events. */
const byObject = new Map([...resources].reverse().map((one) => [one.object, one]));
/** Marks of ids besides those that samples show: a payment that is no card's is a charge, and so are its refund and dispute. */
const otherMarks: readonly [prefix: string, key: string][] = [
  ['py_', 'charges'],
  ['pyr_', 'refunds'],
  ['du_', 'disputes'],
];
const byPrefix = resources
  .filter(({ prefix, retrieve, key }) => prefix !== '' && retrieve && key !== 'plans')
  .map(({ prefix, key }): [string, string] => [prefix, key])
  .concat(otherMarks)
  .sort(([a], [b]) => b.length - a.length);

/** How an id begins that tells its resource. */
export const idPrefixes: readonly string[] = byPrefix.map(([prefix]) => prefix).sort();
export const resourceOf = (key: string): Resource | undefined => byKey.get(key);
export const resourceOfObject = (object: string): Resource | undefined => byObject.get(object);
/** The resource that an id belongs to, by its mark. */
export const resourceOfId = (id: string): Resource | undefined =>
  byKey.get(byPrefix.find(([prefix]) => id.startsWith(prefix))?.[1] ?? '');
