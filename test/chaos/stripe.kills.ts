import type { WorkflowHandle } from '@temporalio/client';
import type { Ground } from '../harness/ground.ts';
import { openStripeAccount, type StripeAccount } from '../harness/stripes.ts';
import { until } from '../harness/until.ts';
import type { WorkerProcess } from '../harness/worker-process.ts';
import { randomOf } from './kills.ts';

export interface StripeKillOptions {
  ground: Ground;
  /** Workers killed, one a round; the sources change all the time. */
  kills: number;
  /** The same seed changes the same things and aims at the same moments. */
  seed: number;
  /** Receives one plain line a kill. */
  tell: (line: string) => void;
}

export interface StripeKillReport {
  kills: number;
  /** Kills by the activity in hand, of every account, e.g. {"fillType": 3}. */
  hit: Record<string, number>;
}

/** Activities of the phases mark, backfill, replay and follow. */
export const phases = ['beginStripe', 'fillType', 'replayFeed', 'followFeed'] as const;
/** Looks at the feed of a run that was not disturbed: the mark, then the replay. */
const markLooks = 1;
const accounts = 3;
/** Requests of a quiet backfill, more or less. */
const backfillRequests = 120;
/** Events on their way, shared seconds, thin events: everything the feed may do to us. */
const hostile = { lagMs: 1_500, lateShare: 0.5, thinShare: 0.05, latencyMs: 60 };
const changesPerSecond = 40;
/** A killed worker's activities are missed after ten seconds; the rest is for a machine that is busy. */
const patienceMs = 240_000;

interface Place {
  account: StripeAccount;
  run: WorkflowHandle;
  stop: () => void;
}

/**
 * Round after round over several accounts that change all the time: kill the worker in the mark, the backfill, the replay and
 * while it follows, each at a request chosen by the seed of an account chosen by the seed, and start another one. After the
 * four kills the feeds settle, source and copy are compared row by row, and new accounts begin.
 * @throws the difference that was found
 */
export async function killStripeAtRandom(options: StripeKillOptions): Promise<StripeKillReport> {
  const { ground, tell, seed } = options;
  const random = randomOf(seed);
  const report: StripeKillReport = { kills: 0, hit: {} };
  let worker = ground.worker();
  let places: Place[] = [];
  for (let kill = 1; kill <= options.kills; kill++) {
    const phase = phases[(kill - 1) % phases.length] as (typeof phases)[number];
    if (phase === 'beginStripe') {
      await close(places, worker);
      places = [];
      for (let i = 0; i < accounts; i++) places.push(await openPlace(ground, seed + kill * 10 + i));
    }
    const watched = places[Math.floor(random() * places.length)] as Place;
    await worker.whileAlive(until(`${phase} to kill in`, momentOf(phase, watched, random), patienceMs));
    await worker.kill();
    const hit = (await Promise.all(places.map(({ run }) => inHand(run)))).flat();
    for (const one of hit) report.hit[one] = (report.hit[one] ?? 0) + 1;
    worker = ground.worker();
    report.kills += 1;
    const compared = kill === options.kills || kill % phases.length === 0;
    if (compared) await worker.whileAlive(compare(places));
    tell(`kill ${kill}, aimed at ${phase}: ${hit.join(', ') || 'between'}${compared ? '; equal' : ''}`);
  }
  await close(places, worker);
  await worker.stop();
  return report;
}

/** Tells when an account is in the middle of a phase: by what it was asked, since the short ones are over before anybody could ask Temporal. */
function momentOf(phase: (typeof phases)[number], { account, run }: Place, random: () => number) {
  const { requests } = account.source;
  const looks = () => requests.byEndpoint['GET /v1/events'] ?? 0;
  if (phase === 'beginStripe') return async () => requests.total > 0;
  let wanted = Number.POSITIVE_INFINITY;
  const begun = [looks(), requests.total] as const;
  if (phase === 'replayFeed') return async () => looks() > Math.max(markLooks, begun[0]);
  // Early in the backfill: none of the accounts is in its replay before the next kill.
  const most = phase === 'fillType' ? backfillRequests / 4 : backfillRequests;
  return async () => {
    if (wanted === Number.POSITIVE_INFINITY && (await inHand(run)).includes(phase))
      wanted = requests.total + Math.floor(random() * most);
    return requests.total >= wanted;
  };
}

async function openPlace(ground: Ground, seed: number): Promise<Place> {
  const account = await openStripeAccount(ground, { ...hostile, seed });
  const run = await account.start();
  return { account, run, stop: account.source.churn(changesPerSecond) };
}

/** Lets the sources stand still for a moment, and compares. */
async function compare(places: Place[]): Promise<void> {
  for (const { stop } of places) stop();
  // Each to its end: a look that is under way would outlive the servers.
  const ends = await Promise.allSettled(
    places.map(async ({ account, run }) => {
      await until(
        'the run to follow',
        async () => (await account.progress(run).catch(() => null))?.phase === 'follow',
        patienceMs,
      );
      await account.untilSettled(patienceMs);
      const found = await account.differences();
      if (found.length > 0) throw new Error(`${account.name}: ${found.join('; ')}`);
    }),
  );
  for (const end of ends) if (end.status === 'rejected') throw end.reason;
}

async function close(places: Place[], worker: WorkerProcess): Promise<void> {
  for (const { stop } of places) stop();
  for (const { run } of places) await run.cancel();
  await worker.whileAlive(Promise.allSettled(places.map(({ run }) => run.result())));
  for (const { account } of places) await account.source.stop();
}

/** What the killed worker had in hand. */
async function inHand(run: WorkflowHandle): Promise<string[]> {
  const { raw } = await run.describe();
  return (raw.pendingActivities ?? []).filter((one) => one.state === 2).map((one) => String(one.activityType?.name));
}
