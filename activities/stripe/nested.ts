import { setTimeout as delay } from 'node:timers/promises';
import type { Nested, Resource } from '../../connectors/stripe/catalog.ts';
import type { LandRow } from '../../db/land.ts';
import { SyncError } from '../errors.ts';
import { Refused } from '../http/client.ts';
import type { Faulty } from '../platform/extract.ts';
import { isUnread } from './aside.ts';
import { chosenLists, type OpenStripe } from './open.ts';
import { itemRowOf, listIn, type Origin, type StripeObject } from './rows.ts';

/** Lists of one table that were read whole, with their items. */
export interface NestedRows {
  nested: Nested;
  lists: { parent: string; timeMs: number; readMs: number }[];
  rows: LandRow[];
  faults: Faulty[];
}

const pageRows = 100;
/** A list of more pages than this is not believed: the largest invoices have some thousand lines. */
const mostPages = 2_000;
const mostFails = 3;
const firstPauseMs = 250;

/**
 * Lists inside objects, whole: what the object carries, and the rest by the list's own route. An object whose list is cut
 * counts as read only when this has returned.
 * @param passOver told of an object whose list cannot be read, after some tries where the source fails to show it: true leaves
 * the object out; without it that is thrown
 */
export async function readNested(
  { api, options }: Pick<OpenStripe, 'api' | 'options'>,
  resource: Resource,
  objects: readonly { object: StripeObject; origin: Origin; key?: string }[],
  signal: AbortSignal,
  passOver?: (parent: string, error: unknown) => boolean,
): Promise<NestedRows[]> {
  const found: NestedRows[] = [];
  for (const nested of chosenLists(options, resource)) {
    const of: NestedRows = { nested, lists: [], rows: [], faults: [] };
    for (const { object, origin, key } of objects) {
      const parent = key ?? String(object.id);
      const read = () => wholeList(api, nested, object, signal);
      const items = await (passOver ? tried(read, signal) : read()).catch((error: unknown) => {
        if (!passOver?.(parent, error)) throw error;
        return null;
      });
      if (items === null) continue;
      of.lists.push({ parent, timeMs: origin.timeMs, readMs: origin.readMs });
      for (const [position, item] of items.entries()) {
        const made = itemRowOf(nested, parent, item, position, {
          ...origin,
          position: `${resource.key}.${nested.field} item ${position + 1}`,
        });
        if ('row' in made) of.rows.push(made.row);
        else of.faults.push(made.fault);
      }
    }
    found.push(of);
  }
  return found;
}

/** Whether the source has no such object, or no such list any more. */
export const isGone = (error: unknown) => error instanceof Refused && error.verdict === 'gone';

/** A list that fails for a moment is none that stands aside: four tries within two seconds. */
async function tried<T>(work: () => Promise<T>, signal: AbortSignal): Promise<T> {
  for (let fails = 0; ; fails++) {
    try {
      return await work();
    } catch (error) {
      if (!isUnread(error) || fails === mostFails) throw error;
      await delay(firstPauseMs * 2 ** fails, undefined, { signal });
    }
  }
}

/** Whether something is missing in what the object carries of the lists that are copied. */
export function isCut({ options }: Pick<OpenStripe, 'options'>, resource: Resource, object: StripeObject): boolean {
  return chosenLists(options, resource).some(
    ({ field, mode }) => mode === 'ask' || listIn(object, field)?.has_more !== false,
  );
}

/** Null where the object has no such list, e.g. a checkout session of a setup has no items. */
async function wholeList(
  api: OpenStripe['api'],
  { field, route, mode, paged }: Nested,
  object: StripeObject,
  signal: AbortSignal,
): Promise<StripeObject[] | null> {
  const carried = listIn(object, field);
  if (carried === null && mode !== 'ask') return null;
  const items = [...(carried?.data ?? [])];
  if (carried && !carried.has_more) return items;
  const seen = new Set(items.map((item) => String(item.id)));
  for (let page = 0; page < mostPages; page++) {
    const after = items.at(-1)?.id;
    const params = { ...(paged && { limit: pageRows }), ...(after !== undefined && { starting_after: after }) };
    const answer = await api.list(route, { id: String(object.id), ...params }, signal).catch((error: unknown) => {
      if (after === undefined || !isGone(error)) throw error;
      return null;
    });
    if (answer === null) {
      // What is gone may be the item that marks the place, or the parent: without a place it is told which.
      items.length = 0;
      seen.clear();
      continue;
    }
    const { body } = answer;
    const fresh = body.data.filter((item) => !seen.has(String(item.id)));
    for (const item of fresh) seen.add(String(item.id));
    items.push(...fresh);
    if (!body.hasMore) return items;
    if (fresh.length === 0) break;
  }
  throw new SyncError('BadAnswer', `${route} says that there is more and shows what it has shown: the list has no end`);
}
