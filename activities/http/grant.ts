import type { Auth, Connector, TokenCall, Value } from '../../connectors/shape.ts';
import type { Connection } from '../../db/connections.ts';
import { type Grant, originOf, type TokenKey } from '../../db/tokens.ts';
import { RetryLater, SyncError } from '../errors.ts';
import { type Judgement, judge, whyWait } from './envelope.ts';
import { readBody } from './json.ts';
import { type HttpAnswer, send, where } from './request.ts';
import type { Settings } from './settings.ts';
import { resolveValue, valueAt } from './values.ts';
import { writeTokenCall } from './write.ts';

/** Who asks for a token, and with what. */
export interface TokenAsk {
  connection: Connection;
  connector: Connector;
  settings: Settings;
  /** Takes one request out of the budget. */
  budget(signal: AbortSignal): Promise<void>;
}

/** The platform gives no token for what was shown to it: only a person can help. */
export class TokenRefused extends Error {
  override name = 'TokenRefused';
  /** The platform's code, never its text. */
  readonly code: string;
  readonly hint: string | undefined;
  constructor(code: string, hint?: string) {
    super(`No token was given (${code})`);
    this.code = code;
    this.hint = hint;
  }
}

/** A life of more than ten years is a wrong unit or nonsense; it must still fit a timestamp. */
const longestLifeMs = 10 * 366 * 86_400_000;
const refusing = ['token', 'consent', 'app', 'permission', 'bad-request', 'gone'];
const waiting = ['retry-after', 'busy', 'quota'];
/** RFC 6749, 5.2, for servers whose connector has no rule for it. */
const oauthRefusals = ['invalid_grant', 'invalid_client', 'unauthorized_client'];

const defaultEarlySeconds = 300;

export type TokenAuth = Extract<Auth, { kind: 'token' }>;

/** @throws SyncError Defect for a connector without tokens */
export function tokenAuth({ auth, platform }: Connector): TokenAuth {
  if (auth.kind === 'token') return auth;
  throw new SyncError('Defect', `Platform "${platform}" has no tokens to ask for`);
}

/** Row of the pair: the connection, and the consent that its credential stands for. @throws SyncError InvalidInput */
export function tokenKey(key: Buffer, { connection, connector, settings }: TokenAsk): TokenKey {
  const { refresh, obtain } = tokenAuth(connector);
  const { refreshToken } = settings.secrets;
  const steady = (value: Value) => typeof value !== 'object' || 'option' in value || 'secret' in value;
  const own = Object.entries(obtain?.params ?? {}).filter(([, value]) => steady(value));
  const consent =
    refresh && refreshToken
      ? refreshToken
      : JSON.stringify(own.map(([name, value]) => [name, resolveValue(value, { ...settings, nowMs: 0 })]));
  return { connection: connection.id, no: connection.no, origin: originOf(key, connection.id, consent) };
}

/** True once a token is to be replaced: `earlySeconds` before its end, but not in the first half of a short life. */
export function isDue({ connector }: TokenAsk, { askedMs, expiresMs }: Grant): boolean {
  const earlyMs = (tokenAuth(connector).earlySeconds ?? defaultEarlySeconds) * 1000;
  return Date.now() >= expiresMs - Math.min(earlyMs, (expiresMs - askedMs) / 2);
}

/** Refresh token of the pair, or of the consent before the first pair. */
export function refreshOf({ settings }: TokenAsk, held: Grant | null): string | undefined {
  return held ? held.refresh : settings.secrets.refreshToken;
}

/**
 * The pair after `held`: by its refresh token where there is one, else by what the connection knows. `answerMs` bounds
 * each of the two calls.
 */
export async function gain(ask: TokenAsk, held: Grant | null, answerMs: number): Promise<Grant> {
  const { refresh, obtain } = tokenAuth(ask.connector);
  const token = refreshOf(ask, held);
  if (refresh && token) {
    try {
      return { refresh: token, ...(await askToken(refresh, ask, answerMs, token)) };
    } catch (error) {
      if (!(error instanceof TokenRefused && obtain)) throw error;
    }
  }
  if (obtain) return askToken(obtain, ask, answerMs);
  throw new TokenRefused('none');
}

/**
 * Sends one call for a token. The request is not aborted by anybody: an answer that nobody reads may hold the only pair
 * that lives.
 * @throws TokenRefused, RetryLater, SyncError Unavailable (network, 5xx), BadAnswer, InvalidInput (never left)
 */
async function askToken(call: TokenCall, ask: TokenAsk, timeoutMs: number, refresh?: string): Promise<Grant> {
  const { connection, connector, settings } = ask;
  await ask.budget(AbortSignal.timeout(timeoutMs));
  const askedMs = Date.now();
  const context = { ...settings, nowMs: askedMs, token: { refresh } };
  const request = writeTokenCall(connector, connection.baseUrl, call, context);
  const answer = await send({ ...request, timeoutMs });
  return grantOf(call, answer, askedMs) ?? refuse(answer, where(new URL(request.url)), connector);
}

/** The pair in an answer; null where there is none. Envelopes of token calls differ from the others': the token itself counts. */
function grantOf({ answer: at }: TokenCall, answer: HttpAnswer, askedMs: number): Grant | null {
  const read = readBody(answer);
  if (!('body' in read) || answer.status >= 300) return null;
  const access = textAt(read.body, at.access);
  if (access === undefined) return null;
  const refresh = at.refresh === undefined ? undefined : textAt(read.body, at.refresh);
  const lifeMs = lifeOf(at, read.body, askedMs);
  return { access, askedMs, expiresMs: askedMs + lifeMs, ...(refresh !== undefined && { refresh }) };
}

/** What the answer says is believed over what the documentation says. */
function lifeOf({ expires, lifeSeconds }: TokenCall['answer'], body: unknown, askedMs: number): number {
  const told = expires ? Number(textAt(body, expires.path) ?? Number.NaN) : Number.NaN;
  const unit = expires?.unit === 's' ? 1000 : 1;
  const lifeMs = expires?.unit === 'until-ms' ? told - askedMs : told * unit;
  return lifeMs > 0 && lifeMs <= longestLifeMs ? lifeMs : lifeSeconds * 1000;
}

function textAt(body: unknown, path: string): string | undefined {
  const value = valueAt(body, path);
  if (typeof value === 'number') return String(value);
  return typeof value === 'string' && value !== '' ? value : undefined;
}

function refuse(answer: HttpAnswer, place: string, connector: Connector): never {
  const judgement = judge(answer, place, connector.envelope);
  if (waiting.includes(judgement.verdict)) throw new RetryLater(judgement.waitMs, whyWait(judgement, place));
  const oauth = oauthRefusal(judgement);
  if (oauth || refusing.includes(judgement.verdict)) throw new TokenRefused(oauth ?? judgement.code, judgement.hint);
  const code = judgement.code || `HTTP ${answer.status}`;
  throw new SyncError('BadAnswer', `${place} gave no token (${code})${judgement.hint ? `. ${judgement.hint}` : ''}`);
}

function oauthRefusal({ body }: Judgement): string | undefined {
  const error = valueAt(body, 'error');
  return oauthRefusals.find((code) => code === error);
}
