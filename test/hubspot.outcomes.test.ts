import { describe, expect, test } from 'vitest';
import type { HubspotProgress } from '../workflows/hubspot.view.ts';
import { type Crm, type CrmOptions, openCrm } from './harness/crm.ts';
import { failureOfRun } from './harness/platforms.ts';
import { until } from './harness/until.ts';
import { openWorld } from './harness/world.ts';

const world = await openWorld();
/** Nobody refuses by a limit here. */
const fast = { callsPerWindow: 10_000 };
const open = (given: CrmOptions = {}) => openCrm(world, { ...given, options: { ...fast, ...given.options } });

/** Batch calls that came so far. */
const batches = ({ source }: Crm) =>
  ['upsert', 'create', 'update', 'archive'].reduce((sum, name) => sum + (source.calls.byName[name] ?? 0), 0);
const contact = (crm: Crm, key: string) => crm.source.contacts.seen('app_user_id').get(key);

// The third, 60,000 rows dirtied by one UPDATE on a small heap, stands in hubspot.heap.test.ts.
describe('pitfalls', () => {
  test('a date is midnight UTC of its calendar day, a datetime the moment in milliseconds, wherever the process and the session are', async () => {
    const mapping = (schema: string) => ({
      properties: {
        app_signed_up: { sql: 'u.signed_up', type: 'date' },
        app_seen_at: { sql: 'u.seen_at', type: 'datetime' },
        app_note: { sql: 'u.note', type: 'string' },
      },
      tables: {},
      from: `${schema}.users`,
    });
    const crm = await open({ users: 2, capture: false });
    const { installCapture } = await import('../db/capture.ts');
    const { storedConnection } = await import('../db/connections.ts');
    const wanted = { ...crm.mapping, ...mapping(crm.schema), columns: [] };
    await crm.options({ mapping: wanted });
    await installCapture(crm.pool, await storedConnection(crm.pool, crm.name), wanted as never);
    await crm.sql(`ALTER DATABASE ${new URL(world.servers.databaseUrl).pathname.slice(1)} SET timezone = 'Asia/Tokyo'`);
    await crm.sql(`UPDATE users SET signed_up = '2026-03-29', seen_at = '2026-03-29 00:30:00.500+09' WHERE id = 1`);
    await crm.sql(`UPDATE users SET signed_up = '1969-12-31', seen_at = '1969-12-31 23:59:59.999Z' WHERE id = 2`);
    expect(await crm.sync()).toMatchObject({ outcome: 'whole', written: 2 });
    const sent = [...crm.source.contacts.all()].map(({ properties }) => [
      properties.app_signed_up,
      properties.app_seen_at,
    ]);
    expect(sent).toEqual([
      [String(Date.UTC(2026, 2, 29)), String(Date.UTC(2026, 2, 28, 15, 30, 0, 500))],
      ['-86400000', '-1'],
    ]);
    expect(contact(crm, '1')).toMatchObject({ app_signed_up: '2026-03-29', app_seen_at: '2026-03-28T15:30:00.500Z' });
  });

  test('one bad row in a batch of 100 is parked alone; the other 99 are written and nothing is sent in a loop', async () => {
    for (const mode of ['trace', 'all-or-nothing'] as const) {
      const crm = await open({ users: 100, sandbox: { mode, rules: { firstname: '^(?!Mallory)' } } });
      await crm.sql(`UPDATE users SET name = 'Mallory' WHERE id = 42`);
      const result = await crm.sync();
      expect(result, mode).toMatchObject({ outcome: 'partial', written: 99, refusedThere: 1 });
      expect(result.calls, mode).toBeLessThanOrEqual(mode === 'trace' ? 1 : 3);
      expect(await crm.parked()).toEqual(new Map([['42', 'validation_rule firstname']]));
      await crm.expectSame(['42']);
      const before = batches(crm);
      expect(await crm.sync()).toMatchObject({ outcome: 'whole', calls: 0 });
      expect(batches(crm), 'the parked row is not sent again').toBe(before);
    }
  });
});

