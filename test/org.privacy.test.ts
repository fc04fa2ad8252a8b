import { describe, expect, inject, it } from 'vitest';
import type { Fault, ScimSandbox } from '../sandbox/scim.ts';
import { changeForEveryStep } from './harness/every-step.ts';
import { historyJson, scan } from './harness/scan.ts';
import { until } from './harness/until.ts';
import { startWorkerProcess } from './harness/worker-process.ts';
import { type Handle, openWorld } from './harness/world.ts';

const world = await openWorld({ worker: false });
const worker = startWorkerProcess({
  servers: world.servers,
  taskQueue: world.config.taskQueue,
  key: world.key,
  bundle: inject('shared').bundle,
  logLevel: 'DEBUG',
});
world.onClose(() => worker.stop());

/** Somebody who cannot be mixed up with anything. */
const person = {
  userName: 'zebediah.quux@whisper.example',
  givenName: 'Zebediahx',
  familyName: 'Quuxington',
  displayName: 'Zebediahx of Quuxington',
  email: 'zq.private@whisper.example',
  phone: '+999 5550199',
  title: 'Chief Whisperer',
  employeeNumber: 'EMP-77123-Z',
};
const unit = 'Department of Quiet Affairs';
const token = 'tok-hunter-zebra-4711';
const password = 'p4ss-of-the-reader';
const echo = `{"detail":"Authorization: Bearer ${token} of ${person.displayName} <${person.email}> was refused"}`;
const databasePassword = decodeURIComponent(new URL(world.servers.databaseUrl).password);

