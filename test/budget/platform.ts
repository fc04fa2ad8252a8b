import { createServer } from 'node:http';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { Bucket } from './bucket.ts';

/**
 * A platform that only counts, in a process of its own: `/<connection>` costs one request of the platform's bucket and one
 * of the connection's, each with one second's burst; connections whose name begins with `fast` have their own rate.
 * `/-/mark` begins the count anew, `/-/counts` tells it. Argument: JSON of `Limits`. Prints its port; ends with its input.
 */
export interface Limits {
  /** Requests a second over all connections. */
  platform: number;
  connection: number;
  fast: number;
  /** Of one API over all connections: those of names such as `c1#orders`. Default: none. */
  api?: number;
}

export interface Counts {
  /** Since the last mark. */
  ms: number;
  accepted: Record<string, number>;
  refused: { platform: number; connection: number; api?: number };
  /** Longest time the platform stood still, ms. */
  stoodMs: number;
}

const limits = JSON.parse(process.argv[2] ?? '{}') as Limits;
const platform = new Bucket(limits.platform, performance.now());
const connections = new Map<string, Bucket>();
const stalls = monitorEventLoopDelay({ resolution: 10 });
stalls.enable();
let counts: Pick<Counts, 'accepted' | 'refused'>;
let markedAt: number;
mark();

function mark(): void {
  counts = { accepted: {}, refused: { platform: 0, connection: 0 } };
  markedAt = performance.now();
  stalls.reset();
}

function bucketOf(name: string): Bucket {
  let bucket = connections.get(name);
  if (!bucket) {
    bucket = new Bucket(name.startsWith('fast') ? limits.fast : limits.connection, performance.now());
    connections.set(name, bucket);
  }
  return bucket;
}

function answer(path: string): [status: number, body: string] {
  const now = performance.now();
  if (path === '/-/counts') {
    const told: Counts = { ms: now - markedAt, ...counts, stoodMs: stalls.max / 1e6 };
    return [200, JSON.stringify(told)];
  }
  if (path === '/-/mark') {
    mark();
    return [200, '{}'];
  }
  const name = path.slice(1);
  const own = bucketOf(name);
  const level = !platform.has(now) ? 'platform' : !own.has(now) ? 'connection' : null;
  if (level) {
    counts.refused[level]++;
    return [429, JSON.stringify({ level })];
  }
  platform.take();
  own.take();
  counts.accepted[name] = (counts.accepted[name] ?? 0) + 1;
  return [200, '{}'];
}

const server = createServer((request, response) => {
  const [status, body] = answer(request.url ?? '/');
  response.writeHead(status, { 'content-length': body.length }).end(body);
});
server.keepAliveTimeout = 60_000;
server.listen(0, '127.0.0.1', () => {
  process.stdout.write(`${(server.address() as { port: number }).port}\n`);
});
process.stdin.resume().on('end', () => {
  server.close();
  server.closeAllConnections();
});
