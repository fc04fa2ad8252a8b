import { randomInt, randomUUID } from 'node:crypto';
import { setMaxListeners } from 'node:events';
import { countShard, type Shard, type StateCounts, takeOver } from '../../db/audience/deliveries.ts';
import { type Claim, takeClaim, writeUnderClaim } from '../../db/claims.ts';
import type { Deps } from '../deps.ts';
import { forConnection, SyncError } from '../errors.ts';
import { type Call, sliceMs } from '../step.ts';
import { budgetOf, type OpenCampaign, openCampaign, perSecondOf, shardOf } from './begin.ts';
import { Sender } from './sender.ts';
import type { Ending } from './settlement.ts';
import { openHttp } from './transport.http.ts';
import type { Transport } from './transport.ts';

export interface ShardInput {
  campaign: string;
  /** The run's. */
  claim: Claim;
  /** First and last place of the shard. */
  from: number;
  to: number;
  /** Messages on their way at once. */
  inFlight: number;
  lane: 'live' | 'bulk';
  /** Somebody of the campaign was reached already. */
  reached: boolean;
  /** Recipients of the shard with an outcome, as an earlier call told. Default 0. */
  settled?: number;
}

/** Where a shard stands after a call; counts are the shard's own, from its start. */
export interface ShardResult {
  states: StateCounts;
  /** Nobody is left to be sent to. */
  done: boolean;
  /** Not before: somebody is due then. 0: at once. */
  waitMs: number;
  /** What the wait is for: the whole account, quiet hours, or this shard's own retries. */
  why: 'account' | 'quiet' | 'retry' | null;
  /** `own`: our own check says so, before anything was sent. */
  stop: { code: string; hint: string; own?: boolean } | null;
  late: boolean;
}

/**
 * Sends to a range of recipients until nobody is left, the call's time is up, or something asks to wait. What an attempt
 * before left behind is settled first: see takeOver. @throws Unavailable when the receiver cannot be reached,
 * or leaves the end of one message after the other open
 */
export async function sendShard(deps: Deps, input: ShardInput, call: Call): Promise<ShardResult> {
  const untilMs = Date.now() + sliceMs;
  const opened = await openCampaign(deps, input.campaign);
  const shard = await takeShard(deps, input, opened.stored.no);
  await takeOver(deps.pool, shard, opened.checked.definition.policy === 'at-least-once', opened.account.id);
  const settled = await proveOutcomes(deps, shard, Math.max(input.settled ?? 0, call.before.settled ?? 0));
  const use = budgetOf(opened, input.lane);
  const signal = manyWaiters(call.signal);
  const transport = await openTransport(deps, opened, input.lane);
  let ending: Ending | null;
  try {
    const { pool, throttle } = deps;
    const sender = new Sender({
      ...{ pool, throttle, use, transport, shard, untilMs },
      ...{ campaign: opened.stored, checked: opened.checked, channelId: opened.account.id },
      ...{ inFlight: input.inFlight, perSecond: perSecondOf(opened), reached: input.reached },
      ...{ signal, careful: call.attempt > 1 },
      report: (counters) => call.report({ ...counters, settled: settled + (counters.settled ?? 0) }),
    });
    ending = await sender.run();
  } catch (error) {
    throw named(error, opened);
  } finally {
    await transport.close();
  }
  if (ending?.kind === 'away') throw new SyncError('Unavailable', ending.message);
  const { deadline } = opened.checked.definition;
  return told(await countShard(deps.pool, shard), ending, deadline === undefined ? null : Date.parse(deadline));
}

const waiting: readonly string[] = ['planned', 'claimed', 'sending'];

/** Recipients with an outcome that stays. */
const settledOf = (states: StateCounts) =>
  Object.entries(states).reduce((sum, [state, n]) => (waiting.includes(state) ? sum : sum + n), 0);

/**
 * Outcomes are flushed before they are told, so that fewer of them mean another state of the database: a backup. Whoever got
 * the message since then stands as planned, and would get a second one.
 */
async function proveOutcomes({ pool }: Deps, shard: Shard, told: number): Promise<number> {
  const settled = settledOf((await countShard(pool, shard)).states);
  if (settled >= told) return settled;
  throw new SyncError(
    'WentBack',
    `Postgres holds ${settled} outcomes of recipients ${shard.from} to ${shard.to}, of which this run has stored ${told}: it was set back to a backup. Who was sent to since stands as planned, so nothing more leaves. docs/operate.md says what can be done`,
  );
}

/** The command in the sentence is about the channel's account; the claim of the step names the campaign. */
export function named(error: unknown, { account }: OpenCampaign): unknown {
  if (error instanceof SyncError) error.message = forConnection(error.message, account.id);
  return error;
}

/** A signal for hundreds who wait for the budget at once, which Node takes for a leak. */
function manyWaiters(signal: AbortSignal): AbortSignal {
  const own = new AbortController();
  setMaxListeners(0, own.signal);
  if (signal.aborted) own.abort(signal.reason);
  else signal.addEventListener('abort', () => own.abort(signal.reason), { once: true });
  return own.signal;
}

/** The right to send to the range: whoever held it before claims nothing more. */
async function takeShard(
  { pool }: Deps,
  { campaign, claim, from, to }: ShardInput,
  campaignNo: number,
): Promise<Shard> {
  await writeUnderClaim(pool, claim, { name: 'begin shard' }, async () => undefined);
  // Every attempt of the activity takes it anew; the one before may still be alive somewhere.
  const request = { ...shardOf(campaign, from), workflowId: 'shard', runId: randomUUID(), isOpen: async () => false };
  const taken = await takeClaim(pool, request);
  if ('heldBy' in taken) throw new SyncError('Defect', 'A shard was held although nobody is asked for it');
  return { campaignNo, from, to, claim: taken, taker: randomInt(2 ** 47) };
}

export async function openTransport(deps: Deps, opened: OpenCampaign, lane: 'live' | 'bulk'): Promise<Transport> {
  const { account, checked, stored } = opened;
  const { channel } = checked;
  const { transport } = channel;
  try {
    if (transport.kind === 'smtp') return (await import('./transport.smtp.ts')).openSmtp(channel, account);
    return openHttp(deps, { ...channel, transport }, account, stored.id, budgetOf(opened, lane));
  } catch (error) {
    throw named(error, opened);
  }
}

function told(
  { states, dueMs }: { states: StateCounts; dueMs: number | null },
  ending: Ending | null,
  deadlineMs: number | null,
): ShardResult {
  const now = Date.now();
  // A wait that is longer would keep the campaign open for nothing.
  const wait = (ms: number) => Math.max(1, Math.ceil(Math.min(ms, (deadlineMs ?? Number.POSITIVE_INFINITY) - now)));
  const left = (states.planned ?? 0) + (states.claimed ?? 0) + (states.sending ?? 0);
  const result = { states, done: left === 0, waitMs: 0, why: null, stop: null, late: false };
  if (ending?.kind === 'stop') {
    const { code, hint = 'the channel refuses every message', own = false } = ending;
    return { ...result, stop: { code, hint, own } };
  }
  if (ending?.kind === 'deadline') return { ...result, late: true };
  if (ending?.kind === 'wait') return { ...result, waitMs: wait(ending.waitMs), why: ending.why };
  // The range was walked to its end: whoever is left waits for a moment.
  if (ending === null && left > 0 && dueMs !== null) return { ...result, waitMs: wait(dueMs - now), why: 'retry' };
  return result;
}
