import { idPrefixes, type Resource, resourceOf, resourceOfId, resources } from '../../connectors/stripe/catalog.ts';
import { type Claim, heldClaim, writeUnderClaim } from '../../db/claims.ts';
import type { Burial } from '../../db/land.ts';
import { standingsOf } from '../../db/stripe/objects.ts';
import type { Deps } from '../deps.ts';
import { SyncError } from '../errors.ts';
import { buryObjects } from './bury.ts';
import { otherThanCopied } from './identity.ts';
import { readObject } from './object.ts';
import { chosenResources, type OpenStripe, openStripe } from './open.ts';
import { tableOf } from './tables.ts';
import { laterTime } from './version.ts';
import { writeObjects } from './writer.ts';

/** One object, named by its id or, where ids have no mark, as `coupons/SUMMER`. */
export interface Named {
  resource: Resource;
  id: string;
}

/** What a look found; the copy holds it. */
export interface Looked {
  /** False: the source has no such object, and neither it nor the copy knows that there was one. */
  found: boolean;
  deleted: boolean;
  /** When the request for it began, our clock, ms. */
  readMs: number;
}

/** No run has ever held the connection: a caller may wait for the copy, where other wrong input stays wrong. */
export class NoCopy extends SyncError {}

/** Dots alone would name another path. */
const idPattern = /^(?!\.+$)[\w.-]{1,255}$/;
/** Others may write the same object at the same moments; each time the row is newer, and is read again. */
const mostTries = 8;

/** @throws SyncError InvalidInput for what can be no object of the catalog */
export function nameObject(text: string): Named {
  const [key, ...rest] = text.split('/');
  const id = rest.length > 0 ? rest.join('/') : text;
  const resource = rest.length > 0 ? resourceOf(key ?? '') : resourceOfId(text);
  if (resource?.retrieve && idPattern.test(id)) return { resource, id };
  throw new SyncError(
    'InvalidInput',
    `object: got "${text.slice(0, 80)}", accepted an id that begins with ${idPrefixes.join(', ')}, or <resource>/<id> with a resource of: ${resources.map((one) => one.key).join(', ')}`,
  );
}

/**
 * Reads one object by its id and lands it: whatever was written at the source before this call stands in the copy when it
 * returns. Fenced by the claim of the run that holds the connection.
 * @throws NoCopy where none was begun; SyncError InvalidInput where the resource is not copied, Unauthorized, Forbidden, BadAnswer;
 * RetryLater when the budget is used up
 */
export async function lookAt(
  deps: Deps,
  connection: string,
  { resource, id }: Named,
  signal: AbortSignal,
): Promise<Looked> {
  const opened = await openStripe(deps, connection, 'live');
  if (!chosenResources(opened.options).includes(resource))
    throw new SyncError(
      'InvalidInput',
      `object: ${resource.key} are not copied by connection "${connection}" (option types)`,
    );
  const claim = await heldClaim(deps.pool, connection, 'stripe');
  if (!claim)
    throw new NoCopy(
      'InvalidInput',
      `Connection "${connection}" has no copy yet. Begin it with: npx syncline start stripeSync ${connection}`,
    );
  const other = await otherThanCopied(deps, opened, { signal });
  if (other !== null)
    throw new SyncError('Unavailable', `The copy of "${connection}" is about to be begun anew: ${other}`);
  const table = tableOf(resource);
  for (let tries = 0; tries < mostTries; tries++) {
    const before = (await standingsOf(deps.pool, table, connection, [id])).get(id);
    const timeOf = (secondMs: number) => laterTime(secondMs, before?.timeMs ?? null);
    const { read } = await readObject(opened, resource, id, timeOf, signal);
    if ('gone' in read) {
      const known = read.stub || (await standingsOf(deps.pool, table, connection, [id])).has(id);
      // An id that is typed wrong must not leave a row for ever.
      if (!known) return { found: false, deleted: false, readMs: read.gone.readMs };
      if (await landGone(deps, opened, claim, resource, read.gone))
        return { found: true, deleted: true, readMs: read.gone.readMs };
      continue;
    }
    const [row] = read.found.rows;
    if (!row)
      throw new SyncError(
        'BadAnswer',
        `${resource.key}: the object cannot be written: npx syncline rejects ${connection}`,
      );
    const after = await writeUnderClaim(
      deps.pool,
      claim,
      { name: `look ${resource.key}`, durable: false },
      async (client) => {
        await writeObjects(client, claim, read.found, { generation: 0, touch: true, mayHaveRejects: true });
        return (await standingsOf(client, table, connection, [id])).get(id);
      },
    );
    if (after?.timeMs === row.timeMs && !after.deleted) return { found: true, deleted: false, readMs: row.readMs };
  }
  throw new SyncError('Unavailable', `${resource.key}: the object changed again each time it was read`);
}

async function landGone(
  deps: Deps,
  opened: OpenStripe,
  claim: Claim,
  resource: Resource,
  gone: Burial,
): Promise<boolean> {
  const table = tableOf(resource);
  return writeUnderClaim(deps.pool, claim, { name: `look ${resource.key}`, durable: false }, async (client) => {
    await buryObjects(client, claim, opened, resource, [gone]);
    return (await standingsOf(client, table, claim.connection, [gone.id])).get(gone.id)?.deleted === true;
  });
}
