import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import {
  ApplicationFailure,
  CancellationScope,
  CancelledFailure,
  ChildWorkflowFailure,
  type ChildWorkflowHandle,
  condition,
  defineQuery,
  proxyActivities,
  setHandler,
  startChild,
  TerminatedFailure,
  workflowInfo,
} from '@temporalio/workflow';
import type { Activities } from '../activities/index.ts';
import type { ListedStream } from '../activities/platform/list.ts';
import { cutWords } from '../connectors/history.ts';
import { pause, resume } from './control.ts';
import { quick } from './options.ts';
import { readInput } from './org.input.ts';
import { cancelAll, tell } from './platform.children.ts';
import { type PlatformSyncInput, platformSyncInput } from './platform.input.ts';
import { isScheduled, type StreamResult, skippedResult, streamSync, together } from './platform.stream.ts';
import { type Bar, showDetails } from './progress.ts';
import { shownFailure, tried } from './tries.ts';

/** Workflow id of a connection's runs started by CLI and client. Other ids work too: the claims keep runs apart. */
export const platformSyncId = (connection: string) => `platformSync-${connection}`;
/** Workflow id of a stream inside a run. */
export const streamSyncId = (parent: string, stream: string) => `${parent}/${stream}`;
export const replayWindowId = (connection: string, stream: string) => `replayWindow-${connection}-${stream}`;

/** How one stream of a run ended. `parked`: somebody must act (rights, consent); `failed`: it will be tried again by the next run. */
export type StreamOutcome = StreamResult | { stream: string; outcome: 'parked' | 'failed'; reason: string };

export interface PlatformSyncResult {
  connection: string;
  /** `whole`: every stream was read whole. `doubtful`: all were read, and one may lack rows. `partial`: one was not read. */
  outcome: 'whole' | 'doubtful' | 'partial';
  streams: StreamOutcome[];
  durationMs: number;
}

/** Answer of the `progress` query: how far the run is with its streams. Those at work tell more themselves. */
export interface PlatformProgress {
  connection: string;
  state: 'running' | 'paused';
  streams: (StreamOutcome | { stream: string; outcome: 'waiting' | 'running' })[];
  /** What is so at the moment about the run itself. */
  notes: string[];
}

export const platformProgress = defineQuery<PlatformProgress>('progress');

/** Failures that another try does not mend. */
const parking = new Set(['Unauthorized', 'Forbidden', 'InvalidInput', 'SealBroken']);

/** A platform's lists → their tables, a child workflow each. Input: {@link platformSyncInput}; result: {@link PlatformSyncResult}. */
export async function platformSync(input: unknown): Promise<PlatformSyncResult> {
  return syncStreams('platformSync', readInput(platformSyncInput, input, '{"connection":"shop"}'));
}

/** What platformSync and segmentSync share. `platform`: the one platform that the run reads; absent: open platforms. */
export async function syncStreams(
  title: string,
  request: PlatformSyncInput,
  platform?: string,
): Promise<PlatformSyncResult> {
  const { connection } = request;
  const started = Date.now();
  const run = new PlatformRun(title, request);
  const activities = proxyActivities<Activities>({ ...quick, priority: { fairnessKey: connection } });
  const listed = await tried(run, 'listStreams', () =>
    activities.listStreams({ connection, streams: request.streams ?? null, ...(platform && { platform }) }),
  );
  run.begin(listed);
  // A cancelled run waits for every stream to commit its page: a parent that ends first has its children terminated.
  const ends = await Promise.allSettled(listed.map((stream) => run.read(stream)));
  const streams = ends.map((end) => {
    if (end.status === 'rejected') throw end.reason;
    return end.value;
  });
  if (streams.length > 0 && streams.every(({ outcome }) => outcome === 'failed' || outcome === 'parked'))
    throw ApplicationFailure.nonRetryable(
      `No stream was read. ${streams
        .map((s) => `${s.stream}: ${'reason' in s ? s.reason : ''}`)
        .join('; ')
        .slice(0, 2_000)}`,
      'NothingRead',
    );
  return { connection, outcome: worstOf(streams), streams, durationMs: Date.now() - started };
}

function worstOf(streams: readonly StreamOutcome[]): PlatformSyncResult['outcome'] {
  if (streams.every(({ outcome }) => outcome === 'whole')) return 'whole';
  return streams.every(({ outcome }) => outcome === 'whole' || outcome === 'doubtful') ? 'doubtful' : 'partial';
}

class PlatformRun {
  private readonly title: string;
  private readonly request: PlatformSyncInput;
  private readonly bars = new Map<string, Bar>();
  private readonly notes = new Map<string, string>();
  private readonly children = new Map<string, ChildWorkflowHandle<typeof streamSync>>();
  private readonly ended = new Map<string, StreamOutcome>();
  private paused = false;

  constructor(title: string, request: PlatformSyncInput) {
    this.title = title;
    this.request = request;
    setHandler(pause, () => this.setPaused(true));
    setHandler(resume, () => this.setPaused(false));
    setHandler(platformProgress, () => this.progress());
    CancellationScope.current().cancelRequested.catch(() => cancelAll([...this.children.values()]));
  }

