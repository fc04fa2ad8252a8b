import { ActivityFailure, ApplicationFailure, isCancellation, sleep } from '@temporalio/workflow';
import type { FailureType } from '../activities/errors.ts';
import type { RunView } from './org.view.ts';

/** What a failure means for the run: it ends at once, the step is tried again, or the lists are read anew. */
export type Verdict = 'end' | 'again' | 'reread';

/** Every failure that an activity names itself. `Unavailable` reaches no workflow: Temporal retries it without a limit. */
const verdicts: Record<FailureType, Verdict> = {
  InvalidInput: 'end',
  ConnectionUnknown: 'end',
  SealBroken: 'end',
  Unauthorized: 'end',
  Forbidden: 'end',
  EmptyAnswer: 'end',
  UserLimit: 'end',
  EmptyAudience: 'end',
  DeadlinePassed: 'end',
  CampaignStopped: 'end',
  WentBack: 'end',
  CampaignUnknown: 'end',
  ClaimLost: 'end',
  TooManyRejects: 'end',
  TooManyArchives: 'end',
  IsolationSpent: 'end',
  NothingTaken: 'end',
  BadAnswer: 'again',
  ChainBroken: 'again',
  DataRefused: 'again',
  Defect: 'again',
  Unavailable: 'again',
  StageLost: 'reread',
  ScopeChanged: 'reread',
};

export function verdictOf(error: unknown): Verdict {
  const type = typeOf(error);
  if (isCancellation(error) || type === 'ApprovalTimeout') return 'end';
  return isOurs(type) ? verdicts[type] : 'again';
}

const triesPerStep = 3;

/**
 * Runs a step up to three times when its data or logic fails, and shows why while it does. Infrastructure is retried by
 * Temporal and costs no try.
 */
export async function tried<T>(view: Pick<RunView, 'note'>, name: string, call: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      const done = await call();
      view.note(name, null);
      return done;
    } catch (error) {
      if (verdictOf(error) !== 'again' || tries >= triesPerStep) {
        view.note(name, null);
        throw surfaced(name, error);
      }
      view.note(name, `${sentenceOf(surfaced(name, error))}; try ${tries} of ${triesPerStep} failed`);
      await sleep(tries * 1_000);
    }
  }
}

/** The failure's type, as activities/errors.ts named it; empty for what is no failure of ours. */
export function typeOf(error: unknown): string {
  const cause = error instanceof ActivityFailure ? error.cause : error;
  return cause instanceof ApplicationFailure ? (cause.type ?? '') : '';
}

/** A failure as people may see it. */
export function sentenceOf(error: unknown): string {
  const cause = error instanceof ActivityFailure ? error.cause : error;
  return shownFailure(typeOf(error), cause instanceof Error ? cause.message : '');
}

/** `sentence (Type)` of a failure of ours; of a foreign one the type alone, since its text may quote values. */
export function shownFailure(type: string, message: string): string {
  return isOurs(type) ? `${message} (${type})` : `${type || 'a failure without a type'}, see the worker's log`;
}

function isOurs(type: string): type is FailureType {
  return Object.hasOwn(verdicts, type);
}

/** The run ends with the activity's own sentence, not with "Activity task failed". */
function surfaced(name: string, error: unknown): unknown {
  if (!(error instanceof ActivityFailure) || !(error.cause instanceof ApplicationFailure)) return error;
  return ApplicationFailure.create({
    message: error.cause.message.startsWith(`${name}: `) ? error.cause.message : `${name}: ${error.cause.message}`,
    type: typeOf(error),
    nonRetryable: true,
    cause: error,
  });
}
