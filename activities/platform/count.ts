import type { ApiCall, CountCall } from '../../connectors/shape.ts';
import type { Deps } from '../deps.ts';
import { SyncError } from '../errors.ts';
import { openClient } from '../http/client.ts';
import { totalOf } from '../http/paging/strategy.ts';
import { valueAt } from '../http/values.ts';
import type { Call } from '../step.ts';
import { countRows } from './sql.ts';
import { windowParams } from './windows.ts';
import type { SliceWriter } from './writer.ts';

/**
 * Rows that the window of a slice holds, asked before its first page; null where the stream has no way to ask, the slice
 * was begun, or the answer shows more rows than it counts. The request counts as one of the slice's.
 */
export async function countWindow(deps: Deps, writer: SliceWriter, call: Call): Promise<number | null> {
  const { stream } = writer.opened;
  const { pages, cursor, fromMs } = writer.state;
  if (pages > 0 || cursor !== null || typeof fromMs !== 'number') return null;
  if (stream.sql?.count) return counted(writer, await countRows(writer));
  if (!stream.window?.count || !stream.call) return null;
  return counted(writer, await ask(deps, writer, stream.window.count, stream.call, call));
}

function counted(writer: SliceWriter, count: number | null): number | null {
  writer.move({ requests: writer.state.requests + 1, ...(count !== null && { total: count }) });
  return count;
}

/** Whether a count of 0 ends a window: what another call counts need not be what the list shows. */
export const countsItself = ({ opened: { stream } }: SliceWriter) =>
  stream.sql?.count === true || (stream.window?.count !== undefined && stream.window.count.call === undefined);

async function ask(
  deps: Deps,
  writer: SliceWriter,
  count: CountCall,
  own: ApiCall,
  call: Call,
): Promise<number | null> {
  const { opened, state } = writer;
  const { name, stream } = opened;
  const client = openClient(deps, opened.connection, opened.connector);
  const api = count.call ?? own;
  const answer = await client.call({
    call: { ...api, params: { ...api.params, ...count.params } },
    params: windowParams(stream, state),
    limits: stream.limits,
    appLimits: stream.appLimits,
    stream: name,
    signal: call.signal,
  });
  if (totalOf(answer.data, count.total, 0) !== null) {
    const rows = count.call === undefined ? valueAt(answer.data, stream.rows) : null;
    return totalOf(answer.data, count.total, Array.isArray(rows) ? rows.length : 0);
  }
  throw new SyncError(
    'BadAnswer',
    `${name}: the call that counts a window tells no number at "${count.total}", accepted a whole number`,
  );
}