describe('a refused row comes back', () => {
  async function parkedOne(given: CrmOptions = {}) {
    const crm = await open({ users: 10, ...given });
    await crm.sql(`UPDATE users SET plan = 'platinum' WHERE id = 3`);
    expect(await crm.sync()).toMatchObject({ outcome: 'partial', refusedHere: 1, written: 9 });
    expect(await crm.parked()).toEqual(new Map([['3', 'invalid_option app_plan']]));
    return crm;
  }

  test('when its mapped value changes, and not when another column does', async () => {
    const crm = await parkedOne();
    await crm.sql(`UPDATE users SET note = 'x' WHERE id = 3`);
    expect(await crm.sync()).toMatchObject({ looked: 0 });
    await crm.sql(`UPDATE users SET name = name || '!' WHERE id = 3`);
    expect(await crm.sync(), 'still bad').toMatchObject({ looked: 1, refusedHere: 1 });
    await crm.sql(`UPDATE users SET plan = 'team' WHERE id = 3`);
    expect(await crm.sync()).toMatchObject({ outcome: 'whole', written: 1 });
    expect(await crm.parked()).toEqual(new Map());
    await crm.expectSame();
  });

  test('when the catalog of the account gains what it lacked', async () => {
    const crm = await parkedOne();
    crm.source.addOption('app_plan', 'platinum');
    expect(await crm.sync()).toMatchObject({ outcome: 'whole', looked: 1, written: 1 });
    await crm.expectSame();
  });

  test('when the mapping changes', async () => {
    const crm = await parkedOne();
    const mapping = structuredClone(crm.mapping) as { properties: Record<string, { sql: string }> };
    mapping.properties.app_plan!.sql = `CASE u.plan WHEN 'platinum' THEN 'enterprise' ELSE u.plan END`;
    await crm.options({ mapping });
    expect(await crm.sync()).toMatchObject({ outcome: 'whole', written: 1, unchanged: 9 });
    expect(contact(crm, '3')).toMatchObject({ app_plan: 'enterprise' });
  });

  test('when a person asks for it', async () => {
    const crm = await open({ users: 10, sandbox: { rules: { firstname: '^N' } } });
    await crm.sql(`UPDATE users SET name = 'Zoe' WHERE id = 3`);
    expect(await crm.sync()).toMatchObject({ refusedThere: 1 });
    crm.source.contacts.rules.clear();
    expect(await crm.sync(), 'nobody can know that the rule is gone').toMatchObject({ looked: 0 });
    const { releaseParked } = await import('../db/hubspot/syncs.ts');
    expect(await releaseParked(crm.pool, crm.name)).toBe(1);
    expect(await crm.sync()).toMatchObject({ outcome: 'whole', written: 1 });
    expect(await crm.parked()).toEqual(new Map());
  });

  test('an expression that fails for one row sets that row aside alone', async () => {
    const crm = await open({
      users: 300,
      mapping: { properties: { app_orders: { sql: '100 / (u.id - 77)', type: 'number' } }, tables: {} },
    });
    expect(await crm.sync()).toMatchObject({ outcome: 'partial', written: 299, refusedHere: 1 });
    expect(await crm.parked()).toEqual(new Map([['77', 'mapping_failed 22012']]));
  });
});

