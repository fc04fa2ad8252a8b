import { randomBytes } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { Agent } from 'undici';
import { copyRows } from '../../db/stage.ts';
import { type StripeProcess, startStripeProcess } from '../../sandbox/process.ts';
import { connectClient } from '../../workers/temporal.ts';
import { openRig, type Rig } from './rig.ts';
import { runPeers } from './stripe.peers.ts';
import type { Figures } from './table.ts';

type Case = (figures: Figures, name: string) => Promise<void>;

const pageRows = 100;
const limit = { account: 100, endpoint: 25 };
const unlimited = 100_000;

/** Backfills with the goals of the issue. Every case but the live ones copies customers alone. */
const backfills = {
  'backfill,customers=20000,latency=0': {
    customers: 20_000,
    latencyMs: 0,
    limited: false,
    spread: 'even',
    goal: null,
    peers: true,
  },
  'backfill,customers=20000,latency=100,rps=25': {
    customers: 20_000,
    latencyMs: 100,
    limited: true,
    spread: 'even',
    goal: 0.9,
    peers: false,
  },
  'backfill,customers=20000,latency=100,rps=25,clustered': {
    customers: 20_000,
    latencyMs: 100,
    limited: true,
    spread: 'clustered',
    goal: 0.9,
    peers: false,
  },
  'backfill,customers=200000,latency=100,rps=25': {
    customers: 200_000,
    latencyMs: 100,
    limited: true,
    spread: 'even',
    goal: 0.96,
    peers: false,
  },
  'backfill,customers=200000,latency=100,rps=25,clustered': {
    customers: 200_000,
    latencyMs: 100,
    limited: true,
    spread: 'clustered',
    goal: 0.96,
    peers: false,
  },
} as const;

export const stripeCases: Record<string, Case> = {
  ...Object.fromEntries(
    Object.entries(backfills).map(([name, load]) => [
      name,
      (figures: Figures, of: string) => backfill(figures, of, load),
    ]),
  ),
  'live,latency=0': (figures, name) => live(figures, name, 0),
  'live,latency=100': (figures, name) => live(figures, name, 100),
  'wait,latency=100': wait,
};

type Load = (typeof backfills)[keyof typeof backfills];

async function backfill(figures: Figures, name: string, load: Load): Promise<void> {
  const { customers, latencyMs, limited, spread, goal, peers } = load;
  const source = await startStripeProcess({ counts: { customers }, latencyMs, spread, limits: limited ? limit : null });
  const rig = await openRig({ SYNCLINE_POOL_SIZE: '40' });
  try {
    const bound = limited ? limit.endpoint * pageRows : await bareRead(rig, source, customers);
    const before = await source.requests();
    const connection = await connect(
      rig,
      source,
      limited ? { requestsPerSecond: limit.account } : { requestsPerSecond: 10_000, endpointRequestsPerSecond: 10_000 },
    );
    const { seconds } = await rig.runType('stripeSync', { connection, follow: false }, []);
    const after = await source.requests();
    await expectRows(rig, connection, customers);
    const speed = customers / seconds;
    figures.add(name, 'limit_rows_per_s', bound, '');
    figures.add(name, 'rows_per_s', speed, '');
    figures.add(name, 'ratio_to_limit', speed / bound, '', goal === null ? {} : { atLeast: goal });
    figures.add(name, 'requests_per_page', (after.total - before.total) / (customers / pageRows), '');
    figures.add(name, 'refused', after.refused - before.refused, '', { atMost: (after.total - before.total) / 1_000 });
    figures.add(name, 'worker_rss_mb', rig.rssMb(), 'MB', { atMost: 300 });
    if (peers) {
      const others = await runPeers(rig, source, customers);
      for (const [engine, rate] of others) figures.add(name, `rows_per_s_${engine}`, rate, '');
      const best = Math.max(...others.values());
      if (others.size > 0) figures.add(name, 'ratio_to_best_peer', speed / best, '', { atLeast: 3 });
    }
  } finally {
    await rig.close();
    await source.stop();
  }
}

