import type { Answer, CallRequest, PlatformClient } from '../../../activities/http/client.ts';
import { type Cursor, type End, type Page, paginate, type ReadAt } from '../../../activities/http/paginate.ts';
import type { Paging, Stream } from '../../../connectors/shape.ts';

/** What a scripted platform answers: a payload, or more of an answer. */
export interface Scripted {
  data: unknown;
  headers?: Answer['headers'];
  requestedAt?: number;
}
export type Script = (params: Record<string, unknown>, request: CallRequest) => Scripted | Promise<Scripted>;

/** A platform in this process, for answers that a real one gives seldom. Notes what it was asked. */
export class ScriptedClient implements PlatformClient {
  readonly asked: Record<string, unknown>[] = [];
  readonly requests: CallRequest[] = [];
  private readonly script: Script;

  constructor(script: Script) {
    this.script = script;
  }

  async call(request: CallRequest): Promise<Answer> {
    this.requests.push(request);
    const params = request.url === undefined ? request.params : { url: request.url };
    this.asked.push(params);
    const { data, headers = {}, requestedAt = Date.now() } = await this.script(params, request);
    return { data, body: data, headers, requestedAt, bytes: 0 };
  }
}

export function streamWith(paging: Paging, change: Partial<Stream> = {}): Stream {
  return {
    title: 'Rows',
    call: { api: 'list', params: { fixed: 'yes' } },
    rows: 'rows',
    key: 'id',
    paging,
    deletes: { kind: 'none', why: 'a test' },
    columns: {},
    ...change,
  };
}

export interface Reading {
  stream?: Partial<Stream>;
  at?: Partial<ReadAt>;
}

export interface Whole {
  rows: unknown[];
  pages: Page[];
  end: End;
  client: ScriptedClient;
  /** Behind the last page. */
  cursor: Cursor;
}

export function open(paging: Paging, client: PlatformClient, { stream, at }: Reading = {}): AsyncGenerator<Page> {
  const signal = new AbortController().signal;
  return paginate(client, 'orders', streamWith(paging, stream), { params: {}, cursor: null, signal, ...at });
}

/** Reads to the end, or until the reader stops. */
export async function readAll(paging: Paging, script: Script, reading: Reading = {}): Promise<Whole> {
  const client = new ScriptedClient(script);
  const pages: Page[] = [];
  for await (const page of open(paging, client, reading)) pages.push(page);
  const last = pages.at(-1) as Page;
  return { rows: pages.flatMap(({ rows }) => rows), pages, end: last.ended as End, client, cursor: last.cursor };
}

export const row = (id: number) => ({ id });
/** Rows with the ids from `from` up to and without `to`. */
export const rowsOf = (from: number, to: number) =>
  Array.from({ length: Math.max(0, to - from) }, (_, i) => row(from + i));
export const idsOf = (rows: readonly unknown[]) => rows.map((one) => (one as { id: number }).id);

/** A cursor that only JSON has carried. */
export const carried = (cursor: Cursor): Cursor => JSON.parse(JSON.stringify(cursor)) as Cursor;
