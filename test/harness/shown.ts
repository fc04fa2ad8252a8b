import { scenarios } from './scenarios.ts';

/** @throws Error that names what a recording does not show. */
export function expectShows(name: string, events: readonly Record<string, unknown>[]): void {
  const shown = shownBy(events);
  let at = 0;
  for (const wanted of scenarios[name]!.shows) {
    at = shown.indexOf(wanted, at) + 1;
    if (at === 0) throw new Error(`${name} does not show "${wanted}" in its place; it shows: ${shown.join(', ')}`);
  }
}

/** What a history shows, in the words of `shows`. */
export function shownBy(events: readonly Record<string, unknown>[]): string[] {
  return events.flatMap((event) => {
    const [key, attributes] = Object.entries(event).find(([name]) => name.endsWith('EventAttributes')) ?? [];
    const a = (attributes ?? {}) as Record<string, never> & Attributes;
    if (key === 'workflowExecutionStartedEventAttributes') return a.continuedExecutionRunId ? ['taken over'] : [];
    if (key === 'workflowExecutionContinuedAsNewEventAttributes') return ['continued as new'];
    if (key === 'activityTaskScheduledEventAttributes') return [a.activityType!.name];
    if (key === 'activityTaskFailedEventAttributes') return [`failed ${a.failure!.applicationFailureInfo?.type}`];
    if (key === 'workflowExecutionUpdateAcceptedEventAttributes') return [`update ${a.acceptedRequest!.input.name}`];
    if (key === 'timerStartedEventAttributes') return ['timer'];
    if (key === 'startChildWorkflowExecutionInitiatedEventAttributes')
      return [`child ${a.workflowId!.split('/').at(-1)}`];
    if (key === 'childWorkflowExecutionFailedEventAttributes')
      return [
        `child failed ${a.failure!.cause?.applicationFailureInfo?.type ?? a.failure!.applicationFailureInfo?.type}`,
      ];
    if (key === 'signalExternalWorkflowExecutionInitiatedEventAttributes') return [`signal ${a.signalName}`];
    if (key === 'workflowExecutionSignaledEventAttributes') return [`signalled ${a.signalName}`];
    if (key === 'workflowExecutionCancelRequestedEventAttributes') return ['cancel requested'];
    if (key === 'workflowExecutionCanceledEventAttributes') return ['canceled'];
    if (key === 'workflowExecutionFailedEventAttributes')
      return [`workflow failed ${a.failure!.applicationFailureInfo?.type}`];
    if (key !== 'workflowExecutionCompletedEventAttributes') return [];
    const result = Buffer.from(a.result!.payloads[0]!.data, 'base64').toString();
    const { outcome } = JSON.parse(result) as { outcome?: string };
    return [outcome === undefined ? 'completed' : `completed ${outcome}`];
  });
}

interface Attributes {
  continuedExecutionRunId?: string;
  activityType?: { name: string };
  workflowId?: string;
  signalName?: string;
  failure?: { applicationFailureInfo?: { type: string }; cause?: { applicationFailureInfo?: { type: string } } };
  acceptedRequest?: { input: { name: string } };
  result?: { payloads: { data: string }[] };
}
