import type { WorkflowHandle } from '@temporalio/client';
import { describe, expect, inject, it } from 'vitest';
import type { HubspotFault } from '../sandbox/hubspot.ts';
import { type Crm, type CrmOptions, openCrm } from './harness/crm.ts';
import { historyJson, scan } from './harness/scan.ts';
import { until } from './harness/until.ts';
import { startWorkerProcess } from './harness/worker-process.ts';
import { openWorld } from './harness/world.ts';

const world = await openWorld({ worker: false });
const { servers, key, config } = world;
const worker = startWorkerProcess({
  servers,
  key,
  bundle: inject('shared').bundle,
  taskQueue: config.taskQueue,
  logLevel: 'DEBUG',
});
world.onClose(() => worker.stop());

/** Somebody who cannot be mixed up with anything. */
const person = {
  id: '770055123',
  name: 'Zebediahx Quuxington',
  email: 'zebediahx@whisper.example',
  plan: 'quuxplan',
  note: 'leave it with Zebediahx',
};
const echo = {
  status: 'error',
  category: 'VALIDATION_ERROR',
  message: `Property values were not valid: [{"isValid":false,"message":"${person.name} is odd","error":"ODD","name":"firstname"}]`,
};

/** An account and users, one of whom is that person. */
async function seeded(faults: HubspotFault[] = [], given: CrmOptions = {}): Promise<Crm> {
  const crm = await openCrm(world, {
    users: 250,
    ...given,
    sandbox: { faults, ...given.sandbox },
    options: { callsPerWindow: 10_000, inFlight: 1, ...given.options },
  });
  await crm.sql(
    `UPDATE users SET id = ${person.id}, name = '${person.name}', email = '${person.email}', note = '${person.note}' WHERE id = 7`,
  );
  return crm;
}

let logSeen = 0;

/** Follows a run to its end, and finds no secret in anything that Temporal keeps or the worker's log says. */
async function expectSilent({ source, start, schema }: Crm, given: readonly string[] = []) {
  const secrets = [...Object.values(person), source.token, ...given, `${schema}.users`, 'app_user_id', 'SELECT'];
  const run = await start();
  const seen: Record<string, unknown> = {};
  let beats = 0;
  await until('the end of a run', async () => {
    const { status, raw } = await run.describe();
    const pending = raw.pendingActivities ?? [];
    beats += pending.filter((one) => one.heartbeatDetails).length;
    if (pending.length > 0) seen[`pending ${beats} ${JSON.stringify(pending).length}`] = pending;
    return status.name !== 'RUNNING';
  });
  const outcome = await run.result().catch((error: Error) => ({ error: error.message, cause: error.cause }));
  Object.assign(seen, {
    history: historyJson(await run.fetchHistory()),
    description: (await run.describe()).raw,
    progress: await run.query('progress'),
    details: await detailsOf(run),
  });
  const log = worker.output().slice(logSeen);
  logSeen = worker.output().length;
  expect(scan({ ...seen, outcome, log }, secrets)).toEqual([]);
  return { outcome, beats };
}

async function detailsOf({ workflowId }: WorkflowHandle): Promise<string> {
  const { queryResult } = await world.client.workflowService.queryWorkflow({
    namespace: servers.temporal.namespace,
    execution: { workflowId },
    query: { queryType: '__temporal_workflow_metadata' },
  });
  return Buffer.from(queryResult?.payloads?.[0]?.data ?? '').toString();
}

describe('Temporal and the log learn nothing about people, values and secrets', () => {
  it('from a run that is slow, unanswered, limited, and has bad rows', async () => {
    const crm = await seeded([
      { type: 'slow', ms: 1_500, times: 1 },
      { type: 'silent', applied: true, times: 1 },
      { type: 'status', status: 400, body: echo, times: 1 },
      { type: 'rate', policy: 'SECONDLY', times: 1 },
      { type: 'status', status: 503, body: { message: person.note }, times: 1 },
    ]);
    await crm.sql(`UPDATE users SET plan = '${person.plan}' WHERE id = ${person.id} OR id = 9`);
    const { outcome, beats } = await expectSilent(crm);
    expect(outcome).toMatchObject({ outcome: 'partial' });
    expect(beats, 'heartbeats were looked at').toBeGreaterThan(0);
    const parked = await crm.parked();
    expect(parked.has(person.id), 'the person is one of those set aside').toBe(true);
  });

  it.each<[string, HubspotFault, string]>([
    ['a refused credential', { type: 'status', status: 401, body: echo }, 'Unauthorized'],
    ['a missing right', { type: 'status', status: 403, body: echo }, 'Forbidden'],
    ['an answer of another kind', { type: 'status', status: 404, body: echo }, 'BadAnswer'],
    ['a login page', { type: 'html' }, 'BadAnswer'],
    ['answers without a word about any row', { type: 'empty' }, 'BadAnswer'],
    [
      'refusals that name nobody',
      { type: 'status', status: 400, body: { ...echo, message: `refused for ${person.name}` } },
      'IsolationSpent',
    ],
  ])('from %s', async (_, fault, type) => {
    const { outcome } = await expectSilent(await seeded([fault], { options: { isolationCalls: 4 } }));
    expect(JSON.stringify(outcome)).toContain(type);
  });

  it('from a mapping that Postgres refuses, and from one that fails for a value', async () => {
    const wrong = await seeded([], {
      capture: false,
      mapping: { properties: { firstname: { sql: `u.nothing || '${person.note}'`, type: 'string' } }, tables: {} },
    });
    expect(JSON.stringify((await expectSilent(wrong)).outcome)).toContain('InvalidInput');
    const failing = await seeded([], {
      mapping: { properties: { app_orders: { sql: 'u.name::int', type: 'number' } }, tables: {} },
      options: { rejectPercent: 100 },
    });
    expect((await expectSilent(failing)).outcome).toMatchObject({ refusedHere: 250 });
  });

  it('from the tokens of an app', async () => {
    const crm = await seeded([], { key: false });
    crm.source.expireTokens();
    const { rows } = await world.pool.query('SELECT credential FROM syncline.connections WHERE id = $1', [crm.name]);
    expect(rows[0].credential.toString()).not.toContain('refreshToken');
    expect((await expectSilent(crm, ['refreshToken', 'clientSecret'])).outcome).toMatchObject({ outcome: 'whole' });
  });
});
