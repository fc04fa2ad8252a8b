import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text as readText } from 'node:stream/consumers';
import { setTimeout as wait } from 'node:timers/promises';
import { discover } from './discovery.ts';
import type { Faults, Target } from './due.ts';
import { answerList, type ListSource } from './lists.ts';
import { kindOf, readProjection } from './query.ts';
import { Refused } from './registry.ts';
import { rowChange } from './render.ts';
import type { Resource } from './resources.ts';
import { create, patch, remove, replace } from './writes.ts';

/** What came in since the start. */
export interface RequestCounts {
  /** Every request, refused ones included. */
  total: number;
  /** The ones refused by a rate limit. */
  limited: number;
  /** By path below the base: `/Users`, `/Users/:id`, `/Groups`, … */
  byPath: Record<string, number>;
}

/** Everything that an answer depends on. */
export interface Served extends ListSource {
  /** The base address; empty until the server listens. */
  url: string;
  token: string;
  contentType: string;
  latencyMs: number;
  faults: Faults;
  requests: RequestCounts;
}

/** The path below which everything lives. */
export const basePath = '/scim/v2';

interface Answer {
  status: number;
  headers?: Record<string, string>;
  /** Undefined for no body. */
  pieces?: (string | Buffer)[];
}

const errorSchema = 'urn:ietf:params:scim:api:messages:2.0:Error';
const loginPage = '<!doctype html><html><head><title>Sign in</title></head><body><form>Password</form></body></html>';

