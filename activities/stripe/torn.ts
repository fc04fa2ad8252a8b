import type { Resource } from '../../connectors/stripe/catalog.ts';
import { brokenLists } from '../../db/stripe/verify.ts';
import type { Deps } from '../deps.ts';
import { chosenLists, type OpenStripe } from './open.ts';
import { nestedTableOf, tableOf } from './tables.ts';

/** Objects whose items are not all there. */
export async function broken(
  deps: Pick<Deps, 'pool'>,
  { options }: OpenStripe,
  resource: Resource,
  connection: string,
  ids: readonly string[],
): Promise<string[]> {
  const found: string[] = [];
  for (const nested of chosenLists(options, resource))
    if (nested.mode !== 'ask')
      found.push(
        ...(await brokenLists(
          deps.pool,
          tableOf(resource),
          nestedTableOf(resource, nested),
          connection,
          nested.field,
          ids,
        )),
      );
  return found;
}
