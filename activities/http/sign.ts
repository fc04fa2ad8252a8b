import { createHash, createHmac } from 'node:crypto';
import type { Digest, Sign, SignedCall } from '../../connectors/shape.ts';
import { SyncError } from '../errors.ts';
import { secretOf, type ValueContext } from './values.ts';

/** A call as it is about to be sent, its signature missing. */
export interface Unsigned {
  api: string;
  /** System parameters, the raw values. */
  system: Readonly<Record<string, string>>;
  /** Business parameters as they are sent: flat, or the one JSON text under its name. */
  business: Readonly<Record<string, string>>;
  /** True: business parameters are one JSON text, which counts as a system parameter. */
  packed: boolean;
  /** JSON body, '' where there is none. */
  body: string;
}

/**
 * Parameters that the signature adds; names that begin with `header:` are headers. Values are signed raw and encoded
 * afterwards.
 * @throws SyncError InvalidInput for a missing field of the credential, or an unknown digest
 */
export function signatureOf(sign: Sign, call: Unsigned, context: ValueContext): Record<string, string> {
  if (sign.kind === 'custom') return sign.sign(signedCall(call, context));
  const secret = secretOf(context, sign.secret.field);
  const digest = digestOf(sign.digest, context);
  const params = sign.over === 'all' || call.packed ? { ...call.business, ...call.system } : call.system;
  const pairs = pairsOf(sign, params);
  const text = digest.keyOnly ? pairs : withSecret(pairs, sign.secret, secret);
  return { [sign.name]: hash(digest, text, secret) };
}

/** Digest of a UTF-8 text. @throws Error for an HMAC without its key, which is a fault of the connector */
export function hash({ algorithm, encoding }: Digest, text: string, key?: string): string {
  const keyed = /^hmac-(\w+)$/.exec(algorithm);
  if (keyed && key === undefined) throw new Error(`The digest ${algorithm} needs a key`);
  const made = (keyed ? createHmac(keyed[1]!, key!) : createHash(algorithm)).update(text, 'utf8');
  if (encoding === 'base64') return made.digest('base64');
  const hex = made.digest('hex');
  return encoding === 'upper' ? hex.toUpperCase() : hex;
}

type ParamsSign = Extract<Sign, { kind: 'params' }>;

/** Pairs in byte order of their keys. Empty values are never signed: no platform of the family counts them. */
function pairsOf(sign: ParamsSign, params: Readonly<Record<string, string>>): string {
  return Object.entries(params)
    .filter(([key, value]) => key !== '' && value !== '' && isSigned(sign, key))
    .sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
    .map(([key, value]) => `${key}${sign.pair}${value}`)
    .join(sign.joiner);
}

function isSigned(sign: ParamsSign, key: string): boolean {
  return key !== sign.name && (sign.only?.includes(key) ?? true) && !sign.except?.includes(key);
}

function withSecret(pairs: string, { place, before = '' }: ParamsSign['secret'], secret: string): string {
  switch (place) {
    case 'around':
      return `${secret}${pairs}${before}${secret}`;
    case 'front':
      return `${before}${secret}${pairs}`;
    case 'back':
      return `${pairs}${before}${secret}`;
    case 'none':
      return pairs;
  }
}

function digestOf(digest: ParamsSign['digest'], context: ValueContext): Digest {
  if ('algorithm' in digest) return digest;
  const name = context.options[digest.option];
  const found = typeof name === 'string' && Object.hasOwn(digest.digests, name) ? digest.digests[name] : undefined;
  if (found) return found;
  const accepted = Object.keys(digest.digests).join(', ');
  throw new SyncError(
    'InvalidInput',
    `Option "${digest.option}": got ${JSON.stringify(name)?.slice(0, 40) ?? 'nothing'}, accepted ${accepted}. Set it: npx syncline connect NAME --option ${digest.option}=VALUE`,
  );
}

function signedCall(call: Unsigned, context: ValueContext): SignedCall {
  return {
    api: call.api,
    params: { ...call.business, ...call.system },
    body: call.body,
    secret: (field) => secretOf(context, field),
    hash,
    nowMs: context.nowMs,
  };
}
