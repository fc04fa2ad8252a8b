import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { Pool } from '../../db/client.ts';
import { claimRefresh, type Grant, readToken, releaseRefresh, storeToken, type TokenRow } from '../../db/tokens.ts';
import { SyncError } from '../errors.ts';
import { refusedToken, requireBeginning } from './consent.ts';
import { gain, isDue, type TokenAsk, TokenRefused, tokenKey } from './grant.ts';

export interface Token {
  access: string;
  /** Names the pair that the token belongs to. */
  version: number;
}

/**
 * Tokens of all connections of a worker. A pair goes: asked for by one holder over all workers (a lease in the row; no
 * lock and no database connection is held while the platform is asked), answered, flushed to disk, used. Whoever waits
 * reads the row until the version moves. A holder that was killed is given up when its lease ends; the next one shows the
 * platform the old refresh token again, which several take for some minutes, and where it is refused a person is told.
 */
export interface Tokens {
  /**
   * A token that does not end within the connector's `earlySeconds`.
   * @throws SyncError Unauthorized (a person must act), Unavailable, BadAnswer, InvalidInput; RetryLater; the signal's reason
   */
  current(ask: TokenAsk, signal: AbortSignal): Promise<Token>;
  /** A token of a pair after `version`, which the platform has refused: the first who comes asks, all others get its pair. */
  replace(ask: TokenAsk, version: number, signal: AbortSignal): Promise<Token>;
  /** Asks for nothing more, and waits until answers that are under way are written. Call it before the pool is closed. */
  close(): Promise<void>;
}

export interface TokensOptions {
  pool: Pool;
  /** 32 bytes of SYNCLINE_SECRET_KEY. */
  key: Buffer;
  /** Longest time for one answer of the platform, ms. Default 20,000. */
  answerMs?: number;
  /** A holder is given up after this, ms; more than two answers take. Default 60,000. */
  heldMs?: number;
  /** How long a pair waits in memory for a Postgres that is away, ms. Default 1 hour; 20 s once closed. */
  storeMs?: number;
  /** For so long after a refusal no worker asks again, ms: some platforms lock an app that shows five bad secrets. Default 30,000. */
  refusedMs?: number;
}

type Held = Grant & { version: number };
type Settled = Required<TokensOptions>;

const defaults = { answerMs: 20_000, heldMs: 60_000, storeMs: 3_600_000, refusedMs: 30_000 };
const pollMs = 100;
const closingMs = 20_000;
const longestStoreWaitMs = 5_000;

/** Opens the tokens of one worker; several callers share one search, several workers one request to the platform. */
export function openTokens(options: TokensOptions): Tokens {
  return new TokenKeeper({ ...defaults, ...options });
}

class TokenKeeper implements Tokens {
  private readonly options: Settled;
  private readonly known = new Map<string, Held>();
  private readonly searches = new Map<string, Promise<Held>>();
  private closedAt: number | undefined;

  constructor(options: Settled) {
    this.options = options;
  }

  current(ask: TokenAsk, signal: AbortSignal): Promise<Token> {
    return this.want(ask, -1, signal);
  }

  replace(ask: TokenAsk, version: number, signal: AbortSignal): Promise<Token> {
    return this.want(ask, version, signal);
  }

  async close(): Promise<void> {
    this.closedAt = Date.now();
    await Promise.allSettled(this.searches.values());
  }

  /** A good token of a pair above `version`. The search goes on when its caller leaves: it may have the only pair that lives. */
  private async want(ask: TokenAsk, version: number, signal: AbortSignal): Promise<Token> {
    signal.throwIfAborted();
    const { connection, origin } = tokenKey(this.options.key, ask);
    const name = `${connection} ${origin}`;
    const held = this.known.get(name);
    if (held && isGood(ask, held, version)) return { access: held.access, version: held.version };
    const found = await abandonable(this.search(ask, name, version), signal);
    return { access: found.access, version: found.version };
  }

