import pg from 'pg';

/** Source or workflow details never reach the database's log: only this name does. */
const maxNameLength = 63;

export interface PoolOptions {
  url: string;
  /** Connections at most. Default 20. */
  size?: number;
  /** What pg_stat_activity shows before an activity gives its own name. */
  name?: string;
  /** True: statements that write are refused by the server. For databases that are not ours. Default false. */
  readOnly?: boolean;
  /** Called when an idle connection breaks (server restarted). Without a listener node-postgres ends the process. */
  onError?: (error: Error) => void;
}

/**
 * Pool with the settings every room counts on. `statement_timeout` (2 minutes) bounds a chunk; plans raise it for
 * themselves. `client_connection_check_interval` ends a query whose worker was killed: without it a plan was seen to
 * run on for 8 minutes after its client. `idle_in_transaction_session_timeout` (1 minute) frees the claim that a frozen
 * worker holds inside a transaction. Named statements are planned each time (0.1 to 1 ms): a plan that was kept from when
 * a table was empty read 60,000 rows whole for each of 1,000 users, and sent 2,300 rows/s instead of 15,000.
 */
export function createPool(options: PoolOptions): pg.Pool {
  const pool = new pg.Pool({
    connectionString: options.url,
    max: options.size ?? 20,
    application_name: (options.name ?? 'syncline').slice(0, maxNameLength),
    connectionTimeoutMillis: 15_000,
    idleTimeoutMillis: 30_000,
    options: `-c statement_timeout=120000 -c idle_in_transaction_session_timeout=60000 -c client_connection_check_interval=2000 -c jit=off -c plan_cache_mode=force_custom_plan${
      options.readOnly ? ' -c default_transaction_read_only=on' : ''
    }`,
  });
  pool.on('error', options.onError ?? (() => undefined));
  return pool;
}

export type Pool = pg.Pool;
export type Client = pg.PoolClient;

export interface TransactionOptions {
  /** Shown in pg_stat_activity while it runs, e.g. `addUsers acme`. */
  name: string;
  /** False lets the server flush the commit later (the caller commits durably afterwards). Default true. */
  durable?: boolean;
  /** Sorts and hashes of whole lists: work_mem 128 MB, 15 minutes instead of 2, parallel workers. Default false. */
  heavy?: boolean;
  /** Settings of this transaction alone, as SQL: they go with its first statement, without a round trip of their own. */
  settings?: string;
  /** A query that goes with it too, behind the settings; `work` is given its result. */
  first?: string;
}

/**
 * Memory and time for sorts and hashes of whole lists, and rows of parallel workers at a twentieth of their usual price: the
 * planner expects that all rows of a comparison come out, where few do. 300,000 people: 0.35 s instead of 0.54 s.
 */
const heavily = [
  `SET LOCAL work_mem = '128MB'`,
  `SET LOCAL statement_timeout = '15min'`,
  'SET LOCAL parallel_tuple_cost = 0.005',
];

/** Runs `work` in one transaction on one connection; rolls back and rethrows what it throws. */
export async function transaction<T>(
  pool: Pool,
  options: TransactionOptions,
  work: (client: Client, first: pg.QueryResult) => Promise<T>,
): Promise<T> {
  const client = await pool.connect();
  let broken: Error | undefined;
  // pg-pool takes its own listener away at checkout: a connection that breaks between two statements would end the process.
  const onError = (error: Error) => {
    broken = error;
  };
  client.on('error', onError);
  try {
    const settings = [
      `SET LOCAL application_name = ${pg.escapeLiteral(`syncline ${options.name}`.slice(0, maxNameLength))}`,
    ];
    if (options.durable === false) settings.push('SET LOCAL synchronous_commit = off');
    if (options.heavy) settings.push(...heavily);
    if (options.settings !== undefined) settings.push(options.settings);
    if (options.first !== undefined) settings.push(options.first);
    // Of several statements as many results come.
    const results = await client.query(`BEGIN; ${settings.join('; ')}`);
    const result = await work(client, (results as unknown as pg.QueryResult[]).at(-1)!);
    await client.query('COMMIT');
    return result;
  } catch (error) {
    broken ??= await client.query('ROLLBACK').then(
      () => undefined,
      (rollbackError: Error) => rollbackError,
    );
    throw error;
  } finally {
    client.off('error', onError);
    client.release(broken);
  }
}
