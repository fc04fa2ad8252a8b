import { ActivityFailure, ApplicationFailure, isCancellation, sleep } from '@temporalio/workflow';

/** Failures that no second try repairs: the run ends at once. */
export const terminal = new Set([
  'InvalidInput',
  'ConnectionUnknown',
  'SealBroken',
  'Unauthorized',
  'Forbidden',
  'EmptyAnswer',
  'UserLimit',
  'ClaimLost',
  'ApprovalTimeout',
]);
const triesPerStep = 3;
/** Runs a step up to three times when its data or logic fails. Infrastructure is retried by Temporal and costs no try. */
export async function tried<T>(name: string, call: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await call();
    } catch (error) {
      const type = typeOf(error);
      if (isCancellation(error) || terminal.has(type) || type === 'StageLost' || tries >= triesPerStep)
        throw surfaced(name, error);
      await sleep(tries * 1_000);
    }
  }
}

/** The failure's type, as activities/errors.ts named it; empty for what is no failure of ours. */
export function typeOf(error: unknown): string {
  const cause = error instanceof ActivityFailure ? error.cause : error;
  return cause instanceof ApplicationFailure ? (cause.type ?? '') : '';
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
