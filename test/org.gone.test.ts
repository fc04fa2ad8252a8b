import { describe, expect, it } from 'vitest';
import type { Fault } from '../sandbox/scim.ts';
import { decline, progress } from '../workflows/org.gate.ts';
import { expectSameAsSource } from './harness/compare.ts';
import { expectNoStage, livingIds, rejectsOf, snapshot } from './harness/ours.ts';
import { until } from './harness/until.ts';
import { openWorld } from './harness/world.ts';

const world = await openWorld();
const size = { users: 60, groups: 6 };

const proxies: [string, Fault, RegExp][] = [
  [
    'HTML of a proxy',
    { type: 'notFoundBody', body: '<html><body>404</body></html>', contentType: 'text/html' },
    /\/Users\/… answered 404 with HTML \(text\/html, 29 bytes\): a proxy, a gateway or another address, which proves nobody gone$/,
  ],
  [
    'JSON of a gateway',
    { type: 'notFoundBody', body: '{"message":"no Route matched"}', contentType: 'application/json' },
    /\/Users\/… answered 404 with JSON that is no SCIM error \(application\/json, 30 bytes\)/,
  ],
  [
    'text of a load balancer',
    { type: 'notFoundBody', body: 'default backend - 404', contentType: 'text/plain' },
    /\/Users\/… answered 404 with no JSON \(text\/plain, 21 bytes\)/,
  ],
];

const proofs: [string, Fault[]][] = [
  ['a SCIM error', []],
  ['a SCIM error as plain text', [{ type: 'notFoundBody', body: scimError('404'), contentType: 'text/plain' }]],
  ['a SCIM error whose status is no text', [{ type: 'notFoundBody', body: scimError(404) }]],
  ['JSON with the status alone', [{ type: 'notFoundBody', body: '{"status":404,"error":"Not Found"}' }]],
  ['no body, from a server that shows others', [{ type: 'notFoundBody', body: '' }]],
];

const nobodyFound: [string, Fault][] = [
  ['without a body', { type: 'status', status: 404, body: '', path: '/Users', only: 'one' }],
  ['with a SCIM error', { type: 'status', status: 404, path: '/Users', only: 'one' }],
];

describe.concurrent('a 404 that is not the word of the server', () => {
  it.each(proxies)('%s: the one in question is handed back, and a run of that one fails', async (_, fault, message) => {
    const { name, source } = await world.scim(size);
    await world.run(name);
    const before = await snapshot(world.pool, name);
    const gone = source.directory.userIds()[7]!;
    source.directory.removeUser(gone);
    source.setFaults([fault]);
    expect(await world.run(name)).toMatchObject({ outcome: 'applied', applied: {}, users: { rejected: 1 } });
    const [reject] = await rejectsOf(world.pool, name);
    expect(reject).toMatchObject({ source_id: gone, reason: 'out_of_scope' });
    expect(JSON.parse(reject!.record!).answer).toMatch(message);
    const one = await world.fail(name, { only: { user: gone } });
    expect(one.type).toBe('BadAnswer');
    expect(one.message).toMatch(message);
    expect(one.message).not.toContain(gone);
    expect(await snapshot(world.pool, name)).toEqual(before);
    await expectNoStage(world.pool, name);
  });

  it('where the list behind a filter is no longer there, nobody is deleted either', async () => {
    const { name, source } = await world.scim(size, { userFilter: 'active eq true' });
    await world.run(name);
    const [gone, edited] = source.directory.userIds() as [string, string];
    source.directory.removeUser(gone);
    source.directory.editUser(edited, { title: 'Written all the same' });
    const missing = '/Users?filter=… does not exist (404): is the base address the SCIM service root?';
    source.setFaults([{ type: 'status', status: 404, path: '/Users', afterRequests: 2 }]);
    const whole = await world.run(name);
    expect(whole).toMatchObject({ outcome: 'applied', users: { deleted: 0, withheld: 1, edited: 1 } });
    expect(whole.notes.join()).toContain(missing);
    source.setFaults([{ type: 'status', status: 404, path: '/Users' }]);
    const one = await world.fail(name, { only: { user: gone } });
    expect(one.type).toBe('BadAnswer');
    expect(one.message).toContain(missing);
    expect(await livingIds(world.pool, name, 'users')).toContain(gone);
  });
});

