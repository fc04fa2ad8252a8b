import * as v from 'valibot';
import { Account } from './platform/account.ts';
import { type Fault, Faults } from './platform/faults.ts';
import type { Fixture, Lists, SandboxLimits } from './platform/fixture.ts';
import { Jobs } from './platform/jobs.ts';
import { RateLimits } from './platform/limits.ts';
import { Refusal } from './platform/refusal.ts';
import { noRequests, type Requests } from './platform/requests.ts';
import type { Served } from './platform/served.ts';
import { close, listen } from './platform/server.ts';
import { TokenDesk } from './platform/tokens.ts';

export type { Account, Truth } from './platform/account.ts';
export type { Fault } from './platform/faults.ts';
export type { Fixture, SandboxLimits } from './platform/fixture.ts';
export type { List, Row } from './platform/list.ts';
export type { Requests } from './platform/requests.ts';

/** How a simulated platform is filled, and how it differs from others of its kind. */
export interface PlatformSandboxOptions {
  /** Records of the account `main`, for the lists that take them all; others take their share. 0 to 2,000,000. Default 200. */
  rows?: number;
  /** More accounts, with their rows. */
  accounts?: Record<string, number>;
  /** Time over which changes lie, back from the start, ms. Default 30 days. */
  spanMs?: number;
  /** `clustered`: 99 % of the records in 1 % of the time. Default `even`. */
  spread?: 'even' | 'clustered';
  /** Waits this long before every answer, ms. Default 0. */
  latencyMs?: number;
  /** Rate limits instead of all of the fixture's, also those of single APIs; `none`: no limit. */
  limits?: SandboxLimits | 'none';
  /** Ways in which it misbehaves from the first request on. Default none. */
  faults?: Fault[];
  /** The platform's clock, ms since 1970. Default: the computer's. */
  now?: () => number;
}

/** What a connection to an account says. */
export interface SandboxConnection {
  platform: string;
  baseUrl: string;
  /** Fields; a connection keeps them as one JSON text. */
  credential: Record<string, string>;
  options: Record<string, string>;
}

/** A running platform. */
export interface PlatformSandbox {
  /** The base, such as `http://127.0.0.1:40123`. */
  readonly url: string;
  readonly requests: Requests;
  readonly tokens: TokenDesk;
  /** Lists of the account `main`: create, update and remove records while it runs. */
  readonly lists: Lists;
  /** What a connection says; each call gives a consent of its own. Default account `main`. */
  connection(account?: string): SandboxConnection;
  /** @throws RangeError for an account that was not named in the options */
  account(name: string): Account;
  /** What `main` holds for a stream, by the key the connector builds. */
  truth: Account['truth'];
  /** Replaces all faults, with fresh counts; `[]` ends them. @throws RangeError for an unknown type. */
  setFaults(faults: Fault[]): void;
  /** Closes the port and every socket. Calling it again does nothing. */
  stop(): Promise<void>;
  /** Listens on the same port again, after closing every socket. Records, tokens, faults and counts stay. */
  restart(): Promise<void>;
}

const whole = (from: number, to: number) => v.pipe(v.number(), v.integer(), v.minValue(from), v.maxValue(to));
const rate = v.strictObject({ requests: v.number(), perMs: v.number(), burst: v.optional(v.number()) });
const rates = v.optional(v.array(rate));

const schema = v.strictObject({
  rows: v.optional(whole(0, 2_000_000), 200),
  accounts: v.optional(v.record(v.string(), whole(0, 2_000_000)), {}),
  spanMs: v.optional(whole(60_000, 10 * 366 * 86_400_000), 30 * 86_400_000),
  spread: v.optional(v.picklist(['even', 'clustered']), 'even'),
  latencyMs: v.optional(whole(0, 600_000), 0),
  limits: v.optional(
    v.union([
      v.literal('none'),
      v.strictObject({
        platform: rates,
        connection: rates,
        accounts: v.optional(v.record(v.string(), v.array(rate))),
      }),
    ]),
  ),
  faults: v.optional(v.array(v.custom<Fault>((value) => typeof value === 'object' && value !== null)), []),
  now: v.optional(
    v.custom<() => number>((value) => typeof value === 'function'),
    () => Date.now,
  ),
});

function readOptions(fixture: Fixture, options: PlatformSandboxOptions): v.InferOutput<typeof schema> {
  const read = v.safeParse(schema, options);
  if (read.success) return read.output;
  const faults = read.issues.map((issue) => `${v.getDotPath(issue) ?? 'options'}: ${issue.message}`);
  throw new RangeError(`${fixture.platform} sandbox: ${faults.join('; ')}`);
}

/** Starts a platform on a free loopback port. @throws RangeError that names the option, for a value out of bounds. */
export async function startPlatformSandbox(
  fixture: Fixture,
  options: PlatformSandboxOptions = {},
): Promise<PlatformSandbox> {
  const read = readOptions(fixture, options);
  const { now, latencyMs } = read;
  const wanted: Record<string, number> = { main: read.rows, ...read.accounts };
  const accounts = new Map(
    Object.entries(wanted).map(([name, rows]) => [name, new Account(name, fixture, { ...read, rows })]),
  );
  const served: Served = {
    fixture: read.limits === undefined ? fixture : withoutApiLimits(fixture),
    url: '',
    tokens: new TokenDesk(fixture.tokens ?? { lifeMs: 0 }, now),
    limits: new RateLimits(read.limits === 'none' ? {} : (read.limits ?? fixture.limits)),
    faults: new Faults(read.faults),
    requests: noRequests(),
    seen: new Set(),
    jobs: new Jobs(),
    latencyMs,
    now,
    account: (name) => {
      const found = accounts.get(name);
      if (!found) throw new Refusal('permission', 'account');
      return found;
    },
  };
  let running: Awaited<ReturnType<typeof listen>> | undefined = await listen(served, 0);
  const { port } = running;
  served.url = `http://127.0.0.1:${port}`;
  const account = (name: string) => {
    const found = accounts.get(name);
    if (!found)
      throw new RangeError(`${fixture.platform} sandbox: no account ${name}; accounts: ${[...accounts.keys()]}`);
    return found;
  };
  const stop = async () => {
    const open = running;
    running = undefined;
    if (open) await close(open.server);
  };
  return {
    url: served.url,
    requests: served.requests,
    tokens: served.tokens,
    lists: account('main').lists,
    account,
    truth: (stream) => account('main').truth(stream),
    connection: (name = 'main') => ({
      platform: fixture.platform,
      baseUrl: served.url,
      ...fixture.connect(account(name).name, served.tokens),
    }),
    setFaults: (faults) => {
      served.faults = new Faults(faults);
    },
    stop,
    restart: async () => {
      await stop();
      running = await listen(served, port);
    },
  };
}

function withoutApiLimits(fixture: Fixture): Fixture {
  const apis = Object.entries(fixture.apis).map(([name, { limits: _limits, ...api }]) => [name, api]);
  return { ...fixture, apis: Object.fromEntries(apis) };
}
