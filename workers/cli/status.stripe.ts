import { coverages, type StreamStanding } from '../../db/coverage.ts';
import { type Feed, readFeed } from '../../db/stripe/feed.ts';
import type { StripeSyncResult } from '../../workflows/stripe.ts';
import type { VerifiedType } from '../../workflows/stripe.verify.ts';
import type { StripeProgress } from '../../workflows/stripe.view.ts';
import { findComparisons } from './find.verify.ts';
import { byReason } from './grouped.ts';
import { describeTrouble, waitFact } from './pending.ts';
import { askProgress, outcomeOf, type Run } from './runs.ts';
import { type Asked, describeNext, describeRun, type RunStatus } from './status.words.ts';
import { isPast, troublesOf } from './trouble.stripe.ts';
import { ago, columns, counted, duration } from './words.ts';

/** What `--json` prints for a Stripe account. */
export interface StripeStatus extends RunStatus {
  workflow: 'stripeSync';
  /** Other open runs. */
  others: Run[];
  /** Open comparisons of the account with its copy, and what each has come to; null where no worker tells. */
  comparisons: { run: Run; types: VerifiedType[] | null }[];
  progress: StripeProgress | null;
  /** What is known of the data: survives every run. Moments in ms by Stripe's clock. */
  feed: Feed | null;
  types: StreamStanding[];
  /** Milliseconds since the last look at the feed; null before it was live. */
  lagMs: number | null;
}

export async function stripeStatus({
  session,
  client,
  connection,
  runs,
  schedule,
  polled,
}: Asked): Promise<StripeStatus> {
  const [run = null, ...more] = runs;
  const pool = await session.pool();
  const [feed, types, comparisons] = await Promise.all([
    readFeed(pool, connection.id),
    coverages(pool, connection.id, 'stripe'),
    findComparisons(client, connection.id),
  ]);
  const progress = run?.status === 'RUNNING' && polled ? await askProgress<StripeProgress>(client, run) : null;
  return {
    connection: connection.id,
    platform: connection.platform,
    tenant: connection.tenant,
    workflow: 'stripeSync',
    state: stateOf(run, progress, polled),
    run,
    others: more.filter(({ status }) => status === 'RUNNING'),
    comparisons: await Promise.all(
      comparisons.map(async (one) => ({
        run: one,
        types: polled ? await askProgress<VerifiedType[]>(client, one) : null,
      })),
    ),
    outcome: run && run.status !== 'RUNNING' ? await ending(client, run) : null,
    progress,
    feed,
    types,
    lagMs: feed === null || feed.liveMs === null ? null : Math.max(0, Date.now() - feed.seenMs),
    schedule,
  };
}

function stateOf(run: Run | null, progress: StripeProgress | null, polled: boolean): string {
  if (run === null) return 'none';
  if (run.status !== 'RUNNING') return run.status.toLowerCase();
  return polled ? (progress?.state ?? 'running') : 'waiting';
}

async function ending(client: Asked['client'], run: Run): Promise<string> {
  const outcome = await outcomeOf<Partial<StripeSyncResult>>(client, run);
  return 'failure' in outcome ? outcome.failure : (outcome.result.outcome ?? 'ended');
}

export function showStripe(one: StripeStatus): string[] {
  const { connection, run, others, comparisons, progress, feed, types } = one;
  const held = run ? troublesOf(run, feed) : [];
  const pending = [
    ...(run?.pending ?? []).filter(({ name }) => held.some(({ step }) => step === name)),
    ...comparisons.flatMap((other) => other.run.pending),
  ];
  const since = [...new Set(held.flatMap(({ sinceMs }) => sinceMs ?? []))];
  const notes = progress?.notes ?? [];
  const trouble = [
    ...notes.filter((note) => !isPast(note)),
    ...pending.flatMap(describeTrouble),
    ...since.map((ms) => `nothing was read since ${ago(new Date(ms))}`),
  ];
  const facts: [string, string][] = [
    ['run', describeRun(one, 'stripeSync', progress === null)],
    ...(progress ? [['phase', progress.phase] as [string, string]] : []),
    ...others.map((other): [string, string] => [
      'also',
      `${other.type}, since ${ago(other.startedAt)}, ${other.workflowId}`,
    ]),
    ...comparisons.map((other): [string, string] => ['compares', describeComparison(other)]),
    ...notes.filter(isPast).map((note): [string, string] => ['note', note]),
    ...trouble.map(waitFact),
    ...(feed ? [['feed', describeFeed(feed)] as [string, string]] : []),
    ['next', describeNext(one.schedule)],
  ];
  const body = [...columns(facts), ...describeTypes(progress, types)];
  const rejects = types.some((type) => type.rejects > 0) ? [`rejects: npx syncline rejects ${connection}`] : [];
  return [
    `${connection} (${one.platform}, tenant ${one.tenant})`,
    ...[...body, ...rejects].map((line) => `  ${line}`),
    '',
  ];
}

function describeComparison({ run, types }: StripeStatus['comparisons'][number]): string {
  const ended = types?.filter(({ state }) => state !== 'waiting' && state !== 'running').length ?? 0;
  const drift = types?.reduce((sum, one) => sum + one.missing + one.different + one.extra, 0) ?? 0;
  const far = types
    ? `; ${ended} of ${counted(types.length, 'resource')} compared, ${counted(drift, 'row')} drifted`
    : '';
  return `since ${ago(run.startedAt)}, ${run.workflowId}${far}`;
}

function describeFeed({ seenMs, settledMs, liveMs }: Feed): string {
  if (liveMs === null) return 'not live yet';
  const behind = (ms: number) => duration(Math.max(0, Date.now() - ms));
  return `seen ${behind(seenMs)} ago, settled up to ${behind(settledMs)} ago`;
}

/** What is done is one line; what is not, is in doubt has one each, and what is parked one a reason. */
export function describeTypes(progress: StripeProgress | null, types: readonly StreamStanding[]): string[] {
  const told = new Map((progress?.types ?? []).map((type) => [type.type, type]));
  const whole = types.filter(
    ({ stream, fullMs, doubt }) => fullMs !== null && doubt === null && (told.get(stream)?.state ?? 'done') === 'done',
  );
  const others = [...told.values()].filter(
    ({ type, state }) => state !== 'done' || !whole.some(({ stream }) => stream === type),
  );
  return [
    ...(whole.length > 0
      ? [`${counted(whole.length, 'resource')} whole: ${whole.map(({ stream }) => stream).join(', ')}`]
      : []),
    ...byReason(
      others.filter(({ state }) => state === 'parked'),
      'parked',
    ),
    ...columns(
      others
        .filter(({ state }) => state !== 'parked')
        .map(({ type, state, rows, reason, withheld }) => [
          type,
          state,
          counted(rows, 'row'),
          ...(withheld > 0 ? [`${withheld} missing rows stay`] : []),
          ...(reason === null ? [] : [reason]),
        ]),
    ),
  ];
}