describe('answers to a batch', () => {
  test('2xx without a word about any row is no success: the rows are sent again, and nobody is lost', async () => {
    const crm = await open({ users: 250, sandbox: { faults: [{ type: 'empty', times: 1 }] } });
    expect(await crm.sync()).toMatchObject({ outcome: 'whole', written: 250, unanswered: 100, calls: 4 });
    await crm.expectSame();
  });

  test('2xx that leaves rows out', async () => {
    const crm = await open({ users: 100, sandbox: { faults: [{ type: 'partial', rows: 7, times: 1 }] } });
    expect(await crm.sync()).toMatchObject({ outcome: 'whole', written: 100, unanswered: 7, calls: 2 });
    await crm.expectSame();
  });

  test('three empty answers in a row end the run and lose nobody', async () => {
    const crm = await open({ users: 400, sandbox: { faults: [{ type: 'empty' }] }, options: { inFlight: 1 } });
    expect(await failureOfRun(crm.sync())).toMatchObject({
      type: 'BadAnswer',
      message: expect.stringContaining('says nothing of any of its 100 rows'),
    });
    crm.source.setFaults([]);
    expect(await crm.sync()).toMatchObject({ outcome: 'whole', written: 400 });
    await crm.expectSame();
  });

  test('a login page is no answer', async () => {
    const crm = await open({ users: 100, sandbox: { faults: [{ type: 'html', times: 1 }] } });
    expect(await crm.sync()).toMatchObject({ outcome: 'whole', written: 100, unanswered: 100 });
  });

  test.each([500, 502, 504, 524])(
    '%i: whether it was applied nobody knows, so the rows wait and are sent again',
    async (status) => {
      const crm = await open({ users: 150, sandbox: { faults: [{ type: 'status', status, times: 1 }] } });
      expect(await crm.sync()).toMatchObject({ outcome: 'whole', written: 150, unanswered: 100, calls: 3 });
      await crm.expectSame();
    },
  );

  test('a connection that ends after the write, and one that ends before it', async () => {
    const crm = await open({
      users: 300,
      sandbox: {
        faults: [
          { type: 'silent', applied: true, times: 1 },
          { type: 'silent', applied: false, times: 1 },
        ],
      },
    });
    expect(await crm.sync()).toMatchObject({ outcome: 'whole', written: 300, unanswered: 200 });
    await crm.expectSame();
  });

  test('an answer that does not come in time', async () => {
    const crm = await open({
      users: 10,
      sandbox: { faults: [{ type: 'hang', times: 1 }] },
      options: { timeoutSeconds: 1 },
    });
    expect(await crm.sync()).toMatchObject({ outcome: 'whole', written: 10, unanswered: 10, calls: 2 });
    await crm.expectSame();
  });

  test('a call that lands late never covers a newer version', async () => {
    const crm = await open({
      users: 1,
      options: { settleSeconds: 3 },
      sandbox: { faults: [{ type: 'silent', applied: false, lateMs: 1_500, times: 1 }] },
    });
    const run = await crm.start();
    await until('the call that lands late', async () => crm.source.calls.byName.upsert);
    await crm.sql(`UPDATE users SET name = 'newer' WHERE id = 1`);
    expect(await run.result()).toMatchObject({ outcome: 'whole', written: 1, unanswered: 1, calls: 2 });
    expect(contact(crm, '1')).toMatchObject({ firstname: 'newer' });
    expect([...crm.source.contacts.all()].map(({ writes }) => writes)).toEqual([2]);
  });

  test('a row that changes during its own send is sent again', async () => {
    const crm = await open({ users: 5, sandbox: { latencyMs: 700 } });
    const run = await crm.start();
    await until('the call', async () => crm.source.calls.byName.upsert);
    await crm.sql(`UPDATE users SET name = 'changed meanwhile' WHERE id = 2`);
    expect(await run.result()).toMatchObject({ outcome: 'whole', written: 6, calls: 2 });
    await crm.expectSame();
  });

  test('423 and 477 wait, 429 of the burst waits for its window, and each is told by its policy', async () => {
    const crm = await open({
      users: 100,
      sandbox: {
        faults: [
          { type: 'status', status: 423, times: 1 },
          { type: 'status', status: 477, headers: { 'retry-after': '1' }, times: 1 },
          { type: 'rate', policy: 'SECONDLY', times: 1 },
          { type: 'rate', policy: 'TEN_SECONDLY_ROLLING', retryAfter: 1, times: 1 },
        ],
      },
    });
    expect(await crm.sync()).toMatchObject({ outcome: 'whole', written: 100, waits: 4, calls: 5 });
    expect(crm.source.calls.byName.upsert).toBe(5);
  });

  test("the daily limit waits for the account's midnight, and the run says so", async () => {
    const crm = await open({
      users: 100,
      sandbox: { faults: [{ type: 'rate', policy: 'DAILY', on: 'upsert' }] },
      options: { timeZone: 'Pacific/Auckland' },
    });
    const run = await crm.start();
    const progress = await until('the wait', async () => {
      const seen = await run.query<HubspotProgress>('progress').catch(() => undefined);
      return seen && seen.notes.length > 0 ? seen : undefined;
    });
    expect(progress.notes.join()).toMatch(/calls of today are used up .*: until \S+Z$/);
    expect(progress, 'nobody knows how long it goes on behind the wait').toMatchObject({
      dirty: 100,
      etaSeconds: null,
    });
    const end = Date.parse(/until (\S+)$/.exec(progress.notes.join())![1]!);
    const seconds = (end - Date.now()) / 1000;
    const hour = Number(
      new Intl.DateTimeFormat('en', { timeZone: 'Pacific/Auckland', hour: 'numeric', hourCycle: 'h23' }).format(),
    );
    expect(Math.abs(seconds / 3600 - (24 - hour))).toBeLessThanOrEqual(1.01);
    expect(crm.source.calls.byName.upsert, 'no second call').toBe(1);
    await run.cancel();
    await run.result().catch(() => undefined);

    const next = await crm.start();
    const [told] = await until('the wait of the next run', async () => {
      const seen = await next.query<{ notes: string[] }>('progress').catch(() => undefined);
      return seen && seen.notes.length > 0 ? seen.notes : undefined;
    });
    expect(told, 'the next run knows why it waits').toMatch(/calls of today are used up \(daily limit/);
    expect(Math.abs(Date.parse(/until (\S+)$/.exec(told!)![1]!) - end)).toBeLessThan(60_000);
    await next.cancel();
    await next.result().catch(() => undefined);
  });

  test('the daily limit that a run meets before its first row is called so', async () => {
    const crm = await open({ users: 1, sandbox: { faults: [{ type: 'rate', policy: 'DAILY', on: 'properties' }] } });
    const run = await crm.start();
    const [told] = await until('the wait', async () => {
      const seen = await run.query<{ notes: string[] }>('progress').catch(() => undefined);
      return seen && seen.notes.length > 0 ? seen.notes : undefined;
    });
    expect(told).toMatch(/calls of today are used up \(daily limit; .*npx syncline resume c\d+\): until \S+Z$/);
    await run.cancel();
    await run.result().catch(() => undefined);
  });

  test('rows by subtraction where an answer names nobody', async () => {
    const crm = await open({ users: 3, options: { mode: 'update' } });
    crm.source.contacts.upsert({ id: '1', idProperty: 'app_user_id', properties: {} });
    crm.source.contacts.upsert({ id: '3', idProperty: 'app_user_id', properties: {} });
    expect(await crm.sync()).toMatchObject({ outcome: 'whole', written: 2, passed: 1 });
  });
});

describe('trouble of the account or the mapping stops the run and parks nobody', () => {
  test.each<[string, CrmOptions, string, RegExp]>([
    [
      'a wrong token',
      { sandbox: { faults: [{ type: 'status', status: 401 }] } },
      'Unauthorized',
      /refused the credential \(401\).*npx syncline connect c\d+ --credential-env/,
    ],
    [
      'a missing scope',
      { sandbox: { missingScopes: ['crm.objects.contacts.write'] } },
      'Forbidden',
      /it lacks crm\.objects\.contacts\.write/,
    ],
    [
      'a property that went away after the check',
      {
        sandbox: {
          faults: [
            {
              type: 'status',
              status: 400,
              body: {
                status: 'error',
                category: 'VALIDATION_ERROR',
                message:
                  'Property values were not valid: [{"isValid":false,"message":"Property \\"app_plan\\" does not exist","error":"PROPERTY_DOESNT_EXIST","name":"app_plan"}]',
              },
            },
          ],
        },
      },
      'InvalidInput',
      /refused the mapping "app_plan" \(property_doesnt_exist\), which would refuse every row; nobody was parked.*hubspot check/,
    ],
  ])('%s', async (_, given, type, message) => {
    const crm = await open({ users: 300, ...given });
    expect(await failureOfRun(crm.sync())).toMatchObject({ type, message: expect.stringMatching(message) });
    expect(await crm.parked()).toEqual(new Map());
    expect(batches(crm), 'nothing is halved').toBeLessThanOrEqual(8);
  });

  test.each<[string, Record<string, unknown>, RegExp]>([
    [
      'a property that is not there',
      { properties: { app_nothing: { sql: 'u.name', type: 'string' } }, tables: {} },
      /mapping\.properties\.app_nothing: the account has no property "app_nothing".*--create/,
    ],
    [
      'another type',
      { properties: { app_plan: { sql: 'u.plan', type: 'string' } }, tables: {} },
      /mapping\.properties\.app_plan\.type: got "string", accepted "enumeration"/,
    ],
    [
      'a property that HubSpot fills',
      { properties: { createdate: { sql: 'u.seen_at', type: 'datetime' } }, tables: {} },
      /mapping\.properties\.createdate: HubSpot fills "createdate" itself/,
    ],
    [
      'an id without unique values',
      { idProperty: 'app_company' },
      /mapping\.idProperty: got "app_company", accepted email or a property made with unique values/,
    ],
    [
      'a moment for a day, without a zone',
      { properties: { app_signed_up: { sql: 'u.seen_at', type: 'date' } }, tables: {} },
      /a moment becomes a day only in a zone: got none, accepted "zone"/,
    ],
    [
      'a text for a number',
      { properties: { app_orders: { sql: 'u.name', type: 'number' } }, tables: {} },
      /mapping\.properties\.app_orders\.sql: got text for a property of type number, accepted a number/,
    ],
  ])('%s', async (_, mapping, message) => {
    const crm = await open({ users: 3, mapping });
    expect(await failureOfRun(crm.sync())).toMatchObject({
      type: 'InvalidInput',
      message: expect.stringMatching(message),
    });
    expect(batches(crm)).toBe(0);
  });

  test('without the triggers nothing is sent: changes would be lost in silence', async () => {
    const crm = await open({ users: 3, capture: false });
    expect(await failureOfRun(crm.sync())).toMatchObject({
      type: 'InvalidInput',
      message: expect.stringMatching(/Changes are not captured.*npx syncline capture install c\d+/),
    });
  });

  test('more than 5 % bad rows stop the run, counted by rows; a person may let it go on', async () => {
    const crm = await open({ users: 4_000, sandbox: { rules: { firstname: '^(?!Bad)' } } });
    await crm.sql(`UPDATE users SET name = 'Bad' WHERE id % 10 = 0`);
    const failure = await failureOfRun(crm.sync());
    expect(failure).toMatchObject({
      type: 'TooManyRejects',
      message: expect.stringMatching(/^\d+ of \d+ rows were refused \(\d+\.\d %\).*--accept-rejects$/),
    });
    const told = Number(/^\d+/.exec(failure.message));
    expect(told, 'as many as it left behind, those of calls in flight too').toBe((await crm.parked()).size);
    const calls = batches(crm);
    expect(calls, 'it stopped early').toBeLessThan(35);
    expect(await crm.sync({ rejects: 'accept' })).toMatchObject({ outcome: 'partial' });
    const bad = Array.from({ length: 400 }, (_, i) => String((i + 1) * 10));
    expect([...(await crm.parked()).keys()].sort()).toEqual(bad.sort());
    await crm.expectSame(bad);
  });

  test('3 % bad rows with neighbouring keys stop nothing, and neither do they when they come back as bad as they were', async () => {
    const crm = await open({ users: 2_000, sandbox: { rules: { firstname: '^(?!Bad)' } } });
    await crm.sql(`UPDATE users SET name = 'Bad', plan = 'platinum' WHERE id <= 60`);
    crm.source.addOption('app_plan', 'platinum');
    expect(await crm.sync()).toMatchObject({ outcome: 'partial', written: 1_940, refusedThere: 60 });

    const { releaseParked } = await import('../db/hubspot/syncs.ts');
    expect(await releaseParked(crm.pool, crm.name)).toBe(60);
    await crm.sql(`UPDATE users SET name = 'later' WHERE id = 1500`);
    expect(await crm.sync(), 'replayed').toMatchObject({ written: 1, refusedThere: 60, refusedAgain: 60 });

    crm.source.addOption('app_plan', 'gold');
    await crm.sql(`UPDATE users SET name = 'latest' WHERE id = 1500`);
    expect(await crm.sync(), 'the catalog is another').toMatchObject({ written: 1, refusedAgain: 60 });
    expect((await crm.parked()).size).toBe(60);

    await crm.sql(`UPDATE users SET name = 'Bad' WHERE id BETWEEN 1001 AND 1060`);
    await crm.sql(`UPDATE users SET name = 'Bad still' WHERE id <= 60`);
    expect(await failureOfRun(crm.sync()), 'those who were good before').toMatchObject({
      message: expect.stringMatching(/^60 of 120 rows were refused/),
    });
  });

  const unexplained = {
    type: 'status' as const,
    status: 400,
    body: { status: 'error', message: 'Invalid input', category: 'VALIDATION_ERROR' },
  };

  test('a refusal of everybody without a word why parks nobody, and all are sent once it is over', async () => {
    const crm = await open({ users: 300 });
    await crm.sync();
    await crm.sql(`UPDATE users SET name = 'later' WHERE id <= 49`);
    crm.source.setFaults([{ ...unexplained, on: 'upsert' }]);
    expect(await failureOfRun(crm.sync())).toMatchObject({
      type: 'NothingTaken',
      message: expect.stringMatching(/^sendContacts: HubSpot refused rows \(validation_error\), named neither/),
    });
    expect(await crm.parked()).toEqual(new Map());
    crm.source.setFaults([]);
    expect(await crm.sync()).toMatchObject({ outcome: 'whole', written: 49 });
    await crm.expectSame();
  });

  test('what HubSpot took before an account took nothing any more sets nobody aside', async () => {
    const crm = await open({ users: 1_000, options: { inFlight: 2, isolationCalls: 40 } });
    await crm.sync();
    await crm.sql(`UPDATE users SET name = 'later'`);
    crm.source.setFaults([{ ...unexplained, on: 'upsert', after: 5 }]);
    expect(await failureOfRun(crm.sync())).toMatchObject({ type: 'IsolationSpent' });
    expect(await crm.parked()).toEqual(new Map());
    crm.source.setFaults([]);
    expect(await crm.sync()).toMatchObject({ outcome: 'whole', written: 500 });
    await crm.expectSame();
  });

  test('one row that is refused without a word why is parked once HubSpot took another one, or a person has looked', async () => {
    for (const alone of [false, true]) {
      const crm = await open({ users: 20, options: { inFlight: 1 } });
      await crm.sync();
      await crm.sql(`UPDATE users SET name = 'later' WHERE id <= ${alone ? 1 : 5}`);
      // The first row of five is found by three more calls, each of which has it, before any other row is taken.
      crm.source.setFaults([{ ...unexplained, on: 'upsert', times: alone ? 1 : 4 }]);
      if (alone) {
        expect(await failureOfRun(crm.sync())).toMatchObject({ type: 'NothingTaken' });
        crm.source.setFaults([{ ...unexplained, on: 'upsert' }]);
      }
      const result = await crm.sync(alone ? { rejects: 'accept' } : {});
      expect(result).toMatchObject({ outcome: 'partial', written: alone ? 0 : 4, refusedThere: 1 });
      expect(await crm.parked()).toEqual(new Map([['1', 'validation_error']]));
    }
  });

  test('isolation has a budget of its own, and what it found stays found', async () => {
    const crm = await open({
      users: 400,
      sandbox: { mode: 'all-or-nothing', rules: { email: '^(?!odd)' } },
      options: { isolationCalls: 10, inFlight: 1, rejectPercent: 100 },
    });
    // Nothing in the answer names the row: its value is changed on the way.
    crm.source.setFaults([
      {
        type: 'status',
        status: 400,
        body: {
          status: 'error',
          message: 'Invalid input',
          category: 'VALIDATION_ERROR',
          correlationId: 'aeb5f871-7f07-4993-9211-075dc63e7cbf',
        },
        times: 12,
      },
    ]);
    const failure = await failureOfRun(crm.sync());
    expect(failure).toMatchObject({
      type: 'IsolationSpent',
      message: expect.stringMatching(
        /whole batches \(validation_error, correlation id aeb5f871-\S+\) and does not say.* the 10 calls for finding it are used up/,
      ),
    });
    crm.source.setFaults([]);
    expect(await crm.sync()).toMatchObject({ outcome: 'whole' });
    await crm.expectSame();
  });
});

describe('who leaves', () => {
  const leaveAll = async (crm: Crm) => {
    await crm.sync();
    await crm.sql('UPDATE users SET hidden = true WHERE id = 1');
    await crm.sql('DELETE FROM users WHERE id = 2');
    return crm.sync();
  };

  test('stays as he is, where the mapping says leave', async () => {
    const crm = await open({ users: 4 });
    expect(await leaveAll(crm)).toMatchObject({ looked: 2, calls: 0 });
    expect(await crm.difference()).toMatchObject({ extra: ['1', '2'] });
  });

  test('is archived by the mapping or in mode mirror, and comes back', async () => {
    for (const given of [{ mapping: { leave: 'archive' } }, { options: { mode: 'mirror' } }]) {
      const crm = await open({ users: 4, ...given });
      expect(await leaveAll(crm)).toMatchObject({ archived: 2, calls: 1 });
      await crm.expectSame();
      expect(await crm.sync(), 'once').toMatchObject({ calls: 0 });
      await crm.sql('UPDATE users SET hidden = false WHERE id = 1');
      expect(await crm.sync()).toMatchObject({ written: 1 });
      await crm.expectSame();
    }
  });

  test('is told once more, where the mapping says update', async () => {
    const crm = await open({ users: 4, mapping: { leave: 'update', leaveValues: { app_note: 'gone' } } });
    expect(await leaveAll(crm)).toMatchObject({ written: 2, calls: 1 });
    expect(contact(crm, '1')).toMatchObject({ app_note: 'gone', firstname: 'Name 1' });
    expect(contact(crm, '2')).toMatchObject({ app_note: 'gone' });
    expect(contact(crm, '3')).not.toHaveProperty('app_note');
  });

  test('a truncated table is seen', async () => {
    const crm = await open({ users: 30, options: { mode: 'mirror' } });
    await crm.sync();
    await crm.sql('TRUNCATE users');
    expect(await crm.sync()).toMatchObject({ archived: 30 });
    await crm.expectSame();
  });
});

describe('modes', () => {
  test('update never makes a contact, and does not count who is not there as bad', async () => {
    const crm = await open({ users: 200, options: { mode: 'update' } });
    for (const id of ['5', '6']) crm.source.contacts.upsert({ id, idProperty: 'app_user_id', properties: {} });
    expect(await crm.sync()).toMatchObject({ outcome: 'whole', written: 2, passed: 198 });
    expect([...crm.source.contacts.all()]).toHaveLength(2);
    expect(await crm.sync()).toMatchObject({ calls: 0 });
  });

  test.each(['trace', 'all-or-nothing'] as const)('insert never changes a contact (%s)', async (mode) => {
    const crm = await open({ users: 60, options: { mode: 'insert' }, sandbox: { mode } });
    crm.source.contacts.upsert({ id: '7', idProperty: 'app_user_id', properties: { firstname: 'theirs' } });
    expect(await crm.sync()).toMatchObject({ outcome: 'whole', written: 59, passed: 1 });
    await crm.sql(`UPDATE users SET name = 'new'`);
    expect(await crm.sync()).toMatchObject({ calls: 0, unchanged: 60 });
    expect(contact(crm, '7')).toMatchObject({ firstname: 'theirs' });
  });

  test.each(['trace', 'all-or-nothing'] as const)(
    'insert takes no contact of another for its own, which mirror would archive later (%s)',
    async (mode) => {
      const crm = await open({ users: 60, options: { mode: 'insert' }, sandbox: { mode } });
      const foreign = crm.source.contacts.create({ properties: { email: 'user3@example.org', firstname: 'theirs' } });
      crm.source.contacts.upsert({ id: '7', idProperty: 'app_user_id', properties: { firstname: 'theirs' } });
      expect(await crm.sync()).toMatchObject({ outcome: 'partial', written: 58, passed: 1, refusedThere: 1 });
      expect(await crm.parked()).toEqual(new Map([['3', 'conflict']]));
      await crm.options({ mode: 'mirror' });
      await crm.sql('DELETE FROM users WHERE id IN (3, 7)');
      expect(await crm.sync()).toMatchObject({ archived: 1 });
      expect('contact' in foreign && foreign.contact, 'nobody of ours').toMatchObject({
        archived: false,
        properties: { firstname: 'theirs' },
      });
    },
  );

  test('insert makes nobody sure of a contact while HubSpot does not say whose it is', async () => {
    const crm = await open({
      users: 60,
      options: { mode: 'insert' },
      sandbox: { faults: [{ type: 'status', status: 503, on: 'read', times: 1 }] },
    });
    crm.source.contacts.create({ properties: { email: 'user3@example.org' } });
    crm.source.contacts.upsert({ id: '7', idProperty: 'app_user_id', properties: { firstname: 'theirs' } });
    expect(await crm.sync()).toMatchObject({ written: 58, unanswered: 2, passed: 1, refusedThere: 1 });
    expect(await crm.parked()).toEqual(new Map([['3', 'conflict']]));
  });

  test('a full run sends everybody again', async () => {
    const crm = await open({ users: 250 });
    await crm.sync();
    crm.source.contacts.upsert({ id: '9', idProperty: 'app_user_id', properties: { firstname: 'edited at HubSpot' } });
    expect(await crm.sync(), 'nobody tells us').toMatchObject({ calls: 0 });
    await crm.sql(`UPDATE users SET plan = 'platinum' WHERE id = 4`);
    expect(await crm.sync()).toMatchObject({ refusedHere: 1 });
    crm.source.addOption('app_plan', 'platinum');
    expect(await crm.sync({ mode: 'full' })).toMatchObject({ outcome: 'whole', written: 250, calls: 3 });
    expect(await crm.parked()).toEqual(new Map());
    await crm.expectSame();
    expect(await crm.sync()).toMatchObject({ looked: 0 });
  });

  test('keys are walked by their own order and by that of their texts, and none is skipped or met twice', async () => {
    const crm = await open({ users: 0 });
    // 25,000 keys over several pages, in which 9 stands before 10 and '10' before '9'.
    await crm.sql(
      `INSERT INTO users (id, email, name, active) SELECT i, 'k' || i || '@example.org', 'Key', true FROM generate_series(9, 200000, 8) i`,
    );
    expect(await crm.sync()).toMatchObject({ outcome: 'whole', written: 24_999 });
    expect(await crm.sync({ mode: 'full' })).toMatchObject({ marked: 49_998, written: 24_999 });
    expect(
      [...crm.source.contacts.all()].every(({ writes }) => writes === 2),
      'each twice',
    ).toBe(true);
  });

  test('one user, whether anything changed or not', async () => {
    const crm = await open({ users: 5 });
    expect(await crm.sync({ only: { user: '3' } })).toMatchObject({
      outcome: 'whole',
      written: 1,
      looked: 1,
      calls: 1,
    });
    expect(await crm.sync({ only: { user: '3' } })).toMatchObject({ written: 1 });
    expect(await failureOfRun(crm.sync({ only: { user: '99' } }))).toMatchObject({ type: 'InvalidInput' });
    expect(await crm.sync()).toMatchObject({ written: 4, unchanged: 1 });
  });

  test('two users with one mail address as id: the contact belongs to the first, the second is parked', async () => {
    const crm = await open({ users: 4, mapping: { idProperty: 'email' } });
    await crm.sql(`UPDATE users SET email = 'Same@example.org' WHERE id IN (2, 3)`);
    await crm.sql(`UPDATE users SET email = NULL WHERE id = 4`);
    expect(await crm.sync()).toMatchObject({ written: 2, refusedHere: 2 });
    expect(await crm.parked()).toEqual(
      new Map([
        ['3', 'duplicate_id email'],
        ['4', 'missing_id email'],
      ]),
    );
    await crm.sql(`UPDATE users SET email = 'other@example.org' WHERE id = 2`);
    expect(await crm.sync()).toMatchObject({ written: 1 });
    await crm.sql(`UPDATE users SET name = 'again' WHERE id = 3`);
    expect(await crm.sync()).toMatchObject({ written: 1 });
    expect(await crm.parked()).toEqual(new Map([['4', 'missing_id email']]));
  });
});

test('an app token ends and is replaced, and a consent works as a credential', async () => {
  const crm = await open({ users: 150, key: false });
  expect(await crm.sync()).toMatchObject({ outcome: 'whole', written: 150 });
  crm.source.expireTokens();
  await crm.sql(`UPDATE users SET name = 'later'`);
  expect(await crm.sync()).toMatchObject({ outcome: 'whole', written: 150 });
  expect(crm.source.calls.byName.token).toBe(2);
});

test('a token that is not given at once is waited for', async () => {
  const crm = await open({
    users: 5,
    key: false,
    sandbox: { faults: [{ type: 'status', status: 503, on: 'token', times: 1 }] },
  });
  expect(await crm.sync()).toMatchObject({ outcome: 'whole', written: 5 });
  expect(crm.source.calls.byName.token).toBe(2);
});

test.each(['trace', 'all-or-nothing'] as const)(
  'a mail address goes to another user when its owner is archived (%s)',
  async (mode) => {
    const crm = await open({ users: 50, options: { mode: 'mirror' }, sandbox: { mode } });
    await crm.sync();
    await crm.sql(`UPDATE users SET email = (SELECT email FROM users WHERE id = 49) WHERE id = 1`);
    await crm.sql('DELETE FROM users WHERE id = 49');
    expect(await crm.sync()).toMatchObject({ outcome: 'whole', written: 1, archived: 1 });
    await crm.expectSame();
  },
);

test.each(['trace', 'all-or-nothing'] as const)(
  'two users who swap a mail address are both a conflict, and both are written once one is cleared at HubSpot (%s)',
  async (mode) => {
    const crm = await open({ users: 20, sandbox: { mode } });
    await crm.sync();
    await crm.sql(`UPDATE users u SET email = o.email FROM users o WHERE (u.id, o.id) IN ((3, 7), (7, 3))`);
    const swapped = await crm.sync();
    expect(swapped).toMatchObject({ outcome: 'partial', written: 0, refusedThere: 2 });
    const parked = await crm.parked();
    expect([...parked.keys()].sort()).toEqual(['3', '7']);
    for (const code of parked.values()) expect(code).toMatch(/^conflict/);
    expect(contact(crm, '3')?.email, 'nothing is cleared to make room').toBeTruthy();
    crm.source.contacts.upsert({ id: '3', idProperty: 'app_user_id', properties: { email: '' } });
    const { releaseParked } = await import('../db/hubspot/syncs.ts');
    await releaseParked(crm.pool, crm.name);
    expect(await crm.sync()).toMatchObject({ outcome: 'whole', written: 2 });
    expect(await crm.parked()).toEqual(new Map());
    await crm.expectSame();
  },
);

test('two users who swap a mail address that is their id keep their contacts', async () => {
  const crm = await open({ users: 4, mapping: { idProperty: 'email' } });
  await crm.sync();
  const before = JSON.stringify([...crm.source.contacts.seen('email')]);
  await crm.sql(`UPDATE users u SET email = o.email FROM users o WHERE (u.id, o.id) IN ((1, 2), (2, 1))`);
  expect(await crm.sync()).toMatchObject({ written: 0, refusedHere: 2 });
  expect([...(await crm.parked()).values()]).toEqual(['duplicate_id email', 'duplicate_id email']);
  expect(JSON.stringify([...crm.source.contacts.seen('email')])).toBe(before);
});

test('properties that two users may not share are a conflict of one row', async () => {
  const crm = await open({ users: 50 });
  await crm.sql(`UPDATE users SET email = 'twin@example.org' WHERE id IN (10, 20)`);
  expect(await crm.sync()).toMatchObject({ outcome: 'partial', written: 49, refusedThere: 1 });
  expect([...(await crm.parked()).values()]).toEqual(['conflict']);
});

describe('contacts that were there before the first run', () => {
  /** Two without an id of ours, and one that somebody gave to user 5. */
  function putTheirs(crm: Crm): void {
    for (const user of ['2', '3', '5'])
      crm.source.contacts.create({
        properties: { email: `user${user}@example.org`, firstname: 'theirs', app_note: 'kept' },
      });
    crm.source.contacts.update({ idProperty: 'email', id: 'user5@example.org', properties: { app_user_id: '77' } });
  }

  test.each(['trace', 'all-or-nothing'] as const)(
    'are adopted by mail address where nobody has them (%s)',
    async (mode) => {
      const crm = await open({ users: 60, sandbox: { mode }, options: { adopt: 'email', mode: 'mirror' } });
      putTheirs(crm);
      await crm.sql(`UPDATE users SET email = 'user3@example.org' WHERE id = 4`);
      expect(await crm.sync()).toMatchObject({ written: 58, refusedThere: 2 });
      expect(await crm.parked(), 'two users of one address, and one of another user').toEqual(
        new Map([
          ['4', 'conflict'],
          ['5', 'conflict'],
        ]),
      );
      expect(contact(crm, '2')).toMatchObject({ firstname: 'Name 2', app_note: 'kept' });
      await crm.sql(`DELETE FROM users WHERE id IN (2, 5)`);
      await crm.sql(`UPDATE users SET name = 'later' WHERE id = 3`);
      expect(await crm.sync()).toMatchObject({ archived: 1, written: 1 });
      expect([...crm.source.contacts.seen('app_user_id').keys()], 'not ours').toContain('77');
    },
  );

  test('are a conflict without the option, and adopted once it is given', async () => {
    const crm = await open({ users: 6 });
    putTheirs(crm);
    expect(await crm.sync()).toMatchObject({ written: 3, refusedThere: 3 });
    const { rows } = await crm.pool.query('SELECT source_id, position FROM syncline.rejects WHERE connection_id = $1', [
      crm.name,
    ]);
    const owners = new Map([...crm.source.contacts.all()].map(({ id, properties }) => [properties.email, id]));
    for (const { source_id: user, position } of rows)
      expect(position, 'the contact in the way').toBe(`contact ${owners.get(`user${user}@example.org`)}`);
    await crm.options({ adopt: 'email' });
    const { releaseParked } = await import('../db/hubspot/syncs.ts');
    await releaseParked(crm.pool, crm.name);
    expect(await crm.sync()).toMatchObject({ written: 2, refusedThere: 1 });
    await crm.expectSame(['5', '77']);
  });

  test.each<[string, Record<string, unknown>, Record<string, unknown>]>([
    ['a mode that makes or changes none', { mode: 'update' }, {}],
    ['the mail address as id', {}, { idProperty: 'email' }],
  ])('are adopted by nobody in %s, which is refused', async (_, options, mapping) => {
    const crm = await open({ users: 1, capture: false, options: { adopt: 'email', ...options }, mapping });
    expect(await failureOfRun(crm.sync())).toMatchObject({
      type: 'InvalidInput',
      message: expect.stringContaining('adopt: got "email"'),
    });
  });
});