describe('Temporal and the log learn nothing about people', () => {
  it('from a full, an incremental and a dry run', async () => {
    const { name, source } = await seeded();
    await expectSilent(await world.start(name), source);
    changeForEveryStep(source.directory, 1);
    source.directory.editUser(idOf(source), { title: `${person.title} again` });
    const { result } = await expectSilent(await world.start(name), source);
    expect(result).toMatchObject({ outcome: 'applied', users: { added: 3, edited: 6 } });
    await expectSilent(await world.start(name, { mode: 'full', dryRun: true }), source);
    // Three runs, each scanned whole: 7 s alone, over a minute beside others.
  }, 180_000);

  it('while a step is at work, from its heartbeats and last failure', async () => {
    const { name, source } = await seeded();
    source.setFaults([
      { type: 'cutConnection', path: '/Users', times: 1 },
      { type: 'status', status: 503, body: echo, path: '/Groups', times: 1 },
      { type: 'latency', ms: 2_500, path: '/Users', times: 2 },
    ]);
    const { beats, failures } = await expectSilent(await world.start(name), source);
    expect(beats, 'heartbeat details were looked at').toBeGreaterThan(0);
    expect(failures, 'last failures were looked at').toBeGreaterThan(0);
  });

  it('from records that are handed back', async () => {
    const { name, source } = await seeded();
    const [one, two, three] = source.directory.userIds() as [string, string, string];
    source.setFaults([
      { type: 'raw', id: one, json: JSON.stringify({ id: one, ...person, userName: `${person.userName}\u0000` }) },
      { type: 'raw', id: two, json: JSON.stringify({ id: two, userName: person.userName.repeat(20) }) },
      { type: 'raw', id: three, json: JSON.stringify({ userName: person.userName, displayName: person.displayName }) },
    ]);
    const { result } = await expectSilent(await world.start(name), source);
    expect(result).toMatchObject({ outcome: 'applied', users: { rejected: expect.any(Number) } });
    const { rows } = await world.pool.query('SELECT reason FROM syncline.rejects WHERE connection_id = $1', [name]);
    expect(rows.map((r) => r.reason)).toEqual(
      expect.arrayContaining(['control_character', 'too_long', 'missing_field']),
    );
  });

  it('from a name that somebody else holds', async () => {
    const first = await seeded({ tenant: 'quiet' });
    await world.run(first.name);
    const second = await seeded({ tenant: 'quiet' }, 2);
    const { result } = await expectSilent(await world.start(second.name), second.source);
    expect(result).toMatchObject({ outcome: 'applied', users: { conflicts: expect.any(Number) } });
    expect(result!.users!.conflicts).toBeGreaterThan(0);
  });

  it('from a password or a name in the address', async () => {
    const { source } = await seeded();
    const address = new URL(source.url);
    address.username = 'reader';
    address.password = password;
    const name = await world.connect({
      platform: 'scim',
      baseUrl: address.href,
      credential: token,
      options: { userFilter: `userName eq "${person.userName}"` },
    });
    source.setFaults([{ type: 'status', status: 404, path: '/Users' }]);
    const { failure } = await expectSilent(await world.start(name), source);
    expect(failure).toBe('BadAnswer');
    source.setFaults([
      { type: 'totalLies', total: 7, path: '/Users' },
      { type: 'noPermission', path: '/Users' },
    ]);
    await expectSilent(await world.start(name), source);
  });

  it('from a row that Postgres refuses', async () => {
    await world.pool.query(`ALTER TABLE org.users ADD CONSTRAINT whisper CHECK (title <> '${person.title}') NOT VALID`);
    try {
      const { name, source } = await seeded();
      const { failure } = await expectSilent(await world.start(name), source);
      expect(failure).toBe('DataRefused');
    } finally {
      await world.pool.query('ALTER TABLE org.users DROP CONSTRAINT whisper');
    }
  });

  const bodies: [string, Fault, string][] = [
    ['a refused credential', { type: 'status', status: 401, body: echo }, 'Unauthorized'],
    ['a missing right', { type: 'status', status: 403, body: echo }, 'Forbidden'],
    ['a refused request', { type: 'status', status: 400, body: echo }, 'BadAnswer'],
    ['an address that is none', { type: 'status', status: 404, body: echo }, 'BadAnswer'],
    [
      'a page that is no JSON',
      { type: 'status', status: 200, body: `Dear ${person.displayName}, sign in` },
      'BadAnswer',
    ],
    ['a page that is cut', { type: 'truncatedJson' }, 'BadAnswer'],
  ];
  // Side by side: each is tried three times and starts over, with pauses in between.
  describe.concurrent('from an answer that stands for', () => {
    it.each(bodies)('%s', async (_what, fault, type) => {
      const { name, source } = await seeded();
      source.setFaults([{ ...fault, path: '/Users' } as Fault]);
      const { failure } = await expectSilent(await world.start(name), source);
      expect(failure).toBe(type);
    });
  });

  it('from a run that waits for an answer', async () => {
    const { name, source } = await seeded();
    await world.run(name);
    const mine = idOf(source);
    source.directory.removeUsers(
      source.directory
        .userIds()
        .filter((id) => id !== mine)
        .slice(0, 50),
    );
    const run = await world.start(name);
    const watching = expectSilent(run, source);
    const parked = await until(
      'a parked run',
      async () => (await run.query<{ parked: { digest: string } | null }>('progress')).parked,
    );
    await run.executeUpdate('approve', { args: [{ digest: parked.digest }] });
    expect((await watching).result).toMatchObject({ outcome: 'applied', users: { deleted: 50 } });
  });

  it('from a run for one person but the id that the operator typed', async () => {
    const { name, source } = await seeded();
    await world.run(name);
    const user = idOf(source);
    source.directory.editUser(user, { title: 'Whisperer' });
    const { result } = await expectSilent(await world.start(name, { only: { user } }), source, [user]);
    expect(result).toMatchObject({ outcome: 'applied', users: { edited: 1 } });
  });
});