  private search(ask: TokenAsk, name: string, version: number): Promise<Held> {
    const key = `${name} ${version}`;
    const running = this.searches.get(key);
    if (running) return running;
    const search = this.find(ask, version)
      .then((found) => {
        if (found.version >= (this.known.get(name)?.version ?? 0)) this.known.set(name, found);
        return found;
      })
      .finally(() => this.searches.delete(key));
    this.searches.set(key, search);
    return search;
  }

  private async find(ask: TokenAsk, version: number): Promise<Held> {
    const { pool, key, heldMs, refusedMs } = this.options;
    const at = tokenKey(key, ask);
    for (;;) {
      if (this.closedAt !== undefined) throw new SyncError('Unavailable', 'The worker is going down');
      const row = await this.read(ask);
      if (row?.grant && isGood(ask, { ...row.grant, version: row.version }, version))
        return { ...row.grant, version: row.version };
      requireBeginning(ask, row?.grant ?? null);
      if (row?.refused) throw refusedToken(ask.connector, { code: row.refused, lostSince: row.openSince });
      const holder = randomUUID();
      const claim = await claimRefresh(pool, at, { holder, version: row?.version ?? 0, heldMs, freshMs: refusedMs });
      if (claim) return this.renew(ask, row, version, { holder, ...claim });
      await delay(pollMs);
    }
  }

  private async renew(ask: TokenAsk, row: TokenRow | null, version: number, lease: Lease): Promise<Held> {
    const { pool, key, answerMs } = this.options;
    const old = row?.version ?? 0;
    let grant: Grant;
    try {
      grant = await gain(ask, row?.grant ?? null, answerMs);
    } catch (error) {
      const code = error instanceof TokenRefused ? error.code : undefined;
      const release = { holder: lease.holder, closed: !lease.lostSince && !mayHaveAnswered(error), refused: code };
      // Postgres away: the lease ends by itself, and what the platform said is what counts.
      await releaseRefresh(pool, tokenKey(key, ask), release).catch(() => undefined);
      if (!(error instanceof TokenRefused)) throw error;
      const slower = await this.read(ask);
      if (slower && slower.version > old) return this.find(ask, version);
      throw refusedToken(ask.connector, { code: error.code, hint: error.hint, lostSince: lease.lostSince });
    }
    return (await this.keep(ask, old, grant)) ? { ...grant, version: old + 1 } : this.find(ask, version);
  }

  /** Writes the pair, again and again while Postgres is away: it stands nowhere else. */
  private async keep(ask: TokenAsk, version: number, grant: Grant): Promise<boolean> {
    const { pool, key, storeMs } = this.options;
    const at = tokenKey(key, ask);
    const since = Date.now();
    for (let waitMs = 50; ; waitMs = Math.min(waitMs * 2, longestStoreWaitMs)) {
      try {
        return await storeToken(pool, key, at, version, grant);
      } catch (error) {
        const until = this.closedAt === undefined ? since + storeMs : Math.max(since, this.closedAt) + closingMs;
        if (Date.now() >= until) throw error;
      }
      await delay(waitMs);
    }
  }

  private read(ask: TokenAsk): Promise<TokenRow | null> {
    const { pool, key, refusedMs } = this.options;
    return readToken(pool, key, tokenKey(key, ask), refusedMs);
  }
}

interface Lease {
  holder: string;
  lostSince: Date | null;
}

function isGood(ask: TokenAsk, held: Held, above: number): boolean {
  return held.version > above && !isDue(ask, held);
}

/** Whether the platform may have made a pair although none came here: no answer, a 5xx of a gateway, a cut answer. */
function mayHaveAnswered(error: unknown): boolean {
  return error instanceof SyncError && (error.type === 'Unavailable' || error.type === 'BadAnswer');
}

/** Waits for work that is not ended by the one who waits. */
function abandonable<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}
