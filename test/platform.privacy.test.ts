import type { WorkflowHandle } from '@temporalio/client';
import { describe, expect, inject, it } from 'vitest';
import { kuaishou } from '../sandbox/kuaishou.ts';
import type { Fault, PlatformSandboxOptions } from '../sandbox/platform.ts';
import { streamSyncId } from '../workflows/platform.ts';
import { openShop, type Shop } from './harness/platforms.ts';
import { historyJson, scan } from './harness/scan.ts';
import { until } from './harness/until.ts';
import { startWorkerProcess } from './harness/worker-process.ts';
import { openWorld } from './harness/world.ts';

const world = await openWorld({ worker: false });
const { servers, key, config } = world;
const { bundle } = inject('shared');
const worker = startWorkerProcess({ servers, key, bundle, taskQueue: config.taskQueue, logLevel: 'DEBUG' });
world.onClose(() => worker.stop());

/** Somebody who cannot be mixed up with anything. */
const person = {
  name: 'Zebediahx Quuxington',
  address: '77123 Whisper Lane, Quietville',
  mobile: '+999 5550199',
  note: 'leave it with Zebediahx',
};
const streams = ['orders', 'comments', 'items', 'order_details'];
const orders = 'open.order.cursor.list';
const comments = 'open.comment.list.get';
const databasePassword = decodeURIComponent(new URL(servers.databaseUrl).password);
const echo = JSON.stringify({ result: 7, error_msg: `refused for ${person.name}, ${person.address}`, data: person });

/** A shop in which one person bought, wrote a comment and has an item named after them. */
async function seeded(faults: Fault[] = [], sandbox: PlatformSandboxOptions = {}): Promise<Shop> {
  const shop = await openShop(world, kuaishou, { rows: 400, faults, ...sandbox });
  const at = Date.now() - 60_000;
  for (const list of ['orders', 'comments', 'items']) {
    const { [list]: rows } = shop.source.lists;
    rows?.update(rows.ids()[0] as string, { ...person, content: person.note, title: person.name }, at);
  }
  return shop;
}

/** Everything that must not be seen: the person, the ids of their records, the credential, tokens, cursors. */
async function secretsOf({ name, source }: Shop): Promise<string[]> {
  const ids = ['orders', 'comments', 'items'].flatMap((list) => source.lists[list]?.ids().slice(0, 2) ?? []);
  const { credential } = source.connection();
  const { rows } = await world.pool.query(
    `SELECT cursor #>> '{state,at}' AS at FROM syncline.slices s JOIN syncline.passes p ON p.id = s.pass_id
     WHERE p.connection_id = $1 AND length(cursor #>> '{state,at}') > 8`,
    [name],
  );
  const { appSecret, signSecret } = credential;
  const known = [
    ...Object.values(person),
    ...ids,
    appSecret,
    signSecret,
    databasePassword,
    ...rows.map(({ at }) => at),
  ];
  return known.filter((text): text is string => text !== undefined);
}

/** Tokens as they stood in the answers that the sandbox gave; kept by its desk alone. */
function watchTokens({ source }: Shop): string[] {
  const given: string[] = [];
  const { tokens } = source;
  const refresh = tokens.refresh.bind(tokens);
  tokens.refresh = (old, ...rest) => {
    const pair = refresh(old, ...rest);
    given.push(old, pair.access, pair.refresh);
    return pair;
  };
  return given;
}

let logSeen = 0;

/** Follows a run and its streams to their ends, and finds no secret in anything that Temporal keeps or the worker's log says. */
async function expectSilent(shop: Shop, given: readonly string[], start: () => Promise<WorkflowHandle>) {
  const run = await start();
  const handles = [run, ...streams.map((one) => world.client.workflow.getHandle(streamSyncId(run.workflowId, one)))];
  const seen: Record<string, unknown> = {};
  const secrets = new Set<string>();
  let [beats, failures] = [0, 0];
  await until('the end of a run', async () => {
    for (const text of await secretsOf(shop)) secrets.add(text);
    for (const handle of handles) {
      const raw = (await described(handle))?.raw;
      const pending = raw?.pendingActivities ?? [];
      beats += pending.filter((one) => one.heartbeatDetails).length;
      failures += pending.filter((one) => one.lastFailure).length;
      if (pending.length > 0) seen[`pending ${handle.workflowId} ${beats} ${failures}`] = pending;
    }
    return (await run.describe()).status.name !== 'RUNNING';
  });
  const outcome = await run.result().catch((error: Error) => ({ error: error.message, cause: error.cause }));
  for (const handle of handles) {
    const description = await described(handle);
    if (!description) continue;
    Object.assign(seen, {
      [`${handle.workflowId} history`]: historyJson(await handle.fetchHistory()),
      [`${handle.workflowId} description`]: description.raw,
      [`${handle.workflowId} progress`]: await handle.query('progress'),
      [`${handle.workflowId} details`]: await detailsOf(handle),
    });
  }
  const log = worker.output().slice(logSeen);
  logSeen = worker.output().length;
  expect(scan({ ...seen, outcome, log }, [...secrets, ...given])).toEqual([]);
  return { outcome, beats, failures, log, secrets: [...secrets] };
}

/** Nothing of a stream that was not started. */
const described = (handle: WorkflowHandle) => handle.describe().catch(() => undefined);

