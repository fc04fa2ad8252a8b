import { Agent } from 'undici';
import { SyncError } from '../errors.ts';

export interface HttpRequest {
  url: string;
  /** What errors say of the address where its path names a person. Default: origin and path. */
  shown?: string;
  method?: 'GET' | 'POST';
  headers?: Record<string, string>;
  body?: string;
  signal?: AbortSignal;
  /** Longest time to the last byte, ms; after it the server counts as away. Default: the agent's own (60 s to the first byte, 60 s between two). */
  timeoutMs?: number;
  /** The same for the first byte and between two, without a timer for each request: for thousands a second. */
  answerMs?: number;
}

export interface HttpAnswer {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  body: Buffer;
}

/** A page of 10,000 fat records is about 20 MB; more than this is not a page. */
const bodyCap = 64 * 1024 * 1024;
const headersTimeoutMs = 60_000;
const bodyTimeoutMs = 60_000;
const connectTimeoutMs = 10_000;

/** Connections to one origin at most. Whoever sends decides how many requests are on their way; this only bounds a mistake. */
const mostConnections = 512;

/** One agent an origin: keep-alive connections and their limits belong to the server they talk to. */
const agents = new Map<string, Agent>();

function agentOf(url: URL): Agent {
  let agent = agents.get(url.origin);
  if (!agent) {
    agent = new Agent({
      connections: mostConnections,
      maxResponseSize: bodyCap,
      headersTimeout: headersTimeoutMs,
      bodyTimeout: bodyTimeoutMs,
      connect: { timeout: connectTimeoutMs },
    });
    agents.set(url.origin, agent);
  }
  return agent;
}

/** Sends one request and reads the whole answer. Trouble of the network is `Unavailable`; texts name origin and path only. */
export async function send(request: HttpRequest): Promise<HttpAnswer> {
  const url = new URL(request.url);
  const { shown = where(url) } = request;
  const late = new AbortController();
  // Node 20 may collect an `AbortSignal.timeout` that only an `AbortSignal.any` holds, and it never fires.
  const timer = request.timeoutMs && setTimeout(() => late.abort(), request.timeoutMs);
  try {
    const answer = await agentOf(url).request({
      origin: url.origin,
      path: url.pathname + url.search,
      method: request.method ?? 'GET',
      headers: request.headers ?? {},
      body: request.body ?? null,
      ...(request.answerMs !== undefined && { headersTimeout: request.answerMs, bodyTimeout: request.answerMs }),
      signal: timer
        ? AbortSignal.any([late.signal, ...(request.signal ? [request.signal] : [])])
        : (request.signal ?? null),
    });
    const { buffer, byteOffset, byteLength } = await answer.body.bytes();
    return {
      status: answer.statusCode,
      headers: answer.headers,
      body: Buffer.from(buffer, byteOffset, byteLength),
    };
  } catch (error) {
    if (request.signal?.aborted || error instanceof SyncError) throw error;
    const { code: given, name } = error as { code?: unknown; name: string };
    const code = late.signal.aborted ? 'TimeoutError' : typeof given === 'string' ? given : name;
    if (code === 'UND_ERR_RES_EXCEEDED_MAX_SIZE')
      throw new SyncError('BadAnswer', `${shown} sent more than ${bodyCap} bytes for one page: ask for smaller pages`);
    throw new SyncError('Unavailable', `${shown} did not answer (${code})`, { cause: error });
  } finally {
    clearTimeout(timer);
  }
}

/** Closes idle connections; the next request opens new ones. */
export async function closeAgents(): Promise<void> {
  const all = [...agents.values()];
  agents.clear();
  await Promise.all(all.map((agent) => agent.destroy()));
}

/** What may be said of an address in an error: never its query, never user info. */
export function where(url: URL): string {
  return `${url.origin}${url.pathname}`;
}
