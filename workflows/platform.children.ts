import { CancellationScope, type ChildWorkflowHandle, getExternalWorkflowHandle, patched } from '@temporalio/workflow';
import { hold, type streamSync } from './platform.stream.ts';

type Child = ChildWorkflowHandle<typeof streamSync>;

/** Holds a stream, or lets it go on. Signals meet the execution at work, whichever it is. */
export async function tell(child: Child, paused: boolean): Promise<void> {
  try {
    await child.signal(hold, paused);
  } catch (error) {
    // It has ended meanwhile: nothing is left to hold.
    if (CancellationScope.current().consideredCancelled) throw error;
  }
}

/**
 * Cancels streams by id. Temporal passes a cancellation on to the first execution of a child alone: one whose history got
 * long has closed that one, and would read on to its end.
 */
export async function cancelAll(children: readonly Child[]): Promise<void> {
  if (!patched('cancel streams by id')) return;
  const open = children.map(({ workflowId }) => getExternalWorkflowHandle(workflowId));
  // Who has ended meanwhile needs no cancellation.
  await CancellationScope.nonCancellable(() => Promise.allSettled(open.map((stream) => stream.cancel())));
}