/** Changes that need no second read, a hundred a second: from the change at the source to the row that others can read. */
async function live(figures: Figures, name: string, latencyMs: number): Promise<void> {
  const source = await startStripeProcess({ counts: { customers: 20_000 }, latencyMs, shuffled: false });
  const rig = await openRig({ SYNCLINE_POOL_SIZE: '40' });
  const changes = 100;
  const seconds = 30;
  try {
    const connection = await connect(rig, source, {
      requestsPerSecond: unlimited / 10,
      endpointRequestsPerSecond: unlimited / 10,
    });
    const stop = await startFollowing(rig, connection);
    // A backfilled row whose event is of the same seconds is read again: they are left behind.
    await delay(8_000);
    await rig.pool.query(`
      CREATE TABLE landed (id text, version int);
      CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO landed VALUES (NEW.id, (NEW.data->>'balance')::int); RETURN NULL; END $$;
      CREATE TRIGGER note AFTER INSERT OR UPDATE ON stripe.customers FOR EACH ROW EXECUTE FUNCTION note()`);
    const before = await source.requests();
    await source.pace('customers', changes);
    const seen = new Map<string, number>();
    const until = Date.now() + seconds * 1_000;
    const look = async () => {
      const { rows } = await rig.pool.query('DELETE FROM landed RETURNING id, version');
      const now = Date.now();
      for (const { id, version } of rows) if (!seen.has(`${id} ${version}`)) seen.set(`${id} ${version}`, now);
    };
    while (Date.now() < until) {
      await look();
      await delay(3);
    }
    const told = await source.paced();
    const last = Date.now() + 5_000;
    while (seen.size < told.length && Date.now() < last) {
      await look();
      await delay(3);
    }
    const after = await source.requests();
    await stop();
    const waits = told.flatMap(({ id, version, atMs }) => {
      const at = seen.get(`${id} ${version}`);
      return at === undefined ? [] : [at - atMs];
    });
    if (waits.length !== told.length)
      throw new Error(`${told.length - waits.length} of ${told.length} changes did not come: no figure is given`);
    const goals = latencyMs === 0 ? [{ atMost: 350 }, { atMost: 1_000 }] : [{}, {}];
    figures.add(name, 'event_to_row_p50_ms', quantile(waits, 0.5), 'ms', goals[0]);
    figures.add(name, 'event_to_row_p99_ms', quantile(waits, 0.99), 'ms', goals[1]);
    figures.add(name, 'changes_per_s', told.length / seconds, '');
    figures.add(name, 'requests_per_s', (after.total - before.total) / seconds, '');
    figures.add(name, 'worker_rss_mb', rig.rssMb(), 'MB', { atMost: 300 });
  } finally {
    await rig.close();
    await source.stop();
  }
}

/** How long a caller waits for an object of his, in round trips of the source. */
async function wait(figures: Figures, name: string): Promise<void> {
  const source = await startStripeProcess({ counts: { customers: 2_000 }, latencyMs: 100 });
  const [port, token] = [await freePort(), randomBytes(16).toString('hex')];
  const rig = await openRig({ SYNCLINE_POOL_SIZE: '40', SYNCLINE_API_PORT: String(port), SYNCLINE_API_TOKEN: token });
  const agent = new Agent({ connections: 4 });
  try {
    const connection = await connect(rig, source, { requestsPerSecond: 100, endpointRequestsPerSecond: 25, share: 1 });
    const stop = await startFollowing(rig, connection);
    const ids = await source.ids('customers', 60);
    const timed = async (origin: string, path: string, authorization: string) => {
      const began = performance.now();
      const answer = await agent.request({ origin, path, method: 'GET', headers: { authorization } });
      const text = await answer.body.text();
      if (answer.statusCode !== 200) throw new Error(`${path} answered ${answer.statusCode}: ${text}`);
      return performance.now() - began;
    };
    const trips: number[] = [];
    const waits: number[] = [];
    for (const id of ids) {
      trips.push(await timed(source.url, `/v1/customers/${id}`, `Bearer ${source.key}`));
      await source.update('customers', id);
      waits.push(await timed(`http://127.0.0.1:${port}`, `/wait/${connection}?object=${id}`, `Bearer ${token}`));
    }
    await stop();
    const trip = quantile(trips, 0.5);
    figures.add(name, 'source_round_trip_ms', trip, 'ms');
    figures.add(name, 'wait_p50_round_trips', quantile(waits, 0.5) / trip, '', { atMost: 2 });
    figures.add(name, 'wait_p99_round_trips', quantile(waits, 0.99) / trip, '');
  } finally {
    await agent.close();
    await rig.close();
    await source.stop();
  }
}

