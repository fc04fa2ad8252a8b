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
  /** Source and copy are compared after so many kills. Default 1. */
  compareEvery?: number;
  /** The same seed changes the same things and aims at the same moments. */
  seed: number;
  /** Receives one plain line a kill. */
  tell: (line: string) => void;
}

export interface StripeKillReport {
  kills: number;
  /** Kills by phase and activity in hand, e.g. {"backfill fillType": 3}. */
  hit: Record<string, number>;
}

/** Kills of one account: the first falls into its backfill, the others wherever it is. */
const killsOfAccount = 3;
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
 * Round after round over several accounts that change all the time: kill the worker when an account chosen by the seed has
 * been asked a number of requests chosen by the seed, start another one, let the feeds settle, compare source and copy row
 * by row. A new account begins every few kills, so that each phase is met.
 * @throws the difference that was found
 */
export async function killStripeAtRandom(options: StripeKillOptions): Promise<StripeKillReport> {
  const { ground, tell, compareEvery = 1, seed } = options;
  const random = randomOf(seed);
  const report: StripeKillReport = { kills: 0, hit: {} };
  let worker = ground.worker();
  let places: Place[] = [];
  for (let kill = 1; kill <= options.kills; kill++) {
    const first = (kill - 1) % killsOfAccount === 0;
    if (first) {
      await close(places, worker);
      places = [];
      for (let i = 0; i < accounts; i++) places.push(await openPlace(ground, seed + kill * 10 + i));
    }
    const watched = places[Math.floor(random() * places.length)] as Place;
    const { requests } = watched.account.source;
    const wanted = requests.total + 1 + Math.floor(random() * backfillRequests * (first ? 1 : 0.5));
    await worker.whileAlive(until('the moment to kill', async () => requests.total >= wanted, patienceMs));
    await worker.kill();
    const hit = (await Promise.all(places.map(({ run }) => inHand(run)))).flat();
    for (const one of hit) report.hit[one] = (report.hit[one] ?? 0) + 1;
    worker = ground.worker();
    report.kills += 1;
    const last = kill === options.kills || kill % killsOfAccount === 0;
    const compared = kill % compareEvery === 0 || last;
    if (compared) await worker.whileAlive(compare(places, !last));
    tell(`kill ${kill}: ${hit.join(', ') || 'between'}${compared ? '; equal' : ''}`);
  }
  await close(places, worker);
  await worker.stop();
  return report;
}

async function openPlace(ground: Ground, seed: number): Promise<Place> {
  const account = await openStripeAccount(ground, { ...hostile, seed });
  const run = await account.start();
  return { account, run, stop: account.source.churn(changesPerSecond) };
}

/** Lets the sources stand still for a moment, and compares. */
async function compare(places: Place[], goOn: boolean): Promise<void> {
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
  if (goOn) for (const place of places) place.stop = place.account.source.churn(changesPerSecond);
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
