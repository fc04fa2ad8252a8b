import { RetryLater, SyncError } from '../errors.ts';
import type { HttpAnswer } from './request.ts';
import { textOf } from './text.ts';

/** Waits are at least this long when a 429 names none. */
const defaultWaitMs = 5_000;
const longestWaitMs = 24 * 3600 * 1000;

/**
 * Reads a JSON answer or says what it means. 2xx with a JSON object: returned. 404: null, and `requireGone` says whether
 * it proves anything. 401 Unauthorized, 403 Forbidden, 429 (and 503 with Retry-After) RetryLater, 5xx and 408
 * Unavailable, everything else and everything that is not JSON BadAnswer. Bodies never reach an error text; `scimType` codes do.
 * `place` is what an error may say of the address.
 */
export function readJson(answer: HttpAnswer, place: string): Record<string, unknown> | null {
  const { status } = answer;
  if (status >= 200 && status < 300) return parse(answer, place);
  if (status === 404) return null;
  if (status === 401) {
    throw new SyncError(
      'Unauthorized',
      `${place} refused the credential (401). Give a valid one: npx syncline connect NAME --credential-env VARIABLE`,
    );
  }
  if (status === 403)
    throw new SyncError(
      'Forbidden',
      `${place}: the credential may not read this (403). Grant it read access to users and groups.`,
    );
  if (status === 429 || (status === 503 && answer.headers['retry-after'] !== undefined))
    throw new RetryLater(retryAfterMs(answer), `${place} asks to wait (${status}).`);
  if (status >= 500 || status === 408) throw new SyncError('Unavailable', `${place} answered ${status}`);
  if (status >= 300 && status < 400)
    throw new SyncError(
      'BadAnswer',
      `${place} answered ${status}, a redirect, which is not followed (it may lead to a login page): is the base address right?`,
    );
  const code = errorCode(answer);
  throw new SyncError('BadAnswer', `${place} answered ${status}${code ? ` (${code})` : ''}`);
}

function parse(answer: HttpAnswer, place: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(textOf(answer.body));
  } catch (cause) {
    const kind = isHtml(answer) ? 'HTML' : 'truncated or broken JSON';
    throw new SyncError(
      'BadAnswer',
      `${place} answered 200 with ${kind} (${typeOf(answer)}, ${answer.body.length} bytes) instead of JSON: a login page, a proxy or a cut answer`,
      { cause },
    );
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw new SyncError('BadAnswer', `${place} answered 200 with JSON that is no object`);
}

/** Retry-After in seconds or as an HTTP date (RFC 9110, 10.2.3); at most a day. */
export function retryAfterMs(answer: HttpAnswer, now = Date.now()): number {
  const header = answer.headers['retry-after'];
  const text = Array.isArray(header) ? header[0] : header;
  if (text === undefined) return defaultWaitMs;
  const ms = /^\d+$/.test(text.trim()) ? Number(text) * 1000 : Date.parse(text) - now;
  return Number.isFinite(ms) ? Math.min(Math.max(ms, 100), longestWaitMs) : defaultWaitMs;
}

/** `scimType` (RFC 7644, 3.12) of an error body; undefined where there is none. */
export function errorCode(answer: HttpAnswer): string | undefined {
  const type = errorBody(answer)?.scimType;
  return typeof type === 'string' && /^\w{1,40}$/.test(type) ? type : undefined;
}

const scimError = 'urn:ietf:params:scim:api:messages:2.0:Error';

/**
 * Takes a 404 as the server's word that one record does not exist: a SCIM error (RFC 7644, 3.12), any JSON error with
 * status 404, or no body at all, which servers send against the RFC. Whatever else came is a proxy's or a gateway's word.
 * @throws SyncError BadAnswer for a 404 that says nothing about the record
 */
export function requireGone(answer: HttpAnswer, place: string): void {
  if (answer.body.length === 0) return;
  const body = errorBody(answer);
  const { schemas, status } = body ?? {};
  if ((Array.isArray(schemas) && schemas.includes(scimError)) || status === '404' || status === 404) return;
  const kind = body ? 'JSON that is no SCIM error' : isHtml(answer) ? 'HTML' : 'no JSON';
  throw new SyncError(
    'BadAnswer',
    `${place} answered 404 with ${kind} (${typeOf(answer)}, ${answer.body.length} bytes): a proxy, a gateway or another address, which proves nobody gone`,
  );
}

/** The JSON object in an error's body; null where there is none. */
function errorBody(answer: HttpAnswer): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(textOf(answer.body));
    return typeof value === 'object' ? (value as Record<string, unknown> | null) : null;
  } catch {
    return null;
  }
}

function typeOf(answer: HttpAnswer): string {
  return String(answer.headers['content-type'] ?? 'no content type').split(';')[0] ?? '';
}

function isHtml(answer: HttpAnswer): boolean {
  return typeOf(answer) === 'text/html' || answer.body.subarray(0, 1).toString() === '<';
}
