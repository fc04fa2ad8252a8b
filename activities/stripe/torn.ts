import type { Resource } from '../../connectors/stripe/catalog.ts';
import { heldClaim, writeUnderClaim } from '../../db/claims.ts';
import { buryItems } from '../../db/items.ts';
import { brokenLists, orphanedLists } from '../../db/stripe/verify.ts';
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

/** Parents whose items are marked deleted in one transaction. */
const parentsAtOnce = 1_000;

/**
 * Items that are living although their parents are deleted: no list of the source shows such a parent, so that no
 * comparison by time or by parent meets them.
 */
export async function settleOrphans(
  deps: Pick<Deps, 'pool'>,
  { options }: OpenStripe,
  resource: Resource,
  connection: string,
  mend: boolean,
): Promise<{ extra: number; mended: number }> {
  const claim = mend ? await heldClaim(deps.pool, connection, 'stripe') : null;
  const counts = { extra: 0, mended: 0 };
  for (const nested of chosenLists(options, resource)) {
    const [items, parents] = [nestedTableOf(resource, nested), tableOf(resource)];
    const found = await orphanedLists(deps.pool, parents, items, connection);
    counts.extra += itemsOf(found);
    for (let at = 0; claim && at < found.length; at += parentsAtOnce) {
      const some = found.slice(at, at + parentsAtOnce);
      const ids = some.map(({ parent }) => parent);
      await writeUnderClaim(deps.pool, claim, { name: `mend ${resource.key}` }, (client) =>
        buryItems(client, { items, parents }, connection, 0, ids),
      );
      counts.mended += itemsOf(some);
    }
  }
  return counts;
}

const itemsOf = (all: readonly { items: number }[]) => all.reduce((sum, { items }) => sum + items, 0);
