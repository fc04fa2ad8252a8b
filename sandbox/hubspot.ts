import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { answerBatch, type BatchName, type Mode, type Reply, refusal } from './hubspot/batches.ts';
import { newSandboxProperty, type SandboxProperty, startCatalog } from './hubspot/catalog.ts';
import { Contacts, type RowInput } from './hubspot/contacts.ts';
import { Faults, type HubspotFault } from './hubspot/faults.ts';
import { type HubspotLimits, Limits } from './hubspot/limits.ts';
import { batchPath, faulty, nameOf, parse, read } from './hubspot/plain.ts';
import { Sessions } from './hubspot/sessions.ts';

export type { HubspotFault } from './hubspot/faults.ts';
export type { HubspotLimits } from './hubspot/limits.ts';

export interface HubspotSandboxOptions {
  /** Default `trace`. */
  mode?: Mode;
  /** Time until an answer, ms. Default 0. */
  latencyMs?: number;
  /** Default: those of a professional account; null switches them off. */
  limits?: HubspotLimits | null;
  /** Properties besides those of a fresh account. */
  properties?: Partial<SandboxProperty>[];
  /** Patterns that administrators want values to match, by property: what nobody outside can check. */
  rules?: Record<string, string>;
  timeZone?: string;
  /** Scopes that the token lacks. */
  missingScopes?: string[];
  faults?: HubspotFault[];
  /** Of faults that meet by chance. Default 1. */
  seed?: number;
}

/** Calls that came, and what became of them. */
export interface HubspotCalls {
  all: number;
  byName: Record<string, number>;
  refused: number;
  /** Rows in batches that were answered 2xx or 207. */
  rows: number;
  /** Most calls in hand at once. */
  inFlight: number;
}

export interface HubspotSandbox {
  /** The base, such as `http://127.0.0.1:40123`. */
  readonly url: string;
  /** Token of a private app. */
  readonly token: string;
  /** Client, secret and refresh token of an app, as a credential; each call is a consent of its own. */
  consent(): { clientId: string; clientSecret: string; refreshToken: string };
  readonly contacts: Contacts;
  readonly calls: HubspotCalls;
  setFaults(faults: readonly HubspotFault[]): void;
  setLatency(ms: number): void;
  addProperty(property: Partial<SandboxProperty> & { name: string; type: string }): void;
  /** Adds an option to an enumeration. */
  addOption(property: string, value: string): void;
  /** Ends every access token that was given. */
  expireTokens(): void;
  /** The account's midnight. */
  newDay(): void;
  /** Ends everything; calls in hand are cut. */
  stop(): Promise<void>;
}

const professional: HubspotLimits = { burst: 190, daily: 650_000 };
const propertyPath = /^\/crm\/properties\/(\d{4}-\d{2}|v3)\/contacts(\/batch\/create)?$/;

