import type { Account } from './account.ts';
import type { Faults } from './faults.ts';
import type { Fixture } from './fixture.ts';
import type { Jobs } from './jobs.ts';
import type { RateLimits } from './limits.ts';
import type { Requests } from './requests.ts';
import type { TokenDesk } from './tokens.ts';

/** Everything that an answer depends on. */
export interface Served {
  fixture: Fixture;
  /** The base address; empty until the server listens. */
  url: string;
  tokens: TokenDesk;
  limits: RateLimits;
  faults: Faults;
  requests: Requests;
  /** Data calls seen, for `repeated`. */
  seen: Set<string>;
  jobs: Jobs;
  latencyMs: number;
  now(): number;
  /** @throws Refusal for an account the platform does not know */
  account(name: string): Account;
}
