import { setMaxListeners } from 'node:events';
import * as v from 'valibot';
import { forConnection, RetryLater, SyncError } from '../../activities/errors.ts';
import { explain } from '../../activities/platform/catalog.ts';
import { type Looked, lookAt, NoCopy, nameObject } from '../../activities/stripe/look.ts';
import { ConnectionUnknown, type StoredConnection, storedConnection } from '../../db/connections.ts';
import { databaseNow, readFeed } from '../../db/stripe/feed.ts';
import type { ApiParts, ApiPlugin } from '../api.ts';
import { namePattern } from '../cli/session.ts';
import { Looks } from './looks.ts';
import { holdUpOf, type RunTold, runOf } from './status.ts';
import { waitSchema } from './wait.schema.ts';
import { Waiters, type Wish } from './waiters.ts';

/** Longer waits belong to the caller: an answer of 504 tells how far the copy is. A feed settles behind 92 s (`settleSeconds`). */
const longestSeconds = 120;
const usualSeconds = 10;
/** An answer that is late already waits so long for what Temporal says of the run. */
const runMs = 1_000;
/** Each waits in memory alone; more than this is a mistake of a caller. */
const mostWaiting = 10_000;

const seconds = `a number of seconds from 0.1 to ${longestSeconds}`;
const query = v.strictObject({
  object: v.optional(v.pipe(v.string(), v.minLength(1), v.maxLength(300))),
  request: v.optional(
    v.pipe(v.string(), v.regex(/^[\x21-\x7e]{1,255}$/, 'a request id such as req_123, or an idempotency key')),
  ),
  settled: v.optional(v.pipe(v.string(), v.regex(/^[01]$/, '1 or 0'))),
  timeout: v.optional(
    v.pipe(
      v.string(),
      v.regex(/^\d{1,3}(\.\d{1,3})?$/, seconds),
      v.transform(Number),
      v.check((n) => n >= 0.1 && n <= longestSeconds, seconds),
    ),
  ),
});

/** An answer other than 200. */
class Answer extends Error {
  readonly status: number;
  readonly retrySeconds: number | undefined;
  constructor(status: number, message: string, retrySeconds?: number) {
    super(message);
    this.status = status;
    this.retrySeconds = retrySeconds;
  }
}

/**
 * `GET /wait/:connection`: answers when the copy holds what the caller wants to read. `object=` reads that object at the
 * source and lands it, which is truly read-after-write; `request=` waits for the events of a request; neither waits until
 * everything that the feed shows is applied, and with `settled=1` until it has settled, late events included.
 */
export const waitPlugin: ApiPlugin = (parts) => async (app) => {
  const waiters = new Waiters(parts.pool, parts.deps.listener);
  const tools = {
    waiters,
    looks: new Looks<Looked>(),
    // A thousand who are late at once ask Temporal a few times.
    runs: new Looks<RunTold>(),
  };
  const closing = new AbortController();
  setMaxListeners(0, closing.signal);
  app.addHook('onClose', async () => {
    closing.abort();
    waiters.close();
  });
  // The schema describes; what is wrong is said below, in our words.
  app.setValidatorCompiler(() => (value) => ({ value }));
  app.get('/wait/:connection', { schema: waitSchema }, async (request, reply) => {
    const gone = new AbortController();
    request.raw.once('close', () => request.raw.destroyed && gone.abort());
    reply.raw.once('close', () => gone.abort());
    const signal = AbortSignal.any([gone.signal, closing.signal]);
    const { connection } = request.params as { connection: string };
    try {
      return await answer(parts, tools, connection, request.query, signal);
    } catch (error) {
      const { status, message, retrySeconds } = statusOf(error, connection);
      if (retrySeconds !== undefined) void reply.header('retry-after', String(retrySeconds));
      return reply.code(status as 400).send({ error: message });
    }
  });
};

/** @throws Answer 400 in words of the query string */
function readQuery(given: unknown) {
  for (const [name, value] of Object.entries(given as Record<string, unknown>))
    if (Array.isArray(value) && Object.hasOwn(query.entries, name))
      throw new Answer(400, `${name}= stands ${value.length} times in the query, accepted once`);
  const asked = v.safeParse(query, given);
  if (!asked.success) throw new Answer(400, explain(query, asked.issues[0]));
  const { object, request, settled, timeout } = asked.output;
  const wanted = [object && 'object=', request && 'request=', settled === '1' && 'settled=1'].filter(Boolean);
  if (wanted.length > 1)
    throw new Answer(400, `The query has ${wanted.join(' and ')}, accepted one of object=, request= and settled=1`);
  return { object, request, settled, timeout: timeout ?? (settled === '1' ? longestSeconds : usualSeconds) };
}

