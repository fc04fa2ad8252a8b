import type { Resource } from '../../connectors/stripe/catalog.ts';
import type { Claim } from '../../db/claims.ts';
import type { Client } from '../../db/client.ts';
import { buryItems } from '../../db/items.ts';
import { type Burial, bury } from '../../db/land.ts';
import { rejectPlace, settle } from '../../db/rejects.ts';
import type { StreamTable } from '../../db/streams.ts';
import { chosenLists, type OpenStripe } from './open.ts';
import { nestedTableOf, tableOf } from './tables.ts';

/**
 * `buryObjects` marks objects deleted, and with them the items of their lists: the one way in which an object ends, whoever
 * learned of it. A row that is newer than its burial stays, with its items. In the transaction of `client`.
 */
export async function buryObjects(
  client: Client,
  claim: Claim,
  opened: Pick<OpenStripe, 'options'>,
  resource: Resource,
  burials: readonly Burial[],
): Promise<void> {
  const { connection } = claim;
  const parents = tableOf(resource);
  await bury(client, parents, connection, 0, burials);
  const ids = burials.map(({ id }) => id);
  for (const items of itemTablesOf(opened, resource)) await buryItems(client, { items, parents }, connection, 0, ids);
  // Nobody reads them any more.
  await settle(client, rejectPlace(claim, resource.key), ids);
}

/** Tables of the lists inside a resource that are copied. */
export function itemTablesOf({ options }: Pick<OpenStripe, 'options'>, resource: Resource): StreamTable[] {
  return chosenLists(options, resource).map((nested) => nestedTableOf(resource, nested));
}
