import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text as readText } from 'node:stream/consumers';
import { setTimeout as wait } from 'node:timers/promises';
import { answerCall, filesPath } from './answer.ts';
import { Due } from './faults.ts';
import type { Call, Incoming, Reply } from './fixture.ts';
import { Refusal } from './refusal.ts';
import { ofAccount, ofApi } from './requests.ts';
import type { Served } from './served.ts';
import { writeJson } from './values.ts';

const signInPage = '<!doctype html><html><head><title>Sign in</title></head><body><form>Password</form></body></html>';
const noFaults = new Due(new Map());

/** A reply with the ways in which its transport is spoiled. */
interface Outcome {
  reply: Reply;
  due: Due;
}

/** Listens on a loopback port (0: a free one). */
export async function listen(served: Served, port: number): Promise<{ server: Server; port: number }> {
  let open = 0;
  const server = createServer((request, response) => {
    served.requests.total += 1;
    open += 1;
    served.requests.peak = Math.max(served.requests.peak, open);
    response.once('close', () => {
      open -= 1;
    });
    handle(served, request, response).catch((cause: Error) => response.destroy(cause));
  });
  // Longer than any client keeps a socket, so that no request meets a socket that is being closed.
  server.keepAliveTimeout = 120_000;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  return { server, port: (server.address() as AddressInfo).port };
}

/** Closes a server and every socket, also those that hang. */
export async function close(server: Server): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  server.closeAllConnections();
  await closed;
}

async function handle(served: Served, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const incoming = await decode(request, served.now());
  const { reply, due } = await decide(served, incoming);
  const slow = due.get('slow');
  if (slow) await wait(slow.ms);
  if (due.get('hang')) return;
  send(response, reply, due.get('truncated') ? 'length' : due.get('cut') ? 'socket' : 'no', served.now());
}

async function decode(request: IncomingMessage, now: number): Promise<Incoming> {
  const address = new URL(request.url ?? '/', 'http://127.0.0.1');
  const body = request.method === 'GET' ? '' : await readText(request);
  const type = request.headers['content-type'] ?? '';
  const isForm = type.startsWith('application/x-www-form-urlencoded');
  return {
    method: request.method ?? 'GET',
    path: address.pathname,
    query: Object.fromEntries(address.searchParams),
    form: isForm ? Object.fromEntries(new URLSearchParams(body)) : {},
    json: isForm || body === '' ? undefined : parse(body),
    body,
    headers: request.headers,
    now,
  };
}

function parse(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    // Not JSON: the fixture sees none and refuses the call in its platform's words.
    return undefined;
  }
}

async function decide(served: Served, incoming: Incoming): Promise<Outcome> {
  const { fixture } = served;
  let call: Call | undefined;
  let due = noFaults;
  try {
    if (incoming.path.startsWith(filesPath)) return { reply: file(served, incoming.path), due };
    if (fixture.tokenCall && fixture.tokenPaths?.includes(incoming.path)) {
      ofApi(served.requests, 'token').total += 1;
      due = served.faults.due({ api: 'token', account: '' });
      if (served.latencyMs > 0) await wait(served.latencyMs);
      return { reply: standIn(due, undefined, served) ?? fixture.tokenCall(incoming, served.tokens), due };
    }
    call = fixture.read(incoming, served.tokens);
    const counts = ofApi(served.requests, call.api);
    counts.total += 1;
    ofAccount(served.requests, call.account).total += 1;
    const api = Object.hasOwn(fixture.apis, call.api) ? fixture.apis[call.api] : undefined;
    if (!api) throw new Refusal('api', call.api);
    if (api.method && api.method !== incoming.method) throw new Refusal('invalid', 'method');
    served.limits.enter(call, api.limits);
    if (served.latencyMs > 0) await wait(served.latencyMs);
    due = served.faults.due(call);
    const stand = standIn(due, call, served);
    if (stand) return { reply: stand, due };
    remember(served, call);
    const { payload, rows } = answerCall(served, api, call, incoming, due);
    counts.rows += rows;
    return { reply: { status: 200, body: fixture.write(due.get('bare') ? {} : payload, call) }, due };
  } catch (error) {
    return { reply: refused(served, error, call), due };
  }
}

/** The answer that a fault gives instead of the true one. @throws Refusal for a refusal on request */
function standIn(due: Due, call: Call | undefined, served: Served): Reply | undefined {
  if (call && due.get('expire')) {
    served.tokens.expire(call.token ?? call.account);
    throw new Asked('expired');
  }
  const limit = due.get('429');
  if (limit) {
    // A date has whole seconds: one more, so that it is never too early.
    const date = new Date(Date.now() + (limit.seconds + 1) * 1000).toUTCString();
    return { status: 429, headers: { 'retry-after': limit.form === 'date' ? date : String(limit.seconds) }, body: '' };
  }
  const status = due.get('status');
  if (status) {
    const headers: Record<string, string> = status.contentType ? { 'content-type': status.contentType } : {};
    return { status: status.status, headers, body: status.body ?? '' };
  }
  if (due.get('html'))
    return { status: 200, headers: { 'content-type': 'text/html; charset=utf-8' }, body: signInPage };
  const refuse = due.get('refuse');
  if (refuse) throw new Asked(refuse.kind, call?.api, { waitMs: refuse.waitMs ?? 1000 });
  return undefined;
}

/** A refusal that a fault asked for: not the caller's mistake, so not counted as one. */
class Asked extends Refusal {}

function refused(served: Served, error: unknown, call: Call | undefined): Reply {
  const { requests, fixture } = served;
  if (!(error instanceof Refusal)) {
    requests.failed += 1;
    return { status: 500, body: `The sandbox failed: ${(error as Error).stack}` };
  }
  const counts = ofApi(requests, call?.api ?? 'unread');
  if (error.kind === 'rate') {
    requests.refused += 1;
    counts.refused += 1;
    if (call) ofAccount(requests, call.account).refused += 1;
  } else if (!(error instanceof Asked)) {
    requests.wrong += 1;
    counts.wrong += 1;
  }
  return fixture.refuse(error, call);
}

function remember(served: Served, call: Call): void {
  const key = JSON.stringify([call.account, call.api, call.params]);
  if (served.seen.has(key)) served.requests.repeated += 1;
  served.seen.add(key);
}

function file(served: Served, path: string): Reply {
  return {
    status: 200,
    headers: { 'content-type': 'application/x-ndjson' },
    body: served.jobs.file(path.slice(filesPath.length)),
  };
}

function send(response: ServerResponse, reply: Reply, cut: 'no' | 'length' | 'socket', now: number): void {
  const text = typeof reply.body === 'string' ? reply.body : writeJson(reply.body);
  const bytes = Buffer.from(text);
  const half = bytes.subarray(0, Math.ceil(bytes.length / 2));
  const length = cut === 'length' ? half.length : bytes.length;
  const type = {
    'content-type': 'application/json; charset=utf-8',
    'content-length': length,
    // Clients measure age by the platform's clock, which may not be the computer's.
    date: new Date(now).toUTCString(),
  };
  response.writeHead(reply.status, { ...type, ...reply.headers });
  if (cut === 'socket') response.write(half, () => response.destroy());
  else response.end(cut === 'length' ? half : bytes);
}