  begin(streams: readonly ListedStream[]): void {
    for (const { name } of streams) this.bars.set(name, { name, done: 0, total: null, state: 'waiting' });
    this.show();
  }

  /** Reads a stream after those whose rows it needs, however those ended. */
  async read(stream: ListedStream): Promise<StreamOutcome> {
    const first = await this.outcomeOf(stream);
    // Results of earlier versions have no `unsure`: their histories go no other way than they went.
    const outcome = 'unsure' in first && first.unsure > 0 ? await this.readAgain(stream, first) : first;
    this.ended.set(stream.name, outcome);
    return outcome;
  }

  /** Who is missing may have moved while it was read: a second reading tells, for the rows that its parents have by then. */
  private async readAgain({ name, after }: ListedStream, first: StreamResult): Promise<StreamOutcome> {
    for (const one of after) {
      const { outcome } = await this.outcomeOf({ name: one, after: [] });
      if (outcome !== 'whole') return first;
    }
    const second = await this.outcomeOf({ name, after: [] });
    return 'reason' in second ? second : together(first, second);
  }

  /** What a stream ends with is told, never thrown. */
  private async outcomeOf({ name, after }: ListedStream): Promise<StreamOutcome> {
    try {
      await condition(() => !this.paused && after.every((one) => this.ended.has(one)));
      const { streams: _all, ...request } = this.request;
      const child = await startChild(streamSync, {
        args: [{ ...request, stream: name }],
        workflowId: streamSyncId(workflowInfo().workflowId, name),
        staticSummary: `${request.connection} ${name}`,
      });
      this.children.set(name, child);
      if (this.paused) await tell(child, true);
      this.set(name, { state: 'running' });
      const result = await child.result();
      this.set(name, { state: 'done', done: result.rows });
      const cut = result.cut ? `older rows are left out: read ${cutWords(result.cut)}` : null;
      const told = [cut, result.doubt].filter((one) => one !== null);
      if (told.length > 0) this.note(name, `${name}: ${told.join('; ')}`);
      return result;
    } catch (error) {
      // A stream that somebody cancelled by itself leaves the others at work.
      if (CancellationScope.current().consideredCancelled) throw error;
      const { type, sentence } = causeOf(error);
      if (type === 'AlreadyRunning' && isScheduled()) return this.leave(name, sentence);
      const outcome = parking.has(type) ? 'parked' : 'failed';
      this.set(name, { state: 'skipped' });
      this.note(name, `${name} ${outcome}: ${sentence}`);
      return { stream: name, outcome, reason: sentence };
    } finally {
      this.children.delete(name);
    }
  }

  /** A run that a clock started leaves a stream to whoever reads it. */
  private leave(name: string, sentence: string): StreamResult {
    this.set(name, { state: 'skipped' });
    this.note(name, `${name} skipped: ${sentence}`);
    return skippedResult(name);
  }

  note(about: string, text: string | null): void {
    if (text === null) this.notes.delete(about);
    else this.notes.set(about, text);
    this.show();
  }

  progress(): PlatformProgress {
    const bars = [...this.bars.values()];
    return {
      connection: this.request.connection,
      state: this.paused ? 'paused' : 'running',
      streams: bars.map(
        ({ name, state }) =>
          this.ended.get(name) ?? { stream: name, outcome: state === 'waiting' ? 'waiting' : 'running' },
      ),
      notes: [...this.notes].flatMap(([about, text]) => (this.bars.has(about) ? [] : [text])),
    };
  }

  private async setPaused(paused: boolean): Promise<string> {
    this.paused = paused;
    this.show();
    await Promise.all([...this.children.values()].map((child) => tell(child, paused)));
    return paused ? 'paused' : 'running';
  }

  private set(name: string, change: Partial<Bar>): void {
    const bar = this.bars.get(name);
    if (bar) this.bars.set(name, { ...bar, ...change });
    this.show();
  }

  private show(): void {
    const state = this.paused ? 'paused' : 'running';
    const hint = `each stream is a child workflow: ${streamSyncId(workflowInfo().workflowId, '<stream>')}`;
    showDetails(
      `${this.title} ${this.request.connection} · ${state}`,
      [...this.bars.values()],
      [...this.notes.values(), hint],
    );
  }
}

function causeOf(error: unknown): { type: string; sentence: string } {
  const cause = error instanceof ChildWorkflowFailure ? error.cause : error;
  if (cause instanceof CancelledFailure) return { type: '', sentence: 'it was cancelled by itself' };
  if (cause instanceof TerminatedFailure) return { type: '', sentence: 'it was terminated by itself' };
  if (error instanceof WorkflowExecutionAlreadyStartedError)
    return { type: 'AlreadyRunning', sentence: `the stream of an earlier run is open: ${error.workflowId}` };
  const type = cause instanceof ApplicationFailure ? (cause.type ?? '') : '';
  const message = cause instanceof Error ? cause.message : '';
  // Its sentence is born in streamSync, and names the run to wait for.
  return { type, sentence: type === 'AlreadyRunning' ? message : shownFailure(type, message) };
}
