import { setMaxListeners } from 'node:events';
import type { Catalog } from '../../connectors/hubspot/catalog.ts';
import { batchRows } from '../../connectors/hubspot.ts';
import { MappingRefused, probeMapping } from '../../db/capture.ts';
import type { Pool } from '../../db/client.ts';
import { logOf } from '../../db/hubspot/drain.ts';
import { countLeaving } from '../../db/hubspot/leaving.ts';
import { MappedReader } from '../../db/hubspot/mapped.ts';
import { breakerHolds, dirtyState, nextDirty, readSync, setTripped, type Tripped } from '../../db/hubspot/syncs.ts';
import { takeTurn } from '../../db/hubspot/turns.ts';
import { otherUsers } from '../../db/hubspot/users.ts';
import type { Deps } from '../deps.ts';
import type { Call } from '../step.ts';
import { ArchiveGuard } from './archives.ts';
import { type HubspotPlan, proveMapping } from './begin.ts';
import { Breaker } from './breaker.ts';
import { openClient } from './client.ts';
import { Courier } from './courier.ts';
import { Feed, type FeedOptions } from './feed.ts';
import { Ledger } from './ledger.ts';
import { markAll } from './marking.ts';
import { requireKey } from './one.ts';
import { judgedDigest, keyDigest, type OpenHubspot, openHubspot } from './open.ts';
import { Decider } from './outgoing.ts';
import { type SliceResult, sliceResult } from './result.ts';
import { type Spent, Tally } from './tally.ts';
import { Unexplained } from './unexplained.ts';
import { walk } from './walk.ts';

export interface SliceInput {
  plan: HubspotPlan;
  /** What the run has spent so far. */
  spent: Spent;
  /** True: a person has looked at the refusals; the breaker is off. */
  acceptRejects: boolean;
  /** True: a person lets the run archive as many as it finds. */
  acceptArchives?: boolean;
  /** Only this user, by key; sent whether anything changed or not. */
  only: string | null;
}

/** A call leaves within this after it was opened, or is opened anew. */
const leaveMs = 5_000;

/**
 * Passes in a row that send less than a batch: behind them few changes are the next run's. With five changes a second a run
 * never ended, and 120 rows cost 104 calls.
 */
const smallPassesMost = 3;

/** SQLSTATEs of a table, column or right that is gone since the run began. */
const gone = /^42/;

/**
 * Drains the log and sends what is dirty, for about 40 s: a walk over the log and a pass over the dirty set side by side.
 * @throws SyncError InvalidInput where capture, a table or a right was taken away meanwhile
 */
export async function sendContacts(deps: Deps, input: SliceInput, call: Call): Promise<SliceResult> {
  const opened = await openHubspot(deps, input.plan.claim.connection);
  try {
    return await sendSlice(deps, opened, input, call);
  } catch (error) {
    const code = String((error as { code?: unknown }).code ?? '');
    if (gone.test(code) || error instanceof MappingRefused) await proveMapping(deps.pool, opened);
    throw error;
  }
}

