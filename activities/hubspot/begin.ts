import { isDaily } from '../../connectors/hubspot/answers.ts';
import { type Catalog, compareCatalog, madeAnew } from '../../connectors/hubspot/catalog.ts';
import { captureState, MappingRefused, missingRights, probeMapping, RightsMissing } from '../../db/capture.ts';
import { type Claim, type Execution, takeClaim } from '../../db/claims.ts';
import type { Pool } from '../../db/client.ts';
import { TypeMismatch } from '../../db/hubspot/encode.ts';
import { MappedReader } from '../../db/hubspot/mapped.ts';
import { askMark } from '../../db/hubspot/mark.ts';
import { forgetSent, readSync, type SyncState, setStandard } from '../../db/hubspot/syncs.ts';
import { requireZones } from '../../db/hubspot/zones.ts';
import type { Deps } from '../deps.ts';
import { RetryLater, SyncError } from '../errors.ts';
import type { Call } from '../step.ts';
import { DailyLimit, readAccount, readDetails } from './account.ts';
import { openClient } from './client.ts';
import { judgedDigest, keyDigest, mappingDigest, type OpenHubspot, openHubspot } from './open.ts';

export interface BeginHubspotInput extends Execution {
  connection: string;
  /** Forgets what was confirmed: everybody is sent. */
  full: boolean;
  /** One user is sent, and nobody else looked at. */
  only?: boolean;
}

/** What the slices of a run go by. */
export interface HubspotPlan {
  claim: Claim;
  /** Digest that rows are judged by; a slice that finds another one asks for a new plan. */
  judged: string;
  /** Digest of the address and credential whose account was asked for; another one asks for a new plan. Absent in plans of an older worker. */
  key?: string;
  callsPerWindow: number;
  /** Everybody is to be marked first, for people: null in a first run, though it does. */
  mark: 'all' | 'resend' | null;
  /** Parked rows that come back, since mapping or catalog changed. */
  returned: number;
}

/** A limit of the account that a run meets before its first row. */
export interface BeginWait {
  waitMs: number;
  waitFor: 'burst' | 'daily';
}

export const hubspotPipeline = 'hubspot';

/**
 * Takes the connection for this run and proves that it can do its work: triggers, rights, expressions, properties. What
 * is wrong with any of them would refuse every row, and is said before the first one is sent.
 */
export async function beginHubspot(
  deps: Deps,
  { connection, workflowId, runId, full, only = false }: BeginHubspotInput,
  call: Call,
): Promise<HubspotPlan | { heldBy: Execution } | BeginWait> {
  const opened = await openHubspot(deps, connection);
  const { isOpen } = deps;
  const claim = await takeClaim(deps.pool, { connection, pipeline: hubspotPipeline, workflowId, runId, isOpen });
  if ('heldBy' in claim) return claim;
  const before = await readSync(deps.pool, connection);
  const key = keyDigest(opened.connection);
  const client = openClient(deps, opened.connection, opened.options);
  try {
    // Side by side, since either takes its time; what is wrong with the mapping is told first.
    const [proof, told] = await Promise.allSettled([
      proveMapping(deps.pool, opened),
      Promise.all([
        readAccount(client, connection, opened.mapping, call.signal),
        known(before, key) ?? readDetails(client, connection, call.signal),
      ]),
    ]);
    if (proof.status === 'rejected') throw proof.reason;
    if (told.status === 'rejected') throw told.reason;
    const [account, details] = told.value;
    requireSame(connection, before?.account ?? null, details.account);
    const gone = compareCatalog(opened.mapping, account.catalog).some(({ kind }) => kind === 'missing');
    if (gone || madeAnew((before?.catalog ?? {}) as Catalog, account.catalog)) await forgetSent(deps.pool, claim);
    requireFit(opened, account.catalog);
    const judged = judgedDigest(opened, account.catalog);
    const timeZone = opened.options.timeZone ?? details.timeZone;
    const standard = {
      // Another standing of the tables is looked at as another mapping is: everybody.
      mapping: `${mappingDigest(opened)} ${proof.value}`,
      judged,
      catalog: account.catalog,
      timeZone,
      account: details.account && `${details.account} ${key}`,
    };
    const { mark, returned } = await setStandard(deps.pool, claim, standard, { full, only });
    const callsPerWindow = opened.options.callsPerWindow ?? account.callsPerWindow;
    return { claim, judged, key, callsPerWindow, mark, returned };
  } catch (error) {
    if (!(error instanceof RetryLater)) throw error;
    const { waitMs } = error;
    const daily = error instanceof DailyLimit || isDaily(waitMs, opened.options.timeZone ?? before?.timeZone ?? 'UTC');
    return { waitMs, waitFor: daily ? 'daily' : 'burst' };
  }
}