const connect = (rig: Rig, source: StripeProcess, options: Record<string, unknown>) =>
  rig.connect('stripe', source.url, source.key, { types: ['customers'], share: 1, ...options });

/** Starts a run and waits until it follows the feed; gives what cancels it. */
async function startFollowing(rig: Rig, connection: string): Promise<() => Promise<void>> {
  const client = await connectClient(rig.servers.temporal);
  const handle = await client.workflow.start('stripeSync', {
    args: [{ connection }],
    taskQueue: 'syncline',
    workflowId: `bench-${randomBytes(6).toString('hex')}`,
  });
  while ((await handle.query<{ phase: string }>('progress')).phase !== 'follow') await delay(100);
  return async () => {
    await handle.cancel();
    await handle.result().catch(() => undefined);
    await client.connection.close();
  };
}

/** A benchmark of a sync that lost rows is no benchmark. */
async function expectRows(rig: Rig, connection: string, customers: number): Promise<void> {
  const { rows } = await rig.pool.query(
    'SELECT count(*)::int AS n FROM stripe.customers WHERE connection_id = $1 AND deleted_at IS NULL',
    [connection],
  );
  if (rows[0].n !== customers)
    throw new Error(`The copy holds ${rows[0].n} of ${customers} customers: no figure is given`);
}

/** The physical limit: the same pages, four lists of equal spans side by side, parsed and copied into an unlogged table. */
async function bareRead(rig: Rig, source: StripeProcess, customers: number): Promise<number> {
  const lanes = 4;
  const agent = new Agent({ connections: lanes });
  await rig.pool.query('DROP TABLE IF EXISTS bare_rows; CREATE UNLOGGED TABLE bare_rows (id text, data jsonb)');
  const client = await rig.pool.connect();
  let writing: Promise<void> = Promise.resolve();
  let rows = 0;
  const now = Math.floor(Date.now() / 1_000) + 10;
  const span = (30 * 86_400 + 20) / lanes;
  const began = performance.now();
  const lane = async (i: number) => {
    const [from, to] = [Math.floor(now - (i + 1) * span), Math.floor(now - i * span)];
    let after = '';
    for (;;) {
      const path = `/v1/customers?limit=${pageRows}&created[gte]=${from}&created[lt]=${to}${after && `&starting_after=${after}`}`;
      const answer = await agent.request({
        origin: source.url,
        path,
        method: 'GET',
        headers: { authorization: `Bearer ${source.key}` },
      });
      const { data, has_more } = (await answer.body.json()) as { data: { id: string }[]; has_more: boolean };
      rows += data.length;
      const before = writing;
      writing = before.then(() =>
        copyRows(
          client,
          'bare_rows',
          ['id', 'data'],
          data.map((one) => [one.id, JSON.stringify(one)]),
        ),
      );
      await before;
      if (!has_more) return;
      after = data.at(-1)?.id ?? '';
    }
  };
  await Promise.all(Array.from({ length: lanes }, (_, i) => lane(i)));
  await writing;
  client.release();
  await agent.close();
  if (rows !== customers) throw new Error(`The bare read met ${rows} of ${customers} customers`);
  return customers / ((performance.now() - began) / 1_000);
}

const quantile = (values: readonly number[], share: number) =>
  [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * share))] as number;

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready));
  const { port } = server.address() as AddressInfo;
  await new Promise((done) => server.close(done));
  return port;
}