async function detailsOf({ workflowId }: WorkflowHandle): Promise<string> {
  const { queryResult } = await world.client.workflowService.queryWorkflow({
    namespace: servers.temporal.namespace,
    execution: { workflowId },
    query: { queryType: '__temporal_workflow_metadata' },
  });
  return Buffer.from(queryResult?.payloads?.[0]?.data ?? '').toString();
}

describe('Temporal and the log learn nothing about people, secrets and places in lists', () => {
  it('from a run with slow answers, ended tokens, limits and broken transport', async () => {
    const faults: Fault[] = [
      { type: 'slow', ms: 1_500, api: orders, after: 20, times: 2 },
      { type: 'expire', api: orders, after: 5, times: 1 },
      { type: 'status', status: 503, body: echo, api: comments, after: 1, times: 1 },
      { type: 'cut', api: orders, after: 30, times: 2 },
      { type: '429', seconds: 1, api: 'open.item.list.get', times: 1 },
    ];
    const shop = await seeded(faults, { rows: 2_000, latencyMs: 60 });
    const given = watchTokens(shop);
    const { outcome, beats, secrets } = await expectSilent(shop, given, () =>
      shop.start({ streams: streams.slice(0, 3) }),
    );
    expect(outcome).toMatchObject({ outcome: 'whole' });
    expect(beats, 'heartbeat details were looked at').toBeGreaterThan(0);
    expect(given.length, 'tokens were given').toBeGreaterThan(5);
    const places = secrets.filter((text) => /^\d+:\d+:\d+:0$/.test(Buffer.from(text, 'base64url').toString()));
    expect(places.length, 'cursors were looked for').toBeGreaterThan(0);
    await expectSilent(shop, given, () => shop.start({ streams: streams.slice(0, 3) }));
  });

  it('from records that are set aside, and tried again', async () => {
    const shop = await seeded();
    const { orders: list } = shop.source.lists;
    list?.update(list.ids()[0] as string, { status: `paid by ${person.name}` }, Date.now() - 60_000);
    list?.update(list.ids()[1] as string, { orderNote: `${person.note}\u0000` }, Date.now() - 60_000);
    await expectSilent(shop, [], () => shop.start({ streams: ['orders'] }));
    const { rows } = await world.pool.query('SELECT reason FROM syncline.rejects WHERE connection_id = $1', [
      shop.name,
    ]);
    expect(rows.map(({ reason }) => reason).sort()).toEqual(['control_character', 'wrong_type']);
    const input = { connection: shop.name, stream: 'orders', rejects: true };
    await expectSilent(shop, [], () =>
      world.client.workflow.start('replayWindow', {
        args: [input],
        taskQueue: config.taskQueue,
        workflowId: `again-${config.taskQueue}`,
      }),
    );
  });

  it('from a database that refuses a row and quotes it', async () => {
    const shop = await seeded();
    await expectSilent(shop, [], () => shop.start({ streams: ['orders'] }));
    await world.pool.query(
      `ALTER TABLE kuaishou.orders ADD CONSTRAINT whisper CHECK (data->>'note' IS DISTINCT FROM 'moved') NOT VALID`,
    );
    const { orders: list } = shop.source.lists;
    list?.update(list.ids()[0] as string, { note: 'moved' }, Date.now() - 60_000);
    const { outcome } = await expectSilent(shop, [], () => shop.start({ streams: ['orders'] }));
    await world.pool.query('ALTER TABLE kuaishou.orders DROP CONSTRAINT whisper');
    expect(JSON.stringify(outcome)).toContain('SQLSTATE 23514');
  });

  it.each<[string, Fault, string]>([
    ['a refused credential', { type: 'refuse', kind: 'consent' }, 'Unauthorized'],
    ['a missing right', { type: 'refuse', kind: 'permission' }, 'Forbidden'],
    ['a refused request', { type: 'status', status: 400, body: echo }, 'BadAnswer'],
    ['an address that is none', { type: 'status', status: 404, body: echo }, 'BadAnswer'],
    ['an envelope of another kind', { type: 'status', status: 200, body: echo }, 'BadAnswer'],
    ['a page that is no JSON', { type: 'status', status: 200, body: `Dear ${person.name}` }, 'BadAnswer'],
    ['a page that is cut', { type: 'truncated' }, 'BadAnswer'],
    ['a page for people', { type: 'html' }, 'BadAnswer'],
  ])('from an answer that stands for %s', async (_, fault, type) => {
    const shop = await seeded([fault]);
    const { outcome } = await expectSilent(shop, watchTokens(shop), () => shop.start({ streams: ['orders'] }));
    expect(JSON.stringify(outcome)).toContain(type);
  });
});

it('the scanner finds what is planted: a stream that was typed, in the history, the failure and the log', async () => {
  const shop = await seeded();
  const planted = 'zebediahx_quuxington';
  const run = await shop.start({ streams: [planted] });
  const failure = await run.result().catch((error: Error) => error.cause as Error);
  const history = historyJson(await run.fetchHistory());
  await until('the log', async () => worker.output().includes(planted));
  const places = scan({ history, failure: (failure as Error).message, log: worker.output() }, [planted]).map(
    ({ at }) => at,
  );
  expect(places).toContainEqual(expect.stringContaining('workflowExecutionStartedEventAttributes.input'));
  expect(places).toEqual(expect.arrayContaining(['failure', 'log']));
});