describe.concurrent('a 404 that is', () => {
  it.each(proofs)('%s: who is gone is deleted in both kinds of run', async (_, faults) => {
    const { name, source } = await world.scim(size);
    await world.run(name);
    source.setFaults(faults);
    const [one, other] = source.directory.userIds() as [string, string];
    source.directory.removeUsers([one, other]);
    expect(await world.run(name, { only: { user: one } })).toMatchObject({ outcome: 'applied', users: { deleted: 1 } });
    const asked = source.requests.byPath['/Users/:id']!;
    expect(asked, 'the one in question, one of the others').toBeLessThanOrEqual(1 + 3);
    expect(await world.run(name)).toMatchObject({ outcome: 'applied', users: { deleted: 1 } });
    expect(source.requests.byPath['/Users/:id'], 'the one in question, between two who live').toBe(asked + 3);
    await expectSameAsSource(world.pool, name, source.directory);
  });

  it('of a group: asked for between two reads of one that lives', async () => {
    const { name, source } = await world.scim(size);
    const empty = source.directory.addGroup({ displayName: 'Empty' });
    await world.run(name);
    source.directory.removeGroup(empty);
    expect(await world.run(name)).toMatchObject({ groups: { deleted: 1 } });
    expect(source.requests.byPath['/Groups/:id']).toBe(3);
  });

  it('although two of those asked for as a proof went after the list had shown them', async () => {
    const { name, source } = await world.scim(size, { pageSize: 30 });
    const d = source.directory;
    await world.run(name);
    d.removeUser(d.userIds()[30]!);
    source.setFaults([
      { type: 'totalAbsent', path: '/Users' },
      { type: 'between', path: '/Users', page: 2, run: (now) => now.removeUsers(now.userIds().slice(-2)) },
    ]);
    expect((await world.run(name)).users).toMatchObject({ staged: 59, deleted: 1, withheld: 0 });
    expect((await world.run(name)).users).toMatchObject({ deleted: 2 });
    await expectSameAsSource(world.pool, name, d);
  });
});

describe.concurrent('a source that finds nobody by id', () => {
  it.each(nobodyFound)('%s: a run of the directory keeps who is missing and says why', async (_, fault) => {
    const { name, source } = await world.scim(size);
    const d = source.directory;
    await world.run(name);
    const [gone, edited] = d.userIds() as [string, string];
    d.removeUser(gone);
    d.editUser(edited, { title: 'Written all the same' });
    source.setFaults([fault]);
    const result = await world.run(name);
    expect(result).toMatchObject({ outcome: 'applied', users: { deleted: 0, withheld: 1, edited: 1 } });
    expect(result.notes).toContain(
      `1 users are missing at the source and stay: a direct read does not even find users that the list shows (to let the guards alone decide: npx syncline connect ${name} --option confirmMissing=0)`,
    );
    expect(await livingIds(world.pool, name, 'users')).toContain(gone);
    await world.pool.query(
      `UPDATE syncline.connections SET options = options || '{"confirmMissing": 0}' WHERE id = $1`,
      [name],
    );
    expect((await world.run(name)).users).toMatchObject({ deleted: 1, withheld: 0 });
    await expectSameAsSource(world.pool, name, d);
  });

  it('behind a filter, where filter and id together bring nobody: who is missing stays', async () => {
    const { name, source } = await world.scim(size, { userFilter: 'active eq true' });
    await world.run(name);
    const gone = source.directory.userIds()[0]!;
    source.directory.removeUser(gone);
    // The page and the empty one behind it are true.
    source.setFaults([{ type: 'emptyList', path: '/Users', afterRequests: 2 }]);
    expect(await world.run(name)).toMatchObject({ outcome: 'applied', users: { deleted: 0, withheld: 1 } });
    expect(source.requests.byPath['/Users'], 'two runs of two pages, three who live').toBe(2 + 2 + 3);
    source.setFaults([]);
    expect((await world.run(name)).users).toMatchObject({ deleted: 1 });
  });

  it.each(['filterRefused', 'filterIgnored'] as const)(
    'behind a filter that it does not combine with an id (%s): nobody can be asked, so the guards decide',
    async (type) => {
      const { name, source } = await world.scim(size, { userFilter: 'active eq true' });
      await world.run(name);
      source.directory.removeUser(source.directory.userIds()[0]!);
      // The filter of the list begins without a bracket.
      source.setFaults([{ type, attribute: '(active' }]);
      expect(await world.run(name)).toMatchObject({ users: { deleted: 1, withheld: 0 }, notes: [] });
    },
  );

  it.each(nobodyFound)('%s: a run of one person fails, whether that one is known or not', async (_, fault) => {
    const { name, source } = await world.scim(size);
    await world.run(name);
    const before = await snapshot(world.pool, name);
    const gone = source.directory.userIds()[0]!;
    source.directory.removeUser(gone);
    source.setFaults([fault]);
    for (const user of [gone, 'who-is-this']) {
      const { type, message } = await world.fail(name, { only: { user } });
      expect(type).toBe('BadAnswer');
      expect(message).toBe(
        `markUsers: A direct read finds neither the person of only.user nor any of 3 others we hold, so it proves nobody gone: nothing was changed. Check the base address and the credential's rights, or run the whole directory: npx syncline start orgSync ${name}`,
      );
    }
    expect(await snapshot(world.pool, name)).toEqual(before);
  });
});

