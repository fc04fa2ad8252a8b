import type { Stream } from '../../../connectors/shape.ts';
import { SyncError } from '../../errors.ts';
import type { Answer, CallRequest, PlatformClient } from '../client.ts';
import type { Cursor, End, Page, ReadAt } from '../paginate.ts';
import { Refused } from '../refused.ts';
import { emptyMost, isPast, timesMost } from './endless.ts';
import { type Ask, requireFamily, rowsOf, type Strategy, totalOf } from './strategy.ts';
import { Counter, type Tally } from './tally.ts';

/**
 * Reads with a strategy. A request leaves as soon as the answer before it is here, while the consumer works on the page:
 * never two at once, since a platform that saw them in another order would shift rows past the reader.
 */
export async function* drive<S>(
  client: PlatformClient,
  name: string,
  stream: Stream,
  at: ReadAt,
  strategy: Strategy<S>,
): AsyncGenerator<Page> {
  const { kind } = stream.paging;
  const counter = new Counter(stream, strategy.counting, at.cursor?.tally ?? null);
  const first = stateOf(name, stream, at.cursor, strategy);
  let state = first as S;
  let paid = counter.counts.requests;
  const page = (rows: readonly unknown[], position: string, ended: End | null, answer?: Answer): Page => ({
    rows: rows as unknown[],
    cursor: { family: kind, state, tally: counter.counts },
    total: counter.counts.total?.last ?? null,
    requests: counter.counts.requests - paid,
    requestedAt: answer?.requestedAt ?? Date.now(),
    position,
    ended,
  });
  if (first === null) {
    yield page([], 'start', { sign: 'nothing to ask', doubt: null, again: true, owed: null });
    return;
  }
  const stop = new AbortController();
  const signal = AbortSignal.any([at.signal, stop.signal]);
  const send = () => settle(async () => client.call(requestOf(name, stream, at, strategy.ask(state), signal)));
  let sent = send();
  /**
   * Opens an answer and sends the request behind it. In a scope of its own: a reader that waits for the next answer and still
   * holds the page before it keeps that past the young objects, where collecting it costs most.
   */
  const open = (settled: Settled): { handed: Page | null; goesOn: boolean } => {
    const answer = answerOf(name, strategy, state, settled);
    const rows = rowsOf(name, stream, answer.data, strategy.total);
    const total = totalOf(answer.data, strategy.total, rows.length);
    counter.answered(answer, total, rows.length);
    const turn = strategy.take(state, { answer, rows, total, counts: counter.counts });
    const out = turn.silent ? [] : (turn.rows ?? rows);
    if (!turn.silent) counter.took(out);
    state = turn.state;
    const { counts } = counter;
    const ended = turn.sign === null ? endless(name, counts) : endOf(name, turn.sign, strategy, state, counts);
    const goesOn = ended === null && (strategy.oneCall || !at.shouldEnd?.());
    if (goesOn) sent = send();
    if (turn.silent && goesOn) return { handed: null, goesOn };
    const handed = page(out, turn.position, ended, answer);
    return { handed: turn.silent ? { ...handed, ahead: rows as unknown[] } : handed, goesOn };
  };
  try {
    for (;;) {
      const { handed, goesOn } = await sent.then(open);
      if (handed !== null) {
        yield handed;
        paid = counter.counts.requests;
      }
      if (!goesOn) return;
    }
  } finally {
    stop.abort();
    await sent;
  }
}

/** @throws ChainBroken for a cursor of another family, or one of a list that must be read in one call */
function stateOf<S>(name: string, { paging }: Stream, cursor: Cursor | null, strategy: Strategy<S>): S | null {
  if (cursor === null) return strategy.start();
  requireFamily(name, paging, cursor);
  if (!strategy.oneCall) return cursor.state as S;
  throw new SyncError('ChainBroken', `${name}: a scroll only goes forward, and the earlier call may have moved it on`);
}

function requestOf(name: string, stream: Stream, at: ReadAt, ask: Ask, signal: AbortSignal): CallRequest {
  const { call, limits, appLimits } = stream;
  if (!call) throw new SyncError('Defect', `${name}: the stream has no call; a SQL source has no pages over HTTP`);
  return {
    call: ask.values ? { ...call, params: { ...call.params, ...ask.values } } : call,
    params: { ...at.params, ...ask.params },
    ...(ask.url !== undefined && { url: ask.url }),
    limits,
    appLimits,
    stream: name,
    signal,
  };
}

type Settled = { answer: Answer } | { error: unknown };

/** A request that fails while the consumer works must not be an unhandled rejection: it is thrown at the next page. */
async function settle(call: () => Promise<Answer>): Promise<Settled> {
  try {
    return { answer: await call() };
  } catch (error) {
    return { error };
  }
}

function answerOf<S>(name: string, strategy: Strategy<S>, state: S, settled: Settled): Answer {
  if ('answer' in settled) return settled.answer;
  const { error } = settled;
  const isRefusal = error instanceof Refused && (error.verdict === 'bad-request' || error.verdict === 'gone');
  if (!isRefusal || !strategy.isChain?.(state)) throw error;
  // All else is as it was in the request before, which the platform took.
  throw new SyncError('ChainBroken', `${name}: the cursor is no longer valid (${error.code})`, { cause: error });
}

/** Ends a list that does not end by itself, whatever its family. @throws BadAnswer for one that shows nothing any more */
function endless(name: string, { empty = 0, rows, total }: Tally): End | null {
  if (empty >= emptyMost)
    throw new SyncError('BadAnswer', `${name}: ${empty} answers in a row had no rows, and none was the last one`);
  if (total === null || !isPast(rows, total.most)) return null;
  const doubt = `${rows} rows came of a list that tells a total of ${total.most}, and it goes on`;
  return { sign: `${timesMost} times the total`, doubt, again: false, owed: null };
}

function endOf<S>(name: string, sign: string, strategy: Strategy<S>, state: S, counts: Tally): End {
  const { rows, total } = counts;
  if (rows === 0 && total !== null && total.last > 0)
    throw new SyncError(
      'BadAnswer',
      `${name}: the platform names ${total.last} rows and shows none: the credential may not see them, or "rows" of the connector is wrong`,
    );
  if (rows > 0 && total === null && strategy.total !== undefined) {
    const doubt = `the connector says that "${strategy.total}" holds the total, and no answer told one`;
    return { sign, doubt, again: false, owed: null };
  }
  return { sign, ...strategy.judge(state, counts) };
}