async function sendSlice(deps: Deps, opened: OpenHubspot, given: SliceInput, call: Call): Promise<SliceResult> {
  // Every lane that waits for the budget listens to it.
  setMaxListeners(100, call.signal);
  const { plan } = given;
  const { connection: id } = plan.claim;
  const { connection, mapping, options } = opened;
  const state = await readSync(deps.pool, id);
  const catalog = (state?.catalog ?? {}) as Catalog;
  const tally = new Tally(given.spent, options.isolationCalls, call.before);
  const { pool } = deps;
  const isOther = state === null || state.judged !== plan.judged || judgedDigest(opened, catalog) !== plan.judged;
  // Another credential or address may be that of another account, which is found out before anything is sent.
  if (isOther || (plan.key !== undefined && plan.key !== keyDigest(connection)))
    return sliceResult(pool, given, tally, { replan: true });
  if (given.only === null && (await holds(pool, given, state.tripped, tally, options.rejectPercent)))
    return sliceResult(pool, given, tally, {});
  const probe = await probeMapping(pool, mapping);
  const only = given.only === null ? null : await requireKey(pool, mapping, probe, given.only);
  const input = { ...given, only };
  const { turn } = await takeTurn(pool, plan.claim);
  const settleMs = options.settleSeconds * 1_000;
  const landMs = leaveMs + options.timeoutSeconds * 1_000 + settleMs;
  const log = logOf(connection.no, mapping, probe);
  const ledger = new Ledger({ pool, turn, log, judged: plan.judged, tally, landMs, awayMost: options.inFlight });
  const breaker = new Breaker({
    percent: input.acceptRejects || only !== null ? null : options.rejectPercent,
    tally,
    count: async () => {
      if (!ledger.everybody) await ledger.idle();
      return ledger.everybody ? null : (await dirtyState(pool, id)).dirty;
    },
  });
  const ending = () => tally.stop !== null || call.shouldEnd();
  const source: FeedOptions = {
    ending,
    reader: new MappedReader(pool, mapping, probe),
    decider: new Decider(opened, catalog, only !== null),
    ledger,
    tally,
    breaker,
    connection: id,
    mapping,
    judged: plan.judged,
    settleMs,
    archives:
      input.acceptArchives || only !== null
        ? null
        : new ArchiveGuard({
            percent: options.archivePercent,
            tally,
            count: async () => {
              await ledger.idle();
              const [gone, { everybody }] = [tally.gone, ledger];
              return { gone, ...(await countLeaving(pool, id, mapping, { keyCast: probe.keyCast, everybody })) };
            },
          }),
    ...(only !== null && { only }),
    nextKey: (after) => nextDirty(pool, id, after),
    others: (key) => otherUsers(pool, id, mapping, key),
  };
  const unexplained = new Unexplained({ ledger, tally, connection: id, accepted: input.acceptRejects });
  const courier = new Courier({
    client: openClient(deps, connection, { ...options, callsPerWindow: plan.callsPerWindow }),
    ledger,
    unexplained,
    tally,
    idProperty: mapping.idProperty,
    adopts: options.adopt !== undefined,
    connection: id,
    settleMs,
    leaveMs,
    timeZone: options.timeZone ?? state.timeZone ?? 'UTC',
    signal: call.signal,
    shouldEnd: () => call.signal.aborted || call.shouldEnd(),
  });
  const pass = (lanes: number) =>
    walk(new Feed(source, lanes), { courier, ledger, unexplained, breaker, lanes, ending });
  call.report(tally.counts);
  let [done, fewLeft] = [false, false];
  if (only !== null) {
    // What it says is said.
    tally.quiet = true;
    const free = await dirtyState(pool, id, only);
    // Again behind a look-up, which tells the way to the contact and writes nothing.
    for (let located = -1; free.held === 0 && tally.located > located && !ending(); ) {
      located = tally.located;
      await pass(1);
    }
    done = free.held === 0;
  }
  let smallPasses = 0;
  for (let marked = state.mark === null; only === null && !ending(); ) {
    if (!marked || ledger.everybody) {
      // Whom the log marks, with everybody or alone, is meant by the same marking.
      ledger.startDrain();
      await ledger.idle();
      marked = await markAll(pool, { turn, mapping, keyType: probe.keyType, tally, ending });
      ledger.everybody = false;
      continue;
    }
    ledger.startDrain();
    await ledger.progress();
    // Who is marked alone and with everybody is sent once.
    if (ledger.everybody) continue;
    const [looked, again, changed] = [tally.counts.looked, tally.counts.again, tally.changed];
    await pass(options.inFlight);
    // A pass that was cut says nothing of those behind it.
    const idle = tally.counts.looked === looked && !ledger.draining && !ledger.everybody && !ending();
    done = idle && ledger.drained === 0;
    if (tally.counts.again > again) {
      tally.waiting = (await dirtyState(pool, id)).held > 0;
      tally.quiet = tally.changed === changed && !tally.waiting;
    }
    if (done) break;
    const looks = tally.counts.looked - looked;
    smallPasses = looks < batchRows && tally.counts.again === again ? smallPasses + 1 : 0;
    if (smallPasses < smallPassesMost || ending()) continue;
    ledger.startDrain();
    await ledger.idle();
    const { dirty, held } = await dirtyState(pool, id);
    fewLeft = !ledger.everybody && dirty - held < batchRows;
    if (fewLeft) break;
  }
  await ledger.idle();
  if (tally.stop?.kind === 'rejects') {
    // Calls in flight have come to their ends since.
    tally.stop.bad = tally.bad;
    await setTripped(pool, id, { judged: plan.judged, bad: tally.stop.bad, of: tally.stop.of });
  }
  if (tally.stop?.kind === 'failure') throw tally.stop.error;
  return sliceResult(pool, input, tally, { done: done || fewLeft, fewLeft });
}

/** True while a breaker that tripped holds: each start parked another 800 rows of a mapping that was wrong. */
async function holds(
  pool: Pool,
  { plan, acceptRejects }: SliceInput,
  tripped: Tripped | null,
  tally: Tally,
  rejectPercent: number,
): Promise<boolean> {
  if (tripped === null) return false;
  if (acceptRejects) await setTripped(pool, plan.claim.connection, null);
  else if (breakerHolds(tripped, plan.judged, rejectPercent))
    tally.end({ kind: 'rejects', bad: tripped.bad, of: tripped.of });
  return tally.stop !== null;
}