async function answer(
  { pool, deps, client }: ApiParts,
  { waiters, looks, runs }: { waiters: Waiters; looks: Looks<Looked>; runs: Looks<RunTold> },
  name: string,
  given: unknown,
  signal: AbortSignal,
): Promise<object> {
  const { object, request, settled, timeout } = readQuery(given);
  const connection = await find(pool, name);
  if (object !== undefined) {
    const named = nameObject(object);
    const look = (until: AbortSignal) => lookAt(deps, connection.id, named, until);
    const found = await within(timeout * 1_000, signal, (late) =>
      looks.look(`${connection.id} ${named.resource.key}/${named.id}`, look, late),
    );
    if (!found) throw new Answer(504, `object: not read within ${timeout} s`);
    if (!found.found)
      throw new Answer(404, `object: Stripe has no ${named.resource.key} "${named.id}", and the copy never had it`);
    return { met: 'object', object, deleted: found.deleted, readAt: new Date(found.readMs).toISOString() };
  }
  const feed = await readFeed(pool, connection.id);
  if (!feed)
    throw new Answer(409, `Connection "${name}" has no copy yet. Begin it with: npx syncline start stripeSync ${name}`);
  if (waiters.count >= mostWaiting) throw new Answer(429, `${mostWaiting} requests wait already`, 1);
  const kind = settled === '1' ? ('settled' as const) : ('seen' as const);
  const wish: Wish = request === undefined ? { kind, askedMs: await databaseNow(pool) } : { kind: 'request', request };
  const met = await waiters.wait(connection.id, wish, timeout * 1_000, signal);
  if (met) return { met: wish.kind, ...met };
  const now = (await readFeed(pool, connection.id)) ?? feed;
  const reached = `seen up to ${new Date(now.seenMs).toISOString()}, settled up to ${new Date(now.settledMs).toISOString()}`;
  const run = await within(runMs, signal, (late) =>
    runs.look(connection.id, () => runOf(pool, client, connection.id, now), late),
  );
  const { phase, why } = holdUpOf(connection.id, now, run ?? { run: 'unknown', trouble: [], notes: [] });
  throw new Answer(
    504,
    `${wish.kind}: not met within ${timeout} s; the copy has ${reached}; its phase is ${phase}${why === null ? '' : `: ${why}`}`,
  );
}

/** By a timer: Node 20 may collect an `AbortSignal.timeout` that only an `AbortSignal.any` holds, and it never fires. */
async function within<T>(ms: number, signal: AbortSignal, work: (late: AbortSignal) => Promise<T>): Promise<T> {
  const late = new AbortController();
  const end = () => late.abort();
  const timer = setTimeout(end, ms);
  signal.addEventListener('abort', end, { once: true });
  try {
    if (signal.aborted) end();
    return await work(late.signal);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', end);
  }
}

async function find(pool: ApiParts['pool'], name: string): Promise<StoredConnection> {
  const none = new Answer(404, `Connection "${name.slice(0, 64)}" does not exist`);
  // Postgres refuses NUL in a text.
  if (!namePattern.test(name)) throw none;
  const connection = await storedConnection(pool, name).catch((error: unknown) => {
    throw error instanceof ConnectionUnknown ? none : error;
  });
  if (connection.platform === 'stripe') return connection;
  throw new Answer(
    400,
    `Connection "${name}" is of platform ${connection.platform}; accepted: a connection of platform stripe`,
  );
}

/** The one table from error to status. */
const statuses: Partial<Record<SyncError['type'], number>> = {
  InvalidInput: 400,
  Unavailable: 503,
  Forbidden: 502,
  Unauthorized: 502,
  BadAnswer: 502,
};

function statusOf(
  error: unknown,
  connection: string,
): { status: number; message: string; retrySeconds?: number | undefined } {
  if (error instanceof Answer) return error;
  if (error instanceof RetryLater)
    return {
      status: 429,
      message: 'The limits of the source are used up for now',
      retrySeconds: Math.ceil(error.waitMs / 1_000),
    };
  if (error instanceof NoCopy) return { status: 409, message: error.message };
  const status = error instanceof SyncError ? statuses[error.type] : undefined;
  if (status !== undefined) return { status, message: forConnection((error as SyncError).message, connection) };
  throw error;
}