/**
 * @returns another text when rows may have changed without a trigger that saw it
 * @throws SyncError InvalidInput for expressions, rights and triggers that are missing or wrong
 */
export async function proveMapping(pool: Pool, { connection, mapping }: OpenHubspot): Promise<string> {
  const check = `See all of it with: npx syncline hubspot check --connection ${connection.id}`;
  try {
    const probe = await probeMapping(pool, mapping);
    await requireZones(pool, mapping);
    new MappedReader(pool, mapping, probe);
    const missing = await missingRights(pool, connection, probe, 'run');
    // What the triggers could not write stands nowhere.
    if (missing.some(({ lost }) => lost)) await askMark(pool, connection.id, 'all');
    if (missing.length > 0) throw new RightsMissing(missing);
    const state = await captureState(pool, connection, mapping, probe);
    if (state.complete) return `${probe.shape} ${state.touched}`;
    const what = state.triggers.find((one) => one.state !== 'installed');
    throw new SyncError(
      'InvalidInput',
      `Changes are not captured: ${what ? `the trigger for ${what.event} on ${what.table} is ${what.state}` : 'their log is gone or of an older version'}. Install it: npx syncline capture install ${connection.id}`,
    );
  } catch (error) {
    if (error instanceof MappingRefused || error instanceof TypeMismatch || error instanceof RightsMissing) {
      // Postgres quotes the expression in its sentence: the place is told here, the rest on the command line.
      const places =
        error instanceof MappingRefused ? error.problems.map((one) => one.split(': ')[0]).join(', ') : error.message;
      throw new SyncError('InvalidInput', `The mapping of "${connection.id}" cannot be used (${places}). ${check}`, {
        cause: error,
      });
    }
    throw error;
  }
}

/** Which account a key opens, and its zone, are asked once a key. */
function known(before: SyncState | null, key: string): { timeZone: string; account: string } | null {
  const [account, asked] = before?.account?.split(' ') ?? [];
  if (account === undefined || asked !== key || !before?.timeZone) return null;
  return { account, timeZone: before.timeZone };
}

/**
 * What one account confirmed says nothing of another: nobody would be sent there.
 * @param sentTo as it is stored, the account before the digest of a key
 * @throws SyncError InvalidInput
 */
export function requireSame(connection: string, sentTo: string | null, now: string | null): void {
  const before = sentTo?.split(' ')[0] ?? null;
  if (before === null || now === null || before === now) return;
  throw new SyncError(
    'InvalidInput',
    `Connection "${connection}" has sent to account ${before}, and its credential is for account ${now}. Use a connection of its own for that account (npx syncline connect OTHER --platform hubspot --mapping FILE --credential-env VARIABLE, then npx syncline capture install OTHER), or give a credential of account ${before}: npx syncline connect ${connection} --credential-env VARIABLE`,
  );
}

function requireFit({ connection, mapping }: OpenHubspot, catalog: Parameters<typeof compareCatalog>[1]): void {
  const faults = compareCatalog(mapping, catalog);
  if (faults.length === 0) return;
  const create = faults.some(({ kind }) => kind === 'missing')
    ? ', and makes those that are missing with --create'
    : '';
  throw new SyncError(
    'InvalidInput',
    `The mapping does not fit the account: ${faults
      .slice(0, 5)
      .map(({ sentence }) => sentence)
      .join('; ')}. Compare it with: npx syncline hubspot check --connection ${connection.id}${create}`,
  );
}
