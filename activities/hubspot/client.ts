import type { BatchAnswer } from '../../connectors/hubspot/answers.ts';
import { hubspotKey, hubspotOAuth, hubspotPlatform, leastCallsPerWindow, windowMs } from '../../connectors/hubspot.ts';
import type { Connector, Rate } from '../../connectors/shape.ts';
import type { Connection } from '../../db/connections.ts';
import { SyncError } from '../errors.ts';
import { addressOf } from '../http/address.ts';
import type { ClientDeps } from '../http/client.ts';
import { readBody } from '../http/json.ts';
import { type HttpRequest, send, where } from '../http/request.ts';
import { settingsOf } from '../http/settings.ts';
import type { BudgetUse } from '../http/throttle.ts';

/** The request never left: nobody can have been written. */
export class NeverLeft extends SyncError {
  constructor(cause: SyncError) {
    super('Unavailable', cause.message, { cause });
  }
}

/** Bytes left and no answer came. */
export class Unanswered extends SyncError {
  constructor(cause: SyncError) {
    super('Unavailable', cause.message, { cause });
  }
}

export interface HubspotAnswer extends BatchAnswer {
  /** Origin and path, for an error text. */
  place: string;
}

/** Under what one call may leave, at once. */
export interface Permit {
  /** The header. */
  authorization: string;
  /** Of a token that ends; null: it does not. */
  version: number | null;
}

/** Calls one account. */
export interface HubspotClient {
  /**
   * Waits for a token and for the budget.
   * @throws RetryLater, SyncError Unauthorized (OAuth), InvalidInput, the signal's reason
   */
  permit(signal: AbortSignal): Promise<Permit>;
  /**
   * Sends one request at once: nothing is asked for before its first byte. It is never aborted from outside: what is under
   * way is waited for.
   * @throws NeverLeft, Unanswered
   */
  send(permit: Permit, method: 'GET' | 'POST', path: string, body?: string): Promise<HubspotAnswer>;
  /** The token was refused. True: another one was got, and the call may be made again. */
  renew(permit: Permit, signal: AbortSignal): Promise<boolean>;
  /** All workers wait so long before the next call. */
  refused(waitMs: number): Promise<void>;
}

export interface ClientOptions {
  callsPerWindow?: number;
  timeoutSeconds: number;
}

/** Connections break before a byte is written: no route, no name, nobody listens. */
const neverLeft = /^(ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|UND_ERR_CONNECT_TIMEOUT)$/;

/** One list a rate: the budget keeps what it made of it. */
const rates = new Map<number, readonly Rate[]>();

function ratesOf(requests: number): readonly Rate[] {
  let rate = rates.get(requests);
  if (!rate) {
    rate = [{ requests, perMs: windowMs, rolling: true }];
    rates.set(requests, rate);
  }
  return rate;
}

/** Opens a client for the length of one activity. @throws SyncError InvalidInput for a credential that cannot be used */
export function openClient(deps: ClientDeps, connection: Connection, options: ClientOptions): HubspotClient {
  const connector = connectorFor(connection);
  const settings = settingsOf(connection, connector);
  if (connector === hubspotOAuth) requireConsent(connection, settings.secrets);
  const use: BudgetUse = {
    platform: hubspotPlatform,
    platformRates: [],
    connection: connection.id,
    connectionRates: ratesOf(options.callsPerWindow ?? leastCallsPerWindow),
    lane: 'bulk',
  };
  const take = (signal: AbortSignal) => deps.throttle.take(use, signal);
  const ask = { connection, connector, settings, budget: take };
  const timeoutMs = options.timeoutSeconds * 1_000;
  const authorized = async (): Promise<Permit> => {
    if (connector.auth.kind === 'static')
      return { authorization: `Bearer ${settings.secrets.accessToken ?? missing(connection)}`, version: null };
    // Asked for each time: it is replaced before it ends, and only then is anybody asked.
    const { access, version } = await deps.tokens.current(ask, AbortSignal.timeout(timeoutMs));
    return { authorization: `Bearer ${access}`, version };
  };
  return {
    async permit(signal) {
      const permit = await authorized();
      await take(signal);
      return permit;
    },
    refused: (waitMs) => deps.throttle.refused(use, 'connection', waitMs),
    async renew({ version }, signal) {
      if (version === null) return false;
      await deps.tokens.replace(ask, version, signal);
      return true;
    },
    async send({ authorization }, method, path, body) {
      const url = addressOf(connection.baseUrl, path).href;
      const headers: Record<string, string> = { authorization, accept: 'application/json' };
      if (body !== undefined) headers['content-type'] = 'application/json';
      const answer = await deliver({ url, method, headers, body, timeoutMs });
      const read = readBody(answer);
      return {
        status: answer.status,
        headers: answer.headers,
        body: 'body' in read ? read.body : undefined,
        place: where(new URL(url)),
      };
    },
  };
}

async function deliver(request: HttpRequest) {
  try {
    return await send(request);
  } catch (error) {
    if (!(error instanceof SyncError)) throw error;
    const { code } = (error.cause ?? {}) as { code?: unknown };
    if (error.type === 'Unavailable' && neverLeft.test(String(code))) throw new NeverLeft(error);
    throw new Unanswered(error);
  }
}

/** A JSON object stands for a person's consent, unless it holds a token; any other text is a token that does not end. */
function connectorFor({ credential }: Connection): Connector {
  return credential?.trimStart().startsWith('{') && !/"accessToken"/.test(credential) ? hubspotOAuth : hubspotKey;
}

function requireConsent({ id }: Connection, secrets: Readonly<Record<string, string | undefined>>): void {
  const lacking = ['clientId', 'clientSecret', 'refreshToken'].filter((name) => !secrets[name]);
  if (lacking.length === 0) return;
  throw new SyncError(
    'InvalidInput',
    `The credential of connection "${id}" lacks ${lacking.join(', ')}; ${acceptedCredential(id)}`,
  );
}

function missing({ id }: Connection): never {
  throw new SyncError('InvalidInput', `Connection "${id}" has no credential; ${acceptedCredential(id)}`);
}

const acceptedCredential = (id: string) =>
  `accepted: the token of a service key or private app, or {"clientId":"…","clientSecret":"…","refreshToken":"…"}. Give it: npx syncline connect ${id} --credential-env VARIABLE`;