describe.concurrent('a run of one person', () => {
  it('meets the guards: who asks for every deletion is asked', async () => {
    const { name, source } = await world.scim(size, { guards: { users: { smallCount: 0 } } });
    await world.run(name);
    const before = await snapshot(world.pool, name);
    const gone = source.directory.userIds()[0]!;
    source.directory.removeUser(gone);
    const run = await world.start(name, { only: { user: gone } });
    const parked = await until('a parked run', async () => (await run.query(progress)).parked);
    expect(parked.breaches).toEqual([{ guard: 'user deletions', planned: 1, of: 60, allowed: 0 }]);
    await run.executeUpdate(decline, { args: [{ digest: parked.digest! }] });
    expect(await run.result()).toMatchObject({ outcome: 'declined', applied: {} });
    expect(await snapshot(world.pool, name)).toEqual(before);
  });

  it.each([
    ['', {}],
    [' behind a filter', { userFilter: 'active eq true' }],
  ])('whom nobody knows%s: fails at once and says so without the id', async (_, options) => {
    const { name, source } = await world.scim(size, options);
    await world.run(name);
    const before = await snapshot(world.pool, name);
    const user = 'uid=zebediah,ou=people,dc=example';
    const run = await world.start(name, { only: { user } });
    const failure = await run.result().then(
      () => expect.fail('a run of nobody was applied'),
      (error: Error) => error.cause as Error & { type?: string },
    );
    expect(failure.type).toBe('InvalidInput');
    expect(failure.message).toBe(
      `markUsers: Nobody has the id given in only.user: the source has no such person, and we never held one; nothing was changed. Accepted: the source's own id (SCIM: id; LDAP: the value of idAttribute), no user name and no mail address. Ids stand in org.users and in: npx syncline changes ${name}`,
    );
    expect(failure.message).not.toContain('zebediah');
    expect(await snapshot(world.pool, name)).toEqual(before);
    await expectNoStage(world.pool, name);
    const { rows } = await world.pool.query(
      'SELECT verdict, attempt FROM org.plans WHERE connection_id = $1 ORDER BY id DESC LIMIT 1',
      [name],
    );
    expect(rows, 'no second attempt').toEqual([{ verdict: 'failed', attempt: 1 }]);
    source.directory.editUser(source.directory.userIds()[0]!, { title: 'Goes on' });
    expect(await world.run(name)).toMatchObject({ outcome: 'applied', users: { edited: 1 } });
  });

  it('who was deleted before is nothing to do: an event that comes twice is no failure', async () => {
    const { name, source } = await world.scim(size);
    await world.run(name);
    const user = source.directory.userIds()[0]!;
    source.directory.removeUser(user);
    expect((await world.run(name, { only: { user } })).users).toMatchObject({ deleted: 1 });
    expect(await world.run(name, { only: { user } })).toMatchObject({ outcome: 'applied', applied: {} });
  });

  it('waits with its proof where the source asks to', async () => {
    const { name, source } = await world.scim(size);
    await world.run(name);
    const user = source.directory.userIds()[0]!;
    source.directory.removeUser(user);
    source.setFaults([{ type: 'rateLimit', perSecond: 1, path: '/Users', only: 'one' }]);
    expect((await world.run(name, { only: { user } })).users).toMatchObject({ deleted: 1 });
    expect(source.requests.limited, 'refusals while the proof was asked for').toBeGreaterThan(0);
  });
});

function scimError(status: string | number): string {
  return JSON.stringify({ schemas: ['urn:ietf:params:scim:api:messages:2.0:Error'], status, detail: 'not here' });
}
