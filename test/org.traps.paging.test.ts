import { describe, expect, it, vi } from 'vitest';
import { progress } from '../workflows/org.gate.ts';
import type { OrgSyncProgress } from '../workflows/org.view.ts';
import { expectSameAsSource } from './harness/compare.ts';
import { livingIds, pendingFailure } from './harness/ours.ts';
import { openWorld } from './harness/world.ts';

const world = await openWorld();

describe.concurrent('cursor paging (RFC 9865)', () => {
  it('reads the whole directory', async () => {
    const { name, source } = await world.scim(
      { users: 300, groups: 30, paging: 'cursor' },
      { paging: 'cursor', pageSize: 40 },
    );
    expect((await world.run(name)).users).toMatchObject({ added: 300 });
    await expectSameAsSource(world.pool, name, source.directory);
    source.setFaults([{ type: 'shrinkWhileReading', afterPage: 1, first: 3 }]);
    await world.run(name);
    source.setFaults([]);
    await world.run(name);
    await expectSameAsSource(world.pool, name, source.directory);
  });

  it('asked by index, it says so instead of reading one page for ever', async () => {
    const { name } = await world.scim({ users: 300, groups: 30, paging: 'cursor' }, { pageSize: 20 });
    const { type, message } = await world.fail(name);
    expect(type).toBe('BadAnswer');
    expect(message).toMatch(
      /\/Groups repeats a page after 20 of 30 groups: the server ignores startIndex. Try the option paging: "cursor"$/,
    );
    expect(await livingIds(world.pool, name, 'groups')).toEqual([]);
  });

  it.each(['expiredCursor', 'invalidCursor'] as const)('%s: the list is read from its start', async (scimType) => {
    const { name, source } = await world.scim(
      { users: 200, groups: 10, paging: 'cursor' },
      { paging: 'cursor', pageSize: 40 },
    );
    source.setFaults([{ type: 'cursorError', scimType, path: '/Users', afterRequests: 3, times: 1 }]);
    expect((await world.run(name)).users).toMatchObject({ staged: 200, added: 200 });
    expect(source.requests.byPath['/Users'], 'three pages, a refusal, then all five').toBe(9);
    await expectSameAsSource(world.pool, name, source.directory);
  });

  it('expiredCursor without end: the run fails saying where, and nothing is written', async () => {
    const { name, source } = await world.scim(
      { users: 200, groups: 10, paging: 'cursor' },
      { paging: 'cursor', pageSize: 40 },
    );
    source.setFaults([{ type: 'cursorError', scimType: 'expiredCursor', path: '/Users' }]);
    const { type, message } = await world.fail(name);
    expect(type).toBe('ChainBroken');
    expect(message).toContain(`${source.url}/Users: the cursor after 40 rows is no longer valid (expiredCursor)`);
    expect(await livingIds(world.pool, name, 'groups')).toEqual([]);
  });

  it('invalidCount: smaller pages', async () => {
    const { name, source } = await world.scim({ users: 200, groups: 10, paging: 'cursor' }, { paging: 'cursor' });
    source.setFaults([{ type: 'cursorError', scimType: 'invalidCount', path: '/Users', times: 2 }]);
    expect((await world.run(name)).users).toMatchObject({ added: 200 });
    expect(source.requests.byPath['/Users'], '200 and 100 refused, then four pages of 50').toBe(6);
    await expectSameAsSource(world.pool, name, source.directory);
  });

  it('invalidCount whatever is asked: the run fails with the code', async () => {
    const { name, source } = await world.scim({ users: 20, groups: 2 });
    source.setFaults([{ type: 'cursorError', scimType: 'invalidCount', path: '/Groups' }]);
    const { type, message } = await world.fail(name);
    expect(type).toBe('BadAnswer');
    expect(message).toContain(`${source.url}/Groups answered 400 (invalidCount)`);
  });

  it('501: the server has no cursors, and no waiting will bring them', async () => {
    const { name, source } = await world.scim({ users: 20, groups: 2 }, { paging: 'cursor' });
    source.setFaults([{ type: 'cursorError', scimType: 'notImplemented' }]);
    const { type, message } = await world.fail(name);
    expect(type).toBe('BadAnswer');
    expect(message).toContain(
      `${source.url}/Groups does not implement what was asked (501). Try the option paging: "index"`,
    );
    expect(await livingIds(world.pool, name, 'groups')).toEqual([]);
  });
});

describe.concurrent('a source that asks to wait', () => {
  it.each(['seconds', 'date'] as const)(
    'Retry-After as %s: the workflow sleeps, visibly, and finishes',
    async (retryAfter) => {
      const { name, source } = await world.scim({ users: 120, groups: 4 }, { pageSize: 20 });
      // One in two seconds: a busy machine too asks for the next page before that, and looks while it waits.
      source.setFaults([{ type: 'rateLimit', perSecond: 0.5, path: '/Users', only: 'list', times: 2, retryAfter }]);
      const handle = await world.start(name);
      await vi.waitFor(
        async () => {
          const { notes } = await handle.query<OrgSyncProgress>(progress);
          expect(notes.join('\n')).toMatch(/waits [123] s: \S+\/Users asks to wait \(429\)\./);
        },
        { timeout: 20_000, interval: 20 },
      );
      const { raw } = await handle.describe();
      const busy = (raw.pendingActivities ?? []).map((activity) => activity.activityType?.name);
      expect(busy, 'the reader holds no slot while the workflow sleeps').not.toContain('stageUsers');
      const result = await handle.result();
      expect(result).toMatchObject({ outcome: 'applied', users: { added: 120 } });
      expect(result.notes.join('\n')).not.toContain('asks to wait');
      expect(source.requests.limited).toBe(2);
      await expectSameAsSource(world.pool, name, source.directory);
    },
  );

  it('503 with Retry-After is the same', async () => {
    const { name, source } = await world.scim({ users: 40, groups: 4 });
    source.setFaults([{ type: 'status', status: 503, retryAfterSeconds: 1, path: '/Users', times: 1 }]);
    expect((await world.run(name)).users).toMatchObject({ added: 40 });
    await expectSameAsSource(world.pool, name, source.directory);
  });

  it('an error body with a wrong status does not matter', async () => {
    const { name, source } = await world.scim({ users: 40, groups: 4 });
    source.setFaults([
      { type: 'status', status: 500, path: '/Groups', times: 1 },
      { type: 'wrongStatusString', value: 'twohundred' },
    ]);
    const handle = await world.start(name);
    expect(await pendingFailure(handle)).toBe(`${source.url}/Groups answered 500`);
    await handle.result();
    await expectSameAsSource(world.pool, name, source.directory);
  });
});