describe('the scanner', () => {
  it('finds a name in a real history, a log line, an escaped address, a nested payload and a failure', async () => {
    const { name } = await seeded();
    const run = await world.start(name, { only: { user: person.userName } });
    await expect(run.result(), "a user name is nobody's id").rejects.toThrow();
    const found = scan(historyJson(await run.fetchHistory()), [person.userName]);
    expect(found.map((f) => f.at)).toContainEqual(
      expect.stringContaining('workflowExecutionStartedEventAttributes.input'),
    );
    const base64 = Buffer.from(JSON.stringify({ inner: JSON.stringify({ who: person.email }) })).toString('base64');
    const planted: Record<string, unknown> = {
      log: `2026 [WARN] addUsers: ${person.email.toUpperCase()} {`,
      escaped: `http://127.0.0.1/Users?filter=${encodeURIComponent(`email eq "${person.email}"`)}`,
      payload: { payloads: [{ data: base64 }] },
      bytes: { payloads: [{ data: Buffer.from(JSON.stringify([person.email])) }] },
      key: { [person.email]: 1 },
    };
    for (const [what, value] of Object.entries(planted)) expect(scan(value, [person.email]), what).not.toEqual([]);
    expect(scan(planted, [password])).toEqual([]);
  });
});

/** A directory of 60 in which one person and one unit have names of their own. */
async function seeded(connection: Record<string, unknown> = {}, seed = 1) {
  const { name, source } = await world.scim({ users: 60, groups: 14, depth: 3, token, seed }, connection);
  const [, group] = source.directory.groupIds() as [string, string];
  source.directory.renameGroup(group, unit);
  source.directory.addUser(person, [group]);
  return { name, source };
}

const idOf = (source: ScimSandbox) =>
  source.directory.id('User', source.directory.findByUserName(person.userName)!.serial);

/** Everything that must not be seen: the seeded texts, every name, address and phone of the directory, every source id. */
function secretsOf({ directory }: ScimSandbox, allowed: string[]): string[] {
  const people = directory.userIds().flatMap((id) => {
    const { userName, email, phone, displayName } = directory.fields(directory.findPerson(id)!);
    return [id, userName, email, phone, displayName];
  });
  const texts = [...Object.values(person), unit, token, password, databasePassword, ...people, ...directory.groupIds()];
  return texts.filter((text): text is string => text != null && !allowed.includes(text));
}

/** The log is looked at once, so that one leak fails one test. */
let logSeen = 0;

/** Follows a run to its end, looks at all that Temporal keeps or shows of it and at the worker's log, and finds no secret. */
async function expectSilent(run: Handle, source: ScimSandbox, allowed: string[] = []) {
  const secrets = secretsOf(source, allowed);
  const seen: Record<string, unknown> = {};
  let beats = 0;
  let failures = 0;
  await until('the end of a run', async () => {
    const { raw, status } = await run.describe();
    const pending = raw.pendingActivities ?? [];
    beats += pending.filter((a) => a.heartbeatDetails).length;
    failures += pending.filter((a) => a.lastFailure).length;
    if (pending.some((a) => a.heartbeatDetails || a.lastFailure)) seen[`pending ${beats} ${failures}`] = pending;
    return status.name !== 'RUNNING';
  });
  const outcome = await run.result().then(
    (result) => ({ result, failure: undefined }),
    (error: Error) => ({ result: undefined, failure: (error.cause as { type?: string } | undefined)?.type }),
  );
  const { raw } = await run.describe();
  const execution = { workflowId: run.workflowId };
  const query = { queryType: '__temporal_workflow_metadata' };
  const { queryResult } = await world.client.workflowService.queryWorkflow({
    namespace: world.servers.temporal.namespace,
    execution,
    query,
  });
  const details = Buffer.from(queryResult!.payloads![0]!.data!).toString();
  expect(details, 'the current details were looked at').toContain('orgSync');
  Object.assign(seen, {
    history: historyJson(await run.fetchHistory()),
    description: raw,
    details,
    progress: await run.query('progress'),
    outcome,
    log: worker.output().slice(logSeen),
  });
  logSeen = worker.output().length;
  expect(scan(seen, secrets)).toEqual([]);
  return { ...outcome, beats, failures };
}
