import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** How a message goes wrong. Faults are looked at in order; the first that wants a message takes it. */
export interface ReceiverFault {
  /**
   * `answer`: this answer instead. `cut`: the connection breaks before anything was delivered. `cut-after`: delivered, and the
   * connection breaks before the answer. `hang`: delivered, and no answer comes until `setFaults`.
   */
  type: 'answer' | 'cut' | 'cut-after' | 'hang';
  /** `answer`: HTTP status. Default 200. */
  status?: number;
  headers?: Record<string, string>;
  body?: unknown;
  /** Every n-th message that gets here. Default 1: each. */
  every?: number;
  /** So many times. Default: always. */
  times?: number;
  /** Only these addresses. */
  to?: readonly string[];
}

export interface ReceiverOptions {
  /** Default: a free one. */
  port?: number;
  latencyMs?: number;
  /** Messages a second, counted by a token bucket with one second's burst; more are refused. Default: no limit. */
  perSecond?: number;
  faults?: ReceiverFault[];
}

/** What a channel's sandbox makes of a request. */
export interface Protocol {
  /** Not a message: answered at once (tokens, questions). Null for a message. */
  aside?(request: IncomingMessage, body: string): { status: number; body: unknown } | null;
  /** Reads a message, or refuses it. */
  read(request: IncomingMessage, body: string): { address: string; key: string } | { status: number; body: unknown };
  /** The answer to a message that was delivered, or a refusal that the channel's own rules want. Called before it counts. */
  take(address: string, key: string, body: string): { delivered: boolean; status: number; body: unknown };
  /** A message begins (its latency counts): a refusal, or null. With `end` and `addressOf`: for channels that take one at a time to a person. */
  begin?(address: string): { status: number; body: unknown } | null;
  end?(address: string): void;
  addressOf?(body: string): string;
  limited: { status: number; headers?: Record<string, string>; body: unknown };
}

type Refusal = { status: number; body: unknown } | null;
type Reply = { status: number; body: unknown; headers?: Record<string, string> | undefined; later?: boolean } | 'cut';

const sampledEvery = 200;

/** A receiver over real HTTP that counts what each person would have got. */
export interface Receiver {
  /** Such as `http://127.0.0.1:40123`. */
  readonly url: string;
  /** Messages each address got. */
  readonly received: Map<string, number>;
  /** When every 200th message was answered, ms since 1970, by address: a sample that costs nothing. */
  readonly answered: Map<string, number>;
  /** Every one that came, delivered or not. */
  readonly counts: {
    messages: number;
    delivered: number;
    limited: number;
    aside: number;
    refused: number;
    mostAtOnce: number;
  };
  /** Messages that have arrived and are not answered yet. */
  atOnce(): number;
  /** Replaces all faults; lets go who hangs. */
  setFaults(faults: ReceiverFault[]): void;
  setLatency(ms: number): void;
  stop(): Promise<void>;
}

export async function startReceiver(protocol: Protocol, options: ReceiverOptions = {}): Promise<Receiver> {
  const { perSecond } = options;
  let { latencyMs = 0 } = options;
  const received = new Map<string, number>();
  const answered = new Map<string, number>();
  const counts = { messages: 0, delivered: 0, limited: 0, aside: 0, refused: 0, mostAtOnce: 0 };
  let open = 0;
  let faults = (options.faults ?? []).map((fault) => ({ fault, seen: 0, used: 0 }));
  let hanging: (() => void)[] = [];
  let tokens = perSecond ?? 0;
  let filledAt = performance.now();

  const answer = (response: ServerResponse, { status, body, headers }: Exclude<Reply, 'cut'>) => {
    open--;
    if (response.destroyed) return;
    const text = typeof body === 'string' ? body : JSON.stringify(body);
    response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(text);
  };
  const faultFor = (address: string): ReceiverFault | undefined => {
    for (const one of faults) {
      const { fault } = one;
      if (fault.to && !fault.to.includes(address)) continue;
      if (fault.times !== undefined && one.used >= fault.times) continue;
      one.seen++;
      if (one.seen % (fault.every ?? 1) !== 0) continue;
      one.used++;
      return fault;
    }
    return undefined;
  };
  const isLimited = (): boolean => {
    if (perSecond === undefined) return false;
    const now = performance.now();
    tokens = Math.min(perSecond, tokens + ((now - filledAt) / 1_000) * perSecond);
    filledAt = now;
    if (tokens < 1) return true;
    tokens--;
    return false;
  };

  /** What becomes of a request: an answer, a broken connection, or silence. */
  function judge(request: IncomingMessage, body: string, refusal: Refusal): Reply {
    const aside = protocol.aside?.(request, body);
    if (aside) {
      counts.aside++;
      return aside;
    }
    counts.messages++;
    if (refusal) {
      counts.refused++;
      return refusal;
    }
    if (isLimited()) {
      counts.limited++;
      return protocol.limited;
    }
    const read = protocol.read(request, body);
    if ('status' in read) {
      counts.refused++;
      return read;
    }
    const fault = faultFor(read.address);
    if (fault?.type === 'answer')
      return { status: fault.status ?? 200, body: fault.body ?? {}, headers: fault.headers };
    if (fault?.type === 'cut') return 'cut';
    const taken = protocol.take(read.address, read.key, body);
    if (taken.delivered) {
      counts.delivered++;
      if (counts.delivered % sampledEvery === 0) answered.set(read.address, Date.now());
      received.set(read.address, (received.get(read.address) ?? 0) + 1);
    } else counts.refused++;
    if (fault?.type === 'cut-after') return 'cut';
    return fault?.type === 'hang' ? { ...taken, later: true } : taken;
  }

  function handle(request: IncomingMessage, response: ServerResponse, body: string, refusal: Refusal): void {
    const reply = judge(request, body, refusal);
    if (reply === 'cut') {
      open--;
      request.socket.destroy();
      return;
    }
    const end = () => answer(response, reply);
    if (reply.later) hanging.push(end);
    else end();
  }

  const server = createServer((request, response) => {
    open++;
    counts.mostAtOnce = Math.max(counts.mostAtOnce, open);
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const body = (chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks)).toString();
      const address = protocol.addressOf?.(body) ?? '';
      const refusal = address === '' ? null : (protocol.begin?.(address) ?? null);
      if (address !== '') response.once('close', () => protocol.end?.(address));
      if (latencyMs > 0) setTimeout(handle, latencyMs, request, response, body, refusal);
      else handle(request, response, body, refusal);
    });
  });
  server.keepAliveTimeout = 60_000;
  server.listen(options.port ?? 0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    received,
    answered,
    counts,
    atOnce: () => open,
    setFaults(next) {
      faults = next.map((fault) => ({ fault, seen: 0, used: 0 }));
      const waiting = hanging;
      hanging = [];
      for (const end of waiting) end();
    },
    setLatency(ms) {
      latencyMs = ms;
    },
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
