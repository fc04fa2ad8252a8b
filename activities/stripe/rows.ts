import {
  type CatalogColumn,
  type ColumnLetter,
  columnsOf,
  columnTypes,
  type Nested,
  type Resource,
} from '../../connectors/stripe/catalog.ts';
import type { LandRow } from '../../db/land.ts';
import type { Faulty } from '../platform/extract.ts';
import { typed, unstorable } from '../platform/extract.ts';

/** An object as the API gives it. */
export type StripeObject = Record<string, unknown>;

/** When the state of a record is valid, and where it came from. */
export interface Origin {
  /** See version.ts. */
  timeMs: number;
  /** When the request began that brought it, our clock. */
  readMs: number;
  /** E.g. `customers list`, `event customer.updated`. */
  position: string;
}

const columns = new WeakMap<object, CatalogColumn[]>();

function columnList(of: { columns: string }): CatalogColumn[] {
  let list = columns.get(of);
  if (list === undefined) {
    list = columnsOf(of);
    columns.set(of, list);
  }
  return list;
}

/**
 * Makes a row of an object, or says what is wrong with it.
 * @param key of a virtual object, which has no id of its own
 */
export function rowOf(
  resource: Resource,
  object: StripeObject,
  origin: Origin,
  key?: string,
): { row: LandRow } | { fault: Faulty } {
  return made(resource, object, origin, key ?? (typeof object.id === 'string' ? object.id : ''), []);
}

/** An object as JSON text for comparing; of one that Postgres cannot keep only what names it, which no copy equals. */
export function textOf(object: StripeObject): string {
  const text = JSON.stringify(object);
  return unstorable(text) ? JSON.stringify({ id: object.id, created: object.created }) : text;
}

/** Makes the row of an item at a place of a list; items without an id are known by their place. */
export function itemRowOf(
  nested: Nested,
  parent: string,
  item: StripeObject,
  position: number,
  origin: Origin,
): { row: LandRow } | { fault: Faulty } {
  const id = typeof item.id === 'string' && item.id !== '' ? item.id : String(position);
  return made(nested, item, origin, `${parent}/${id}`, [parent, id, position]);
}

function made(
  of: { columns: string },
  object: StripeObject,
  { timeMs, readMs, position }: Origin,
  id: string,
  first: unknown[],
): { row: LandRow } | { fault: Faulty } {
  const data = JSON.stringify(object);
  const bad = (reason: Faulty['reason'], field: string) => ({
    fault: { id: id || position, keyed: id !== '', reason, field, record: data, position },
  });
  if (id === '') return bad('missing_field', 'id');
  if (unstorable(data)) return bad('control_character', 'data');
  const values = [...first];
  for (const column of columnList(of)) {
    const value = fitted(column, object);
    if (value === undefined) return bad('wrong_type', column.name);
    values.push(value);
  }
  return { row: { id, data, timeMs, readMs, gone: false, columns: values } };
}

/** Undefined for a value that does not fit the column. */
function fitted({ name, letter }: CatalogColumn, object: StripeObject): unknown {
  const given = object[name];
  return typed(columnOf[letter], letter === 'x' ? idOf(given) : given);
}

const columnOf = Object.fromEntries(
  Object.entries(columnTypes).map(([letter, type]) => [letter, letter === 's' ? { type, format: 's' } : { type }]),
) as Record<ColumnLetter, { type: (typeof columnTypes)[ColumnLetter]; format?: 's' }>;

/** Values of some columns in a stored record, for filling new ones; null where the record does not fit. */
export function columnValues(of: { columns: string }, names: readonly string[], data: unknown): unknown[] {
  const list = columnList(of);
  return names.map((name) => {
    const column = list.find((one) => one.name === name);
    return column ? (fitted(column, data as StripeObject) ?? null) : null;
  });
}

/** Id of what may stand there as an id or as the object itself. */
export function idOf(value: unknown): unknown {
  return typeof value === 'object' && value !== null ? (value as StripeObject).id : value;
}

/** The envelope of a list inside an object. */
export interface ListEnvelope {
  data: StripeObject[];
  has_more: boolean;
}

/** The list in a field of an object; null where there is none. */
export function listIn(object: StripeObject, field: string): ListEnvelope | null {
  const value = object[field] as Partial<ListEnvelope> | null | undefined;
  return typeof value === 'object' && value !== null && Array.isArray(value.data)
    ? { data: value.data, has_more: value.has_more === true }
    : null;
}
