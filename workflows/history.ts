import { CancellationScope, workflowInfo } from '@temporalio/workflow';

/**
 * Whether the server suggests another execution, by default from 4,096 events on. A cancellation that came to this one
 * does not reach the next: a cancelled run ends in its own.
 */
export function historyIsLong(): boolean {
  return workflowInfo().continueAsNewSuggested && !CancellationScope.current().consideredCancelled;
}
