import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { ClientConnectConfig } from '@temporalio/envconfig';
import * as v from 'valibot';
import { readTemporal, shorten } from './config.temporal.ts';
import { defaultDataDir } from './embedded/places.ts';

export type Environment = Record<string, string | undefined>;

/** The variables of this process, for `connect --credential-env NAME`, which reads one that a person names. */
export const environment = (): Environment => process.env;

export type LogLevel = 'TRACE' | 'DEBUG' | 'INFO' | 'WARN' | 'ERROR';

/** Everything that can be set from outside. Built once at the start and handed on; no other file reads the environment. */
export interface Config {
  /** Postgres to land in; without it, one is started beside the worker. */
  databaseUrl?: string;
  /** 32 bytes that encrypt credentials and cursors at rest. */
  secretKey?: Buffer;
  /** How to reach the Temporal server that was named; without it, one is started beside the worker. */
  temporal?: ClientConnectConfig['connectionOptions'];
  namespace: string;
  taskQueue: string;
  /** Postgres connections of one worker. */
  poolSize: number;
  /** Activities that one worker runs at once; at least two connections less than the pool, for the worker's own queries. */
  activitySlots: number;
  /** Followers that one worker runs at once: one a connection. Each holds a database connection for moments only. */
  liveSlots: number;
  /** TCP port of `/healthz`; 0 takes a free one; absent: not served. */
  healthPort?: number;
  /** TCP port of the metrics of Temporal's SDK, on `apiHost`; absent: not served. */
  metricsPort?: number;
  /** TCP port of the HTTP interface (workers/api.ts); 0 takes a free one; absent: not served. */
  apiPort?: number;
  /** Address it listens on. */
  apiHost: string;
  /** Bearer token that its callers show. Present whenever `apiPort` is. */
  apiToken?: string;
  /** Workflow code that was bundled ahead; absent: bundled when the worker starts, which costs a second and 75 MB. */
  workflowBundle?: string;
  /** Module of connectors of your own, absolute. */
  connectors?: string;
  logLevel: LogLevel;
  /** Absolute folder where the servers that are started here keep their data. */
  dataDir: string;
  /** Where to look for the `temporal` and `go` programs. */
  programFolders: string[];
}

interface Variable {
  /** Completes "accepted: …" in an error, and describes the variable in the reference. */
  accepted: string;
  /** Used when the variable is absent or empty; a text where the default depends on something. */
  default: string | number;
  /** Errors tell the length of such a value, never the value. */
  secret?: boolean;
  schema: v.GenericSchema<string, unknown>;
}

const whole = (min: number, max: number) =>
  v.pipe(v.string(), v.regex(/^\d{1,9}$/), v.transform(Number), v.minValue(min), v.maxValue(max));
const name = v.pipe(v.string(), v.regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$/));
const postgresUrl = (text: string) =>
  URL.canParse(text) && /^postgres(ql)?:$/.test(new URL(text).protocol) && new URL(text).hostname !== '';
const levels = ['TRACE', 'DEBUG', 'INFO', 'WARN', 'ERROR'] as const;
const level = v.pipe(v.string(), v.toUpperCase(), v.picklist(levels));

/** Every variable that is ours. An empty value counts as absent, since compose files write `${NAME:-}`. */
export const variables = {
  DATABASE_URL: {
    accepted: 'postgres://user:password@host:5432/database, PostgreSQL 15 or newer',
    default: 'a server started beside the worker',
    secret: true,
    schema: v.pipe(v.string(), v.check(postgresUrl)),
  },
  SYNCLINE_SECRET_KEY: {
    accepted: '32 random bytes as base64 or hex, such as "openssl rand -base64 32" prints',
    default: 'none',
    secret: true,
    schema: v.pipe(v.string(), v.transform(keyBytes), v.custom<Buffer>(Buffer.isBuffer)),
  },
  SYNCLINE_TASK_QUEUE: {
    accepted: 'a name of 1 to 200 letters, digits, ".", "_", "-"',
    default: 'syncline',
    schema: name,
  },
  SYNCLINE_POOL_SIZE: { accepted: 'a whole number from 4 to 200', default: 20, schema: whole(4, 200) },
  SYNCLINE_ACTIVITY_SLOTS: {
    accepted: 'a whole number from 1 to SYNCLINE_POOL_SIZE - 2',
    default: 'SYNCLINE_POOL_SIZE - 4, but at least 1',
    schema: whole(1, 198),
  },
  SYNCLINE_LIVE_SLOTS: { accepted: 'a whole number from 1 to 1000', default: 20, schema: whole(1, 1_000) },
  SYNCLINE_HEALTH_PORT: {
    accepted: 'a TCP port from 0 (a free one) to 65535',
    default: 'off',
    schema: whole(0, 65_535),
  },
  SYNCLINE_METRICS_PORT: {
    accepted:
      'a TCP port from 1 to 65535, for the metrics of Temporal about this worker (slots, latencies), without a token',
    default: 'off',
    schema: whole(1, 65_535),
  },
  SYNCLINE_API_PORT: {
    accepted: 'a TCP port from 0 (a free one) to 65535; with it SYNCLINE_API_TOKEN',
    default: 'off',
    schema: whole(0, 65_535),
  },
  SYNCLINE_API_HOST: {
    accepted: 'an address to listen on, such as 0.0.0.0 inside a container',
    default: '127.0.0.1',
    schema: v.pipe(v.string(), v.regex(/^[0-9A-Za-z.:_-]{1,253}$/)),
  },
  SYNCLINE_API_TOKEN: {
    accepted: 'at least 16 characters without spaces, such as "openssl rand -hex 32" prints',
    default: 'none',
    secret: true,
    schema: v.pipe(v.string(), v.regex(/^[\x21-\x7e]{16,500}$/)),
  },
  SYNCLINE_WORKFLOW_BUNDLE: {
    accepted: 'a file that "npm run build" made',
    default: 'bundled when the worker starts',
    schema: v.pipe(
      v.string(),
      v.check((path: string) => existsSync(path)),
    ),
  },
  SYNCLINE_CONNECTORS: {
    accepted: 'a module that exports connectors, each under its platform name (docs/connectors.md)',
    default: 'none but those listed by "npx syncline connectors"',
    schema: v.pipe(
      v.string(),
      v.check((path: string) => existsSync(path)),
    ),
  },
  SYNCLINE_LOG_LEVEL: {
    accepted: levels.join(', '),
    default: 'INFO' as LogLevel,
    schema: level,
  },
  SYNCLINE_DATA_DIR: {
    accepted: 'a folder; as root, one that other users can reach',
    default: '.syncline in the checkout',
    schema: v.string(),
  },
} satisfies Record<string, Variable>;

