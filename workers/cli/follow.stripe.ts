import type { Execution } from '../../db/claims.ts';
import type { StripeSyncResult } from '../../workflows/stripe.ts';
import type { StripeProgress } from '../../workflows/stripe.view.ts';
import { ended, type Sight } from './follow.ts';
import { byReason } from './grouped.ts';
import { describeTrouble, toldTrouble } from './pending.ts';
import { askProgress, describeRun, outcomeOf } from './runs.ts';
import type { Session } from './session.ts';
import { CommandError } from './trouble.ts';
import { columns, counted, duration } from './words.ts';

/** Sees a run until it follows the feed, or to its end. */
export async function watchStripe(session: Session, name: string, started: Execution): Promise<() => Promise<Sight>> {
  const client = await session.client();
  return async () => {
    const run = await describeRun(client, started);
    if (!run) throw new CommandError(`Temporal no longer knows the run ${started.workflowId}: somebody deleted it`);
    if (run.status !== 'RUNNING') return { picture: [], events: [], end: await endOf(session, run) };
    const progress = await askProgress<StripeProgress>(client, run);
    const notes = progress?.notes ?? [];
    const isLive = progress?.phase === 'follow';
    return {
      picture: [
        ...(progress ? picture(progress) : ['waits for a worker']),
        ...notes,
        ...run.pending.flatMap(describeTrouble),
      ],
      events: [
        ...(progress ? [`phase: ${progress.phase}`] : []),
        ...(progress?.types ?? []).flatMap(eventOf),
        ...notes.map((note) => note.replace(/^waits \d+ s /, 'waits ')),
        ...run.pending.flatMap(toldTrouble),
      ],
      end: isLive
        ? {
            lines: [
              ...byReason(parkedOf(progress.types), 'parked'),
              `${name} is copied, and the run follows the feed until: npx syncline cancel ${name}`,
            ],
            exitCode: 0,
          }
        : null,
    };
  };
}

function picture({ phase, types }: StripeProgress): string[] {
  const parked = parkedOf(types);
  const open = types.filter(({ state }) => state === 'waiting' || state === 'running');
  const done = types.length - open.length - parked.length;
  return [
    `phase: ${phase}; ${done} of ${counted(types.length, 'resource')} read`,
    ...columns(open.map(({ type, state, rows, reason }) => [type, state, counted(rows, 'row'), reason ?? ''])),
    ...byReason(parked, 'parked'),
  ];
}

/** Told at the end, one line a reason: a small account lacks some 70 products. */
const parkedOf = (types: StripeProgress['types']) => types.filter(({ state }) => state === 'parked');

function eventOf({ type, state, rows }: StripeProgress['types'][number]): string[] {
  return state === 'done' && rows > 0 ? [`${type} done (${counted(rows, 'row')})`] : [];
}

async function endOf(session: Session, run: Parameters<typeof outcomeOf>[1]): Promise<Sight['end']> {
  const outcome = await outcomeOf<StripeSyncResult>(await session.client(), run);
  if ('failure' in outcome) throw new CommandError(`The run ${ended(run.status)}: ${outcome.failure}`);
  const { types, durationMs } = outcome.result;
  const rows = types.reduce((sum, one) => sum + one.rows, 0);
  const parked = parkedOf(types);
  return {
    lines: [
      `Copied up to the present: ${counted(rows, 'row')} of ${counted(types.length - parked.length, 'resource')}, ${duration(durationMs)}`,
      ...byReason(parked, 'parked'),
    ],
    exitCode: 0,
  };
}
