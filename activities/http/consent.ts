import type { Connector } from '../../connectors/shape.ts';
import type { Grant } from '../../db/tokens.ts';
import { SyncError } from '../errors.ts';
import { refreshOf, type TokenAsk, tokenAuth } from './grant.ts';

const command = 'npx syncline connect NAME --credential-env VARIABLE';

/** What is known when a platform gives no token. */
export interface Refusal {
  /** The platform's code; never its text. */
  code: string;
  hint?: string;
  /** Since when an answer with a pair may be lost; null when none is. */
  lostSince: Date | null;
}

/** Sentence for a person: who refuses, why, and the command that goes on. Type Unauthorized. */
export function refusedToken({ title, auth }: Connector, { code, hint, lostSince }: Refusal): SyncError {
  const more = hint ? ` ${hint}` : '';
  if (auth.kind === 'token' && auth.obtain)
    return new SyncError(
      'Unauthorized',
      `${title} gives no token for this credential (${code}).${more} Give a valid one: ${command}`,
    );
  // RFC 6749, 5.2: it is the app that is not known, whatever the consent is worth.
  if (code === 'invalid_client' || code === 'unauthorized_client')
    return new SyncError(
      'Unauthorized',
      `${title} does not take the app that asks (${code}): its id or secret in the credential is wrong or no longer valid.${more} The consent may stand; put the right ones beside it: ${command}`,
    );
  const lost = lostSince
    ? `A refresh that began at ${lostSince.toISOString()} brought no answer to us (a worker ended or the network failed meanwhile), and `
    : '';
  return new SyncError(
    'Unauthorized',
    `${lost}${title} takes the refresh token no longer (${code}).${more} A person must consent again and put the fresh refresh token into the credential's field "refreshToken": ${command}`,
  );
}

/** @throws SyncError Unauthorized where the connection has neither a refresh token nor what gives a first token */
export function requireBeginning(ask: TokenAsk, held: Grant | null): void {
  const { refresh, obtain } = tokenAuth(ask.connector);
  if (obtain || (refresh && refreshOf(ask, held))) return;
  throw new SyncError(
    'Unauthorized',
    `${ask.connector.title} gives the first token only after a person's consent, and the credential has no field "refreshToken". Put the refresh token of a consent there: ${command}`,
  );
}