type Name = keyof typeof variables;
type Value<N extends Name> = v.InferOutput<(typeof variables)[N]['schema']>;

/** One or more settings are wrong; the message has a line for each: variable, value got, values accepted. */
export class ConfigError extends Error {
  override name = 'ConfigError';
  readonly problems: string[];
  constructor(problems: string[]) {
    super(`The configuration cannot be used:\n${problems.map((line) => `  ${line}`).join('\n')}`);
    this.problems = problems;
  }
}

/** Reads and checks the whole configuration. Throws `ConfigError` with all problems at once. */
export function loadConfig(env: Environment = process.env): Config {
  const problems: string[] = [];
  const read = <N extends Name>(key: N): Value<N> | undefined => {
    const text = env[key]?.trim();
    if (!text) return undefined;
    const result = v.safeParse(variables[key].schema, text);
    if (result.success) return result.output as Value<N>;
    problems.push(problem(key, text));
    return undefined;
  };
  const poolSize = read('SYNCLINE_POOL_SIZE') ?? variables.SYNCLINE_POOL_SIZE.default;
  const activitySlots = read('SYNCLINE_ACTIVITY_SLOTS') ?? Math.max(1, poolSize - 4);
  if (activitySlots > poolSize - 2) problems.push(problem('SYNCLINE_ACTIVITY_SLOTS', String(activitySlots), poolSize));
  const bundle = read('SYNCLINE_WORKFLOW_BUNDLE');
  const [apiPort, apiToken] = [read('SYNCLINE_API_PORT'), read('SYNCLINE_API_TOKEN')];
  if (apiPort !== undefined && apiToken === undefined && !env.SYNCLINE_API_TOKEN?.trim())
    problems.push(`SYNCLINE_API_TOKEN: got nothing; accepted: ${variables.SYNCLINE_API_TOKEN.accepted}`);
  const connectors = read('SYNCLINE_CONNECTORS');
  const config: Config = {
    databaseUrl: read('DATABASE_URL'),
    secretKey: read('SYNCLINE_SECRET_KEY'),
    ...readTemporal(env, problems),
    taskQueue: read('SYNCLINE_TASK_QUEUE') ?? variables.SYNCLINE_TASK_QUEUE.default,
    poolSize,
    activitySlots,
    liveSlots: read('SYNCLINE_LIVE_SLOTS') ?? variables.SYNCLINE_LIVE_SLOTS.default,
    healthPort: read('SYNCLINE_HEALTH_PORT'),
    metricsPort: read('SYNCLINE_METRICS_PORT'),
    apiPort,
    apiHost: read('SYNCLINE_API_HOST') ?? variables.SYNCLINE_API_HOST.default,
    apiToken,
    workflowBundle: bundle && resolve(bundle),
    connectors: connectors && resolve(connectors),
    logLevel: read('SYNCLINE_LOG_LEVEL') ?? variables.SYNCLINE_LOG_LEVEL.default,
    dataDir: resolve(read('SYNCLINE_DATA_DIR') ?? defaultDataDir()),
    programFolders: programFolders(env),
  };
  if (problems.length > 0) throw new ConfigError(problems);
  return config;
}

/**
 * Where the `temporal` and `go` programs may be: PATH first, then the places where Go and Temporal's installer put
 * programs and which often are not on PATH.
 */
export function programFolders(env: Environment = process.env): string[] {
  const home = env.HOME;
  const folders = [
    ...(env.PATH ?? '').split(':'),
    env.GOBIN,
    ...(env.GOPATH ?? '').split(':').map((path) => path && join(path, 'bin')),
  ];
  if (home) folders.push(join(home, 'go', 'bin'), join(home, '.temporalio', 'bin'));
  return [...new Set(folders.filter((folder): folder is string => Boolean(folder)))];
}

function problem(key: Name, got: string, poolSize?: number): string {
  const variable: Variable = variables[key];
  const shown = variable.secret ? shape(got) : `"${shorten(got)}"`;
  const accepted =
    poolSize === undefined ? variable.accepted : `a whole number from 1 to ${poolSize - 2} (SYNCLINE_POOL_SIZE - 2)`;
  return `${key}: got ${shown}; accepted: ${accepted}; default: ${variable.default}`;
}

function shape(secret: string): string {
  const scheme = /^[a-z][a-z0-9+.-]*:\/\//i.exec(secret)?.[0];
  return `a text of ${secret.length} characters${scheme ? ` that begins with ${scheme}` : ''}`;
}

function keyBytes(text: string): Buffer | undefined {
  if (/^[0-9a-f]{64}$/i.test(text)) return Buffer.from(text, 'hex');
  const bytes = Buffer.from(text, 'base64');
  return /^[A-Za-z0-9+/]{43}=?$/.test(text) && bytes.length === 32 ? bytes : undefined;
}