/** Listens on a loopback port (0: a free one). */
export async function listen(served: Served, port: number): Promise<{ server: Server; port: number }> {
  const server = createServer((request, response) => {
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
  const address = new URL(request.url ?? '/', 'http://127.0.0.1');
  const path = address.pathname.startsWith(`${basePath}/`) ? address.pathname.slice(basePath.length) : '';
  const [, first = '', id] = path.split('/');
  const target: Target = { path: `/${first}`, list: id === undefined && request.method === 'GET' };
  const shape = id === undefined ? target.path : `${target.path}/:id`;
  served.requests.total += 1;
  served.requests.byPath[shape] = (served.requests.byPath[shape] ?? 0) + 1;

  const { faults } = served;
  const delay = served.latencyMs + (faults.take('latency', target)?.ms ?? 0);
  if (delay > 0) await wait(delay);
  const body = request.method === 'GET' ? '' : await readText(request);
  if (faults.take('hang', target)) {
    faults.saw(target);
    return;
  }
  const answer = answerOrError(served, request, target, address.searchParams, id, body);
  const cut = faults.take('truncatedJson', target) ? 'length' : faults.take('cutConnection', target) ? 'socket' : 'no';
  faults.saw(target);
  send(response, answer, served.contentType, cut);
}

function answerOrError(
  served: Served,
  request: IncomingMessage,
  target: Target,
  params: URLSearchParams,
  id: string | undefined,
  body: string,
): Answer {
  try {
    const stand = standIn(served, request, target);
    return stand ?? route(served, request.method ?? 'GET', target, params, id, body);
  } catch (error) {
    const refused =
      error instanceof Refused ? error : new Refused(500, undefined, `The sandbox failed: ${(error as Error).message}`);
    return { status: refused.status, pieces: [errorBody(served.faults, target, refused)] };
  }
}

/** The answer that a fault gives, or a refusal that comes before any look at the data. */
function standIn(served: Served, request: IncomingMessage, target: Target): Answer | undefined {
  const { faults } = served;
  const limited = faults.refusal(target, performance.now());
  if (limited) {
    served.requests.limited += 1;
    const seconds = Math.max(1, Math.ceil(limited.seconds));
    // A date has whole seconds: one more, so that it is never too early.
    const date = new Date(Date.now() + (seconds + 1) * 1000).toUTCString();
    const error = new Refused(429, undefined, 'Too many requests');
    const headers = { 'retry-after': limited.form === 'date' ? date : String(seconds) };
    return { status: 429, headers, pieces: [errorBody(faults, target, error)] };
  }
  if (request.headers.authorization !== `Bearer ${served.token}`) {
    throw new Refused(401, undefined, 'The bearer token is missing or wrong; send Authorization: Bearer <token>');
  }
  if (faults.take('html', target)) {
    return { status: 200, headers: { 'content-type': 'text/html; charset=utf-8' }, pieces: [loginPage] };
  }
  if (faults.take('emptyObject', target)) return { status: 200, pieces: ['{}'] };
  const status = faults.take('status', target);
  if (!status) return undefined;
  const headers: Record<string, string> = {};
  if (status.retryAfterSeconds !== undefined) headers['retry-after'] = String(status.retryAfterSeconds);
  const error = new Refused(status.status, status.scimType, `The server answers ${status.status}`);
  const { body = errorBody(faults, target, error) } = status;
  return { status: status.status, headers, pieces: [typeof body === 'string' ? body : JSON.stringify(body)] };
}

function errorBody(faults: Faults, target: Target, { status, scimType, message }: Refused): string {
  const wrong = faults.take('wrongStatusString', target);
  const written = wrong ? (wrong.value ?? status) : String(status);
  return JSON.stringify({ schemas: [errorSchema], status: written, scimType, detail: message });
}

function route(
  served: Served,
  method: string,
  target: Target,
  params: URLSearchParams,
  id: string | undefined,
  body: string,
): Answer {
  const { path } = target;
  const discovered = id === undefined && method === 'GET' ? discover(path, served) : undefined;
  if (discovered) return { status: 200, pieces: [JSON.stringify(discovered)] };
  if (path !== '/Users' && path !== '/Groups') throw new Refused(404, undefined, 'No such endpoint');
  if (target.list) return { status: 200, pieces: answerList(served, served.faults, target, params) };
  const { directory } = served;
  if (id === undefined) {
    if (method !== 'POST') throw new Refused(405, undefined, `${method} is not possible here; accepted: GET, POST`);
    const created = create(directory, path, parse(body));
    return {
      status: 201,
      headers: { location: `${served.url}${path}/${created}` },
      pieces: one(served, target, params, created),
    };
  }
  if (method === 'PUT') replace(directory, path, id, parse(body));
  else if (method === 'PATCH') patch(directory, path, id, parse(body));
  else if (method === 'DELETE') {
    remove(directory, path, id);
    return { status: 204 };
  } else if (method !== 'GET') {
    throw new Refused(405, undefined, `${method} is not possible here; accepted: GET, PUT, PATCH, DELETE`);
  }
  return found(served, target, params, id);
}

/** A single resource, or the 404 that a fault gives for one that is not there. */
function found(served: Served, target: Target, params: URLSearchParams, id: string): Answer {
  const { directory, faults } = served;
  const there = kindOf(target.path) === 'User' ? directory.findPerson(id) : directory.findGroup(id);
  const fault = there ? undefined : faults.take('notFoundBody', target);
  if (!fault) return { status: 200, pieces: one(served, target, params, id) };
  const { body, contentType = served.contentType } = fault;
  return { status: 404, headers: { 'content-type': contentType }, pieces: [body] };
}

function one(served: Served, target: Target, params: URLSearchParams, id: string): string[] {
  const { directory, renderer } = served;
  const kind = kindOf(target.path);
  const row = kind === 'User' ? directory.findPerson(id) : directory.findGroup(id);
  if (!row) throw new Refused(404, undefined, `Resource ${id} not found`);
  const change = rowChange(served.faults, target, () => new Set([id]));
  return [renderer.text(kind, row, readProjection(params), change)];
}

function parse(body: string): Resource {
  try {
    const value: unknown = JSON.parse(body);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Resource;
  } catch (cause) {
    throw new Refused(400, 'invalidSyntax', `The body is no JSON: ${(cause as Error).name}`);
  }
  throw new Refused(400, 'invalidSyntax', 'The body is no JSON object');
}

function send(response: ServerResponse, answer: Answer, contentType: string, cut: 'no' | 'length' | 'socket'): void {
  if (!answer.pieces) {
    response.writeHead(answer.status, answer.headers).end();
    return;
  }
  const whole = answer.pieces.reduce((sum, piece) => sum + Buffer.byteLength(piece), 0);
  const half = Math.ceil(whole / 2);
  const length = cut === 'length' ? half : whole;
  response.writeHead(answer.status, { 'content-type': contentType, 'content-length': length, ...answer.headers });
  if (cut === 'no') {
    response.cork();
    for (const piece of answer.pieces) response.write(piece);
    response.uncork();
    response.end();
    return;
  }
  const part = Buffer.concat(answer.pieces.map((piece) => Buffer.from(piece))).subarray(0, half);
  if (cut === 'length') response.end(part);
  else response.write(part, () => response.destroy());
}
