import { setTimeout as wait } from 'node:timers/promises';
import type { ApiCall, Paging, Stream } from '../../../connectors/shape.ts';
import { RetryLater, SyncError } from '../../errors.ts';
import type { Answer, PlatformClient } from '../client.ts';
import type { End, Page, ReadAt } from '../paginate.ts';
import { Refused } from '../refused.ts';
import { send } from '../request.ts';
import { valueAt } from '../values.ts';
import { recordsOf } from './file.ts';
import { proven, requireFamily } from './strategy.ts';
import { Counter } from './tally.ts';

type ByExport = Extract<Paging, { kind: 'export' }>;

interface Position {
  /** The platform's name for the job. */
  job: string | number;
  orderedMs: number;
  /** Rows of the file that were handed out. */
  row: number;
}

/** Rows handed out at once. */
const pageRows = 1_000;
/** A job that is not ready by then never will be. */
const patienceMs = 24 * 3_600_000;
/** A longer wait is the workflow's, so that no slot is held. */
const ownWaitMs = 3_000;

/**
 * Orders a file, asks until it is ready, fetches it and hands it out in pages. The platform writes the file at one moment:
 * nothing moves. A read that goes on asks for the same job again, since addresses of files end early.
 * @throws RetryLater between two questions, behind an empty page whose cursor names the job; ChainBroken when the job or its
 * file is gone
 */
export async function* readExport(
  client: PlatformClient,
  name: string,
  stream: Stream,
  paging: ByExport,
  at: ReadAt,
): AsyncGenerator<Page> {
  const job = new Job(client, name, stream, paging, at);
  if (!job.state) {
    // The order stands in a cursor before anything can go wrong: nothing is ordered twice.
    yield await job.order();
    if (at.shouldEnd?.()) return;
  }
  for (;;) {
    const { answer, url } = await job.ask();
    if (url !== null) return yield* job.fetch(url);
    yield job.page([], answer.requestedAt, null);
    if (at.shouldEnd?.()) return;
    if (paging.poll.everyMs > ownWaitMs) throw new RetryLater(paging.poll.everyMs);
    await wait(paging.poll.everyMs, undefined, { signal: at.signal });
  }
}

class Job {
  state: Position | null;
  private readonly client: PlatformClient;
  private readonly name: string;
  private readonly stream: Stream;
  private readonly paging: ByExport;
  private readonly at: ReadAt;
  private readonly counter: Counter;
  private paid: number;

  constructor(client: PlatformClient, name: string, stream: Stream, paging: ByExport, at: ReadAt) {
    if (at.cursor) requireFamily(name, paging, at.cursor);
    this.client = client;
    this.name = name;
    this.stream = stream;
    this.paging = paging;
    this.at = at;
    this.state = (at.cursor?.state ?? null) as Position | null;
    this.counter = new Counter(stream, 'nothing', at.cursor?.tally ?? null);
    this.paid = this.counter.counts.requests;
  }

  async order(): Promise<Page> {
    const { stream, name, paging } = this;
    if (!stream.call) throw new SyncError('Defect', `${name}: the stream has no call that orders its file`);
    const answer = await this.call(stream.call, this.at.params);
    const job = valueAt(answer.data, paging.job);
    if ((typeof job !== 'string' || job === '') && typeof job !== 'number')
      throw new SyncError(
        'BadAnswer',
        `${name}: the order was answered without a job at "${paging.job}", accepted a text or a number`,
      );
    this.state = { job, orderedMs: answer.requestedAt, row: 0 };
    return this.page([], answer.requestedAt, null);
  }

  /** Address of the file; null while it is not ready. */
  async ask(): Promise<{ answer: Answer; url: string | null }> {
    const { name, paging } = this;
    const { poll } = paging;
    const { job, orderedMs } = this.state as Position;
    const answer = await this.call(poll, { [poll.param]: job }).catch((error: unknown) => {
      if (!(error instanceof Refused) || (error.verdict !== 'gone' && error.verdict !== 'bad-request')) throw error;
      const message = `${name}: the platform no longer knows the file that was ordered (${error.code})`;
      throw new SyncError('ChainBroken', message, { cause: error });
    });
    const told = String(valueAt(answer.data, poll.done.path));
    const url = poll.done.is.some((value) => String(value) === told) ? valueAt(answer.data, poll.url) : null;
    if (url === null && answer.requestedAt - orderedMs > patienceMs)
      throw new SyncError(
        'BadAnswer',
        `${name}: the file is not ready ${patienceMs / 3_600_000} h after it was ordered`,
      );
    if (url === null || (typeof url === 'string' && /^https?:\/\//.test(url))) return { answer, url };
    throw new SyncError(
      'BadAnswer',
      `${name}: the file is ready and no address stands at "${poll.url}", accepted http or https`,
    );
  }

  /** The file lies on a server of its own, and its address is its key: neither credential nor budget of the platform. */
  async *fetch(url: string): AsyncGenerator<Page> {
    const { name, stream, paging, at } = this;
    const { status, body } = await send({ url, signal: at.signal });
    if (status !== 200) {
      const late = status >= 500 || status === 429 || status === 408;
      throw new SyncError(late ? 'Unavailable' : 'ChainBroken', `${name}: the address of the file answered ${status}`);
    }
    const { orderedMs, row } = this.state as Position;
    for (const { rows, last } of pagesOf(recordsOf(name, stream, paging.format, body), row)) {
      this.counter.took(rows);
      const state = this.state as Position;
      this.state = { ...state, row: state.row + rows.length };
      yield this.page(rows, orderedMs, last ? { sign: 'the end of the file', ...proven } : null);
      if (!last && at.shouldEnd?.()) return;
    }
  }

  page(rows: unknown[], requestedAt: number, ended: End | null): Page {
    const { state, paging, counter } = this;
    const requests = counter.counts.requests - this.paid;
    this.paid = counter.counts.requests;
    const position = `file behind row ${(state?.row ?? 0) - rows.length}`;
    const cursor = { family: paging.kind, state, tally: counter.counts };
    return { rows, cursor, total: null, requests, requestedAt, position, ended };
  }

  private async call(call: ApiCall, params: Record<string, unknown>): Promise<Answer> {
    const { client, name: stream, at } = this;
    const { limits, appLimits } = this.stream;
    const answer = await client.call({ call, params, limits, appLimits, stream, signal: at.signal });
    this.counter.answered(answer, null, 0);
    return answer;
  }
}

/** Pages behind the rows that were handed out before; an empty file has one, without rows. */
function* pagesOf(records: Iterable<unknown>, skip: number): Generator<{ rows: unknown[]; last: boolean }> {
  let rows: unknown[] = [];
  let row = 0;
  for (const record of records) {
    row += 1;
    if (row <= skip) continue;
    if (rows.length === pageRows) {
      yield { rows, last: false };
      rows = [];
    }
    rows.push(record);
  }
  yield { rows, last: true };
}
