import type { Resource } from '../../connectors/stripe/catalog.ts';
import type { Burial } from '../../db/land.ts';
import { SyncError } from '../errors.ts';
import { Refused } from '../http/client.ts';
import type { Asked } from './aside.ts';
import { readNested } from './nested.ts';
import { expandParams, type OpenStripe } from './open.ts';
import { rowOf } from './rows.ts';
import { noRows, type ObjectRows } from './writer.ts';

/** What a read brought. `stub`: the source says that it was deleted, not only that it has none. */
export type ReadObject = { found: ObjectRows } | { gone: Burial; stub?: true };

/**
 * Reads one object with its lists. An object that the API calls deleted, or says it does not have, is gone.
 * @param timeOf its number, of the second in which the request began
 */
export async function readObject(
  opened: OpenStripe,
  resource: Resource,
  id: string,
  timeOf: (secondMs: number) => number,
  signal: AbortSignal,
): Promise<{ read: ReadObject; secondMs: number }> {
  const askedMs = Date.now();
  try {
    const params = { id, ...expandParams(opened.options, resource, '') };
    const { body, readMs, secondMs } = await opened.api.get(`${resource.path}/{id}`, params, signal);
    if (body.deleted === true)
      return { read: { gone: { id, timeMs: timeOf(secondMs), readMs }, stub: true }, secondMs };
    if (body.id !== id)
      throw new SyncError('BadAnswer', `${resource.path}/{id} answered with another object than the one asked for`);
    const origin = { timeMs: timeOf(secondMs), readMs, position: `${resource.key} by id` };
    const made = rowOf(resource, body, origin);
    const found = noRows(resource);
    if ('fault' in made) found.faults.push(made.fault);
    else {
      found.rows.push(made.row);
      found.nested = await readNested(opened, resource, [{ object: body, origin }], signal);
    }
    return { read: { found }, secondMs };
  } catch (error) {
    if (!(error instanceof Refused) || error.verdict !== 'gone') throw error;
    const secondMs = opened.api.secondMs();
    return { read: { gone: { id, timeMs: timeOf(secondMs), readMs: askedMs } }, secondMs };
  }
}

/**
 * What may not be read must not stop the feed. Without the right to a resource its events bring nothing: it is parked, and
 * read whole when the right is there. An id that is refused is set aside. @throws everything else
 */
export function withoutRight({ resource, id }: Pick<Asked, 'resource' | 'id'>, error: unknown): ReadObject {
  const found = noRows(resource);
  if (error instanceof Refused) {
    const record = JSON.stringify({ id, code: error.code });
    found.faults.push({ id, keyed: true, reason: 'refused', field: 'id', record, position: `${resource.key} by id` });
    return { found };
  }
  if (error instanceof SyncError && error.type === 'Forbidden') return { found };
  throw error;
}
