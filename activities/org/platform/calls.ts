import type { DirectRead, OrgMap, OrgWay } from '../../../connectors/org.ts';
import type { ApiCall, Stream } from '../../../connectors/shape.ts';
import { SyncError } from '../../errors.ts';
import type { Answer, PlatformClient } from '../../http/client.ts';
import { type Page, paginate, type ReadAt } from '../../http/paginate.ts';
import { Refused } from '../../http/refused.ts';
import { valueAt } from '../../http/values.ts';
import type { Options } from './rows.ts';

/** What the reads of one connection share. */
export interface Reader {
  map: OrgMap;
  options: Options;
  client: PlatformClient;
}

/** A way of the map that this credential can go, with its number. */
export interface ChosenWay extends OrgWay {
  no: number;
}

/** The stream of the connector that a list names. */
export function streamOf({ map }: Reader, name: string): Stream {
  return map.connector.streams[name] as Stream;
}

/** Pages of a stream, with parameters of the map in place of the stream's. */
export function pagesOf(
  reader: Reader,
  list: { stream: string; params?: ApiCall['params'] },
  at: ReadAt,
): AsyncGenerator<Page> {
  const stream = streamOf(reader, list.stream);
  const call = stream.call as ApiCall;
  const params = { ...call.params, ...list.params };
  return paginate(reader.client, list.stream, { ...stream, call: { ...call, params } }, at);
}

/** What a direct read says of one record; `hidden`: it may exist, the credential may not see it. */
export async function readDirect(
  reader: Reader,
  { call, param, row, gone }: DirectRead,
  id: string,
  signal: AbortSignal,
): Promise<{ record: unknown } | 'gone' | 'hidden'> {
  try {
    const { data } = await send(reader, call, { [param]: id }, signal);
    const record = valueAt(data, row);
    if (typeof record !== 'object' || record === null)
      throw new SyncError(
        'BadAnswer',
        `${call.api} answered with no record, which proves nothing about the one asked for`,
      );
    return gone && (gone.is as readonly unknown[]).includes(valueAt(record, gone.path)) ? 'gone' : { record };
  } catch (error) {
    if (error instanceof Refused && error.verdict === 'gone') return 'gone';
    if (error instanceof SyncError && error.type === 'Forbidden') return 'hidden';
    throw error;
  }
}

/** Whether the platform lets the credential make a call; what it answers does not matter. */
export async function permits(reader: Reader, call: ApiCall, signal: AbortSignal): Promise<boolean> {
  try {
    await send(reader, call, {}, signal);
    return true;
  } catch (error) {
    if (error instanceof Refused) return true;
    if (error instanceof SyncError && error.type === 'Forbidden') return false;
    throw error;
  }
}

/** A call beside the streams; it counts at the limit that every API of the platform has. */
function send(reader: Reader, call: ApiCall, params: Record<string, unknown>, signal: AbortSignal): Promise<Answer> {
  const { limits, appLimits } = streamOf(reader, reader.map.ways[0].users.stream);
  return reader.client.call({ call, params, stream: call.api, signal, limits, appLimits });
}
