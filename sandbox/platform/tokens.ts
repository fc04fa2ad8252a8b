import { createHash } from 'node:crypto';
import { Refusal } from './refusal.ts';

export interface TokenRules {
  /** Life of an access token, ms. */
  lifeMs: number;
  /** Life of a refresh token, ms; absent: none are issued. */
  refreshLifeMs?: number;
  /** A refresh gives a new refresh token and ends the old one. Default true. */
  rotates?: boolean;
  /** The new refresh token ends when the first one would have. Default false. */
  inherits?: boolean;
  /** How long the old refresh token still works after a rotation, ms. Default 0. */
  graceMs?: number;
  /** Access tokens from before a refresh stay good until their end. Default true. */
  oldAccess?: boolean;
}

export interface Issued {
  access: string;
  refresh: string;
  /** Life that is left, ms. */
  lifeMs: number;
  refreshLifeMs: number;
}

interface Token {
  account: string;
  endsAt: number;
}

/** Issues, ends and rotates the tokens of every account. Each name is fresh and the same in every run. */
export class TokenDesk {
  /** Tokens handed out so far, and refreshes among them. */
  readonly counts = { issued: 0, refreshed: 0, refused: 0 };
  readonly #rules: TokenRules;
  readonly #now: () => number;
  readonly #access = new Map<string, Token>();
  readonly #refresh = new Map<string, Token>();
  readonly #fresh = new Map<string, Issued & { endsAt: number }>();

  constructor(rules: TokenRules, now: () => number) {
    this.#rules = rules;
    this.#now = now;
  }

  /** A new pair for an account. `refreshEndsAt` keeps an older deadline, ms since 1970. */
  issue(account: string, refreshEndsAt?: number): Issued {
    this.counts.issued += 1;
    const now = this.#now();
    const { lifeMs, refreshLifeMs = 0 } = this.#rules;
    const ends = refreshEndsAt ?? now + refreshLifeMs;
    const access = this.#name('access', account);
    const refresh = this.#name('refresh', account);
    if (this.#rules.oldAccess === false) this.expire(account);
    this.#access.set(access, { account, endsAt: now + lifeMs });
    if (refreshLifeMs > 0) this.#refresh.set(refresh, { account, endsAt: ends });
    const issued = { access, refresh, lifeMs, refreshLifeMs: ends - now };
    this.#fresh.set(account, { ...issued, endsAt: now + lifeMs });
    return issued;
  }

  /** The pair issued last while more than `leftMs` of it are left, else a new one: platforms that repeat their token. */
  same(account: string, leftMs: number): Issued {
    const last = this.#fresh.get(account);
    const left = (this.#access.get(last?.access ?? '')?.endsAt ?? 0) - this.#now();
    return last && left > leftMs ? { ...last, lifeMs: left } : this.issue(account);
  }

  /** Changes a refresh token for a pair. @throws Refusal `consent` for one that is used up, ended or unknown. */
  refresh(token: string): Issued {
    const now = this.#now();
    const known = this.#refresh.get(token);
    if (!known || known.endsAt <= now) {
      this.counts.refused += 1;
      throw new Refusal('consent', known ? 'ended' : 'unknown');
    }
    this.counts.refreshed += 1;
    const issued = this.issue(known.account, this.#rules.inherits ? known.endsAt : undefined);
    if (this.#rules.rotates === false) {
      this.#refresh.delete(issued.refresh);
      return { ...issued, refresh: token, refreshLifeMs: known.endsAt - now };
    }
    this.#refresh.set(token, { ...known, endsAt: Math.min(known.endsAt, now + (this.#rules.graceMs ?? 0)) });
    return issued;
  }

  /** Account of an access token. @throws Refusal `token` for an unknown one, `expired` for an ended one. */
  account(access: string | undefined): string {
    const known = access ? this.#access.get(access) : undefined;
    if (!known) throw new Refusal('token', access ? 'unknown' : 'missing');
    if (known.endsAt <= this.#now()) throw new Refusal('expired');
    return known.account;
  }

  /** Ends one access token, or every one of an account. */
  expire(accessOrAccount: string): void {
    const now = this.#now();
    for (const [name, token] of this.#access) {
      if (name === accessOrAccount || token.account === accessOrAccount) token.endsAt = Math.min(token.endsAt, now);
    }
  }

  /** Ends every refresh token of an account, as a merchant who withdraws the consent does. */
  withdraw(account: string): void {
    for (const [name, token] of this.#refresh) if (token.account === account) this.#refresh.delete(name);
    this.expire(account);
  }

  #name(kind: string, account: string): string {
    return createHash('sha256').update(`${kind}:${account}:${this.counts.issued}`).digest('hex').slice(0, 32);
  }
}