/** A HubSpot account over real HTTP on a free port: contacts in batches, properties, tokens, limits and faults. */
export async function startHubspotSandbox(options: HubspotSandboxOptions = {}): Promise<HubspotSandbox> {
  const contacts = new Contacts(startCatalog());
  for (const [name, rule] of Object.entries(options.rules ?? {})) contacts.rules.set(name, new RegExp(rule));
  const limits = new Limits(options.limits === undefined ? professional : options.limits);
  const sessions = new Sessions();
  const faults = new Faults(options.faults, options.seed);
  const calls: HubspotCalls = { all: 0, byName: {}, refused: 0, rows: 0, inFlight: 0 };
  const late = new Set<AbortController>();
  let latencyMs = options.latencyMs ?? 0;
  let inHand = 0;

  const addProperty = (property: Partial<SandboxProperty> & { name: string; type: string }) => {
    const made = newSandboxProperty({
      label: property.name,
      fieldType: 'text',
      groupName: 'contactinformation',
      ...property,
    });
    if (typeof made === 'string') throw new RangeError(made);
    contacts.catalog.set(made.name, { ...made, ...property });
  };
  for (const property of options.properties ?? []) addProperty(property as { name: string; type: string });

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = (request.url ?? '/').split('?')[0]!;
    const text = await read(request);
    const name = nameOf(path);
    calls.all += 1;
    calls.byName[name] = (calls.byName[name] ?? 0) + 1;
    inHand += 1;
    calls.inFlight = Math.max(calls.inFlight, inHand);
    try {
      const reply = await serve(request, path, name, text, response);
      if (reply === null) return;
      if (latencyMs > 0) await delay(latencyMs);
      if (reply.status === 429) calls.refused += 1;
      const headers = { 'content-type': 'application/json;charset=utf-8', ...limits.headers(), ...reply.headers };
      const body =
        reply.body === undefined ? '' : typeof reply.body === 'string' ? reply.body : JSON.stringify(reply.body);
      response.writeHead(reply.status, { ...headers, 'content-length': Buffer.byteLength(body) }).end(body);
    } finally {
      inHand -= 1;
    }
  }

  async function serve(
    request: IncomingMessage,
    path: string,
    name: string,
    text: string,
    response: ServerResponse,
  ): Promise<Reply | null> {
    if (path.startsWith('/oauth/')) return faulty(faults.meet('token')) ?? sessions.answer(new URLSearchParams(text));
    if (!sessions.knows(request.headers.authorization))
      return refusal(401, 'INVALID_AUTHENTICATION', 'Authentication credentials not found.');
    const refused = limits.take(Date.now());
    if (refused) return refused;
    const fault = faults.meet(name as BatchName);
    const batch = batchPath.exec(path)?.[2] as BatchName | undefined;
    if (batch !== undefined) return answered(batch, text, fault, response);
    if (fault) return faulty(fault) ?? null;
    if (path.startsWith('/account-info/'))
      return { status: 200, body: { portalId: sessions.portalId, timeZone: options.timeZone ?? 'US/Eastern' } };
    return propertyPath.test(path)
      ? properties(request.method ?? 'GET', text)
      : refusal(404, 'OBJECT_NOT_FOUND', 'resource not found');
  }

  async function answered(
    batch: BatchName,
    text: string,
    fault: HubspotFault | undefined,
    response: ServerResponse,
  ): Promise<Reply | null> {
    if (options.missingScopes?.length)
      return refusal(403, 'MISSING_SCOPES', 'This app does not have proper permissions.', {
        errors: [
          {
            message: 'One or more of the following scopes are required.',
            context: { requiredGranularScopes: options.missingScopes },
          },
        ],
      });
    const instead = faulty(fault);
    if (instead) return instead;
    const body = parse(text);
    if (body === undefined) return refusal(400, 'VALIDATION_ERROR', 'Invalid input JSON on line 1');
    const apply = (rows: unknown = body) => answerBatch(contacts, options.mode ?? 'trace', batch, rows);
    if (fault?.type === 'silent') return silent(fault, apply, response);
    if (fault?.type === 'hang') {
      apply();
      return null;
    }
    if (fault?.type === 'partial')
      return apply({ ...(body as object), inputs: (body as { inputs: RowInput[] }).inputs.slice(0, -fault.rows) });
    if (fault?.type === 'slow') await delay(fault.ms);
    const reply = apply();
    if (reply.status < 300) calls.rows += ((body as { inputs?: unknown[] }).inputs ?? []).length;
    return reply;
  }

  function silent(
    fault: Extract<HubspotFault, { type: 'silent' }>,
    apply: () => Reply,
    response: ServerResponse,
  ): null {
    if (fault.applied) apply();
    else if (fault.lateMs !== undefined) {
      const abort = new AbortController();
      late.add(abort);
      void delay(fault.lateMs, undefined, { signal: abort.signal })
        .then(apply, () => undefined)
        .finally(() => late.delete(abort));
    }
    response.destroy();
    return null;
  }

  function properties(method: string, text: string): Reply {
    if (method === 'GET')
      return {
        status: 200,
        body: {
          results: [...contacts.catalog.values()].map(({ readOnly, ...one }) => ({
            ...one,
            archived: false,
            calculated: false,
            modificationMetadata: { readOnlyValue: readOnly },
          })),
        },
      };
    const { inputs = [] } = (parse(text) ?? {}) as { inputs?: Record<string, unknown>[] };
    const results: SandboxProperty[] = [];
    for (const input of inputs) {
      const made = newSandboxProperty(input);
      if (typeof made === 'string') return refusal(400, 'VALIDATION_ERROR', made);
      if (contacts.catalog.has(made.name))
        return refusal(409, 'OBJECT_ALREADY_EXISTS', `A property named '${made.name}' already exists.`);
      contacts.catalog.set(made.name, made);
      results.push(made);
    }
    return { status: 201, body: { status: 'COMPLETE', results } };
  }

  const server = createServer((request, response) => {
    handle(request, response).catch((error: Error) => {
      if (!response.headersSent && !response.destroyed)
        response.writeHead(500).end(JSON.stringify({ message: error.message }));
    });
  });
  server.keepAliveTimeout = 60_000;
  await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    token: sessions.key,
    consent: () => sessions.consent(),
    contacts,
    calls,
    setFaults: (next) => faults.set(next),
    setLatency: (ms) => {
      latencyMs = ms;
    },
    addProperty,
    addOption(property, value) {
      const known = contacts.catalog.get(property);
      if (!known) throw new RangeError(`no property "${property}"`);
      known.options = [...known.options, { label: value, value, displayOrder: known.options.length, hidden: false }];
    },
    expireTokens: () => sessions.expire(),
    newDay: () => limits.newDay(),
    async stop() {
      for (const abort of late) abort.abort();
      await new Promise<void>((done) => {
        server.close(() => done());
        server.closeAllConnections();
      });
    },
  };
}
