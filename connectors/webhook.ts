import * as v from 'valibot';
import type { CallbackEvent, Channel } from './channel.ts';

const signatureHeader = 'x-syncline-signature';
/** Older signatures are somebody's recording. */
const longestAgeMs = 300_000;

/**
 * Any receiver of signed JSON: `POST` to the connection's address with `{key, campaign, user, to, message}`, the header
 * `idempotency-key`, and `x-syncline-signature: t=<seconds>,v1=<hex HMAC-SHA256 of "t.body">`. Answers: 2xx without a sign of an
 * error in its body is sent.
 */
export const webhook: Channel = {
  channel: 'webhook',
  title: 'Signed webhook',
  baseUrl: '',
  settings: {
    signSecret: { secret: true, about: 'shared secret of the signature, in both directions' },
    address: { secret: false, about: "which of a user's addresses is sent as `to`", default: 'id' },
  },
  auth: { kind: 'none' },
  limits: {},
  inFlight: 256,
  address: { kind: 'id', pattern: /^.+$/s },
  template: v.record(v.string(), v.unknown()),
  check: () => null,
  transport: {
    kind: 'http',
    request(message, { key, campaign, user, address, nowMs, secret, hash }) {
      const body = JSON.stringify({ key, campaign, user, to: address, message });
      const seconds = Math.floor(nowMs / 1_000);
      const digest = hash(hmac, `${seconds}.${body}`, secret('signSecret'));
      return { path: '', headers: { 'idempotency-key': key, [signatureHeader]: `t=${seconds},v1=${digest}` }, body };
    },
    read(status, body) {
      const answer = (typeof body === 'object' && body !== null ? body : {}) as Record<string, unknown>;
      if (status >= 200 && status < 300 && tellsError(answer)) return { code: 'error_body' };
      const { id } = answer;
      return { code: String(status), ...(typeof id === 'string' && id.length <= 200 && { providerId: id }) };
    },
  },
  outcomes: [
    { code: ['2xx'], class: 'sent' },
    {
      code: ['error_body'],
      class: 'refused',
      allAlike: true,
      hint: 'the receiver answers 200 with an error in its body: look at its log',
    },
    { code: ['429'], class: 'wait', waitMs: 5_000 },
    { code: ['503'], class: 'wait', waitMs: 2_000 },
    { code: ['425'], class: 'retry' },
    // A receiver may have taken the message and failed behind it.
    { code: ['408', '500', '502', '504', '5xx'], class: 'unknown' },
    {
      code: ['401', '403', '404', '405', '3xx'],
      class: 'stop',
      hint: 'the receiver does not take messages at this address or with this secret: correct the connection',
    },
    { class: 'refused', allAlike: true, hint: 'the receiver refuses what the template makes: look at its log' },
  ],
  callbacks: {
    by: 'key',
    verify({ headers, body, nowMs, secret, hash, same }) {
      const parts = /^t=(\d{1,12}),v1=([0-9a-f]{64})$/.exec(headers[signatureHeader] ?? '');
      if (!parts || secret('signSecret') === '') return false;
      if (Math.abs(nowMs - Number(parts[1]) * 1_000) > longestAgeMs) return false;
      return same(hash(hmac, `${parts[1]}.${body}`, secret('signSecret')), parts[2] as string);
    },
    read(body) {
      const told = JSON.parse(body) as unknown;
      return (Array.isArray(told) ? told : [told]).map(eventOf);
    },
    answer: '{"ok":true}',
  },
};

const hmac = { algorithm: 'hmac-sha256', encoding: 'lower' } as const;

/** The usual ways to say no with a 200. */
function tellsError({ error, ok, success, status, errcode }: Record<string, unknown>): boolean {
  const coded = errcode !== undefined && errcode !== 0 && errcode !== '0';
  return Boolean(error) || ok === false || success === false || status === 'error' || status === 'failed' || coded;
}

/** `{key, status: "delivered" | "failed", reason?}`. */
function eventOf(told: unknown): CallbackEvent {
  const { key, status, reason } = (told ?? {}) as Record<string, unknown>;
  if (typeof key !== 'string' || (status !== 'delivered' && status !== 'failed'))
    throw new SyntaxError('accepted: {"key", "status": "delivered" or "failed", "reason"?}, or a list of them');
  const known = typeof reason === 'string' && /^[\w.:-]{1,60}$/.test(reason) ? reason : 'failed';
  return { kind: 'outcome', id: key, delivered: status === 'delivered', ...(status === 'failed' && { reason: known }) };
}
