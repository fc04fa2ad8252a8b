import * as v from 'valibot';
import { describe, expect, it, vi } from 'vitest';
import { scimSource } from '../activities/org/scim.ts';
import { scimOptions } from '../connectors/scim.ts';
import { progress } from '../workflows/org.gate.ts';
import type { OrgSyncProgress } from '../workflows/org.view.ts';
import { expectSameAsSource } from './harness/compare.ts';
import { failure, pagesOf } from './harness/ldap-read.ts';
import { livingIds, pendingFailure } from './harness/ours.ts';
import { plainScim } from './harness/plain-scim.ts';
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

describe.concurrent('a list that never ends', () => {
  const ids = Array.from({ length: 40 }, (_, i) => `p${1000 + i}`);
  /** A server that is asked more often than any of these should be stops, or the disk would tell. */
  const most = 1_500;

  it.each([
    ['pages', (page: number) => `${page}`],
    ['pages under cursors that never come again', (page: number, asked: number) => `${page} ${asked}`],
  ])('by cursor, where %s go round behind the first: the run says so', async (_, cursorOf) => {
    const { name, baseUrl, state } = await plainScim(world, ids, { paging: 'cursor', pageSize: 10 });
    let requests = 0;
    state.list = (list, asked, rows) => {
      if (list === 'Groups') return { Resources: rows };
      const page = Number(asked.get('cursor')?.split(' ')[0]);
      const next = page === 3 ? 1 : page + 1;
      requests += 1;
      const nextCursor = requests < most ? cursorOf(next, requests) : undefined;
      return { Resources: rows.slice(page * 10, page * 10 + 10), nextCursor };
    };
    const { type, message } = await world.fail(name);
    expect(type).toBe('BadAnswer');
    expect(message).toMatch(
      cursorOf(1, 1) === '1'
        ? /: the cursor does not advance after \d+ users$/
        : /\/Users repeats a page after \d+ of unknown users: the server ignores the cursor\. Try the option paging: "index"$/,
    );
    expect(message).toContain(`${baseUrl}/Users`);
    expect(requests).toBeLessThan(20);
    expect(await livingIds(world.pool, name, 'users')).toEqual([]);
  });

  it('by cursor, where the pages have no rows: a thousand of them are enough', async () => {
    const { baseUrl, state } = await plainScim(world, ids);
    let requests = 0;
    state.list = (_, asked, rows) => {
      requests += 1;
      const Resources = asked.get('cursor') === '' ? rows.slice(0, 10) : [];
      return { Resources, ...(requests < most && { nextCursor: `c${requests}` }) };
    };
    const source = scimSource(baseUrl, null, v.parse(scimOptions, { paging: 'cursor' }));
    expect(await failure(pagesOf(source, 'users'))).toBe(
      `BadAnswer: ${baseUrl}/Users shows 10 users, then 1000 pages without any, and goes on. Try the option paging: "index"`,
    );
  });

  it('by index, where the server shuffles the one page it has: taken for the whole list', async () => {
    const { name, state } = await plainScim(world, ids, { pageSize: 100 });
    let requests = 0;
    state.list = (list, _, rows) => {
      if (list === 'Groups') return undefined;
      requests += 1;
      if (requests > most) return { Resources: [] };
      return { totalResults: rows.length, Resources: [...rows.slice(requests), ...rows.slice(0, requests)] };
    };
    expect(await world.run(name)).toMatchObject({ users: { staged: 40, added: 40 }, notes: [] });
    expect(requests).toBe(2);
  });

  it('by index, where no two pages are alike: the run says so after ten times the total and 10,000 rows', async () => {
    const { name, baseUrl, state } = await plainScim(world, ids, { pageSize: 20 });
    let requests = 0;
    state.list = (list, _, rows) => {
      if (list === 'Groups') return undefined;
      requests += 1;
      if (requests > most) return { Resources: [] };
      // The bits of its number choose a page among a million.
      const bits = requests * 997;
      return { totalResults: 40, Resources: rows.slice(0, 20).map((row, i) => ((bits >> i) & 1 ? rows[i + 20] : row)) };
    };
    expect(await world.fail(name)).toEqual({
      type: 'BadAnswer',
      message: `stageUsers: ${baseUrl}/Users shows 10420 users of a total of 40 and goes on: the server ignores startIndex, or its totalResults is no total. Try the option paging: "cursor"`,
    });
    expect(await livingIds(world.pool, name, 'users')).toEqual([]);
  });

  it.each([
    ['the rows of the page', (rows: number) => rows],
    ['the rows of a full page', () => 200],
  ])('one whose total is %s alone is read to its end, however long', async (_, totalOf) => {
    const many = Array.from({ length: 12_500 }, (_, i) => `p${10_000 + i}`);
    const { baseUrl, state } = await plainScim(world, many);
    state.list = (_, asked, rows) => {
      const from = Number(asked.get('startIndex')) - 1;
      const Resources = rows.slice(from, from + 200);
      return { totalResults: totalOf(Resources.length), Resources };
    };
    const source = scimSource(baseUrl, null, v.parse(scimOptions, {}));
    const pages = await pagesOf(source, 'users');
    expect(pages.reduce((sum, { page }) => sum + page.users.length, 0)).toBe(many.length);
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
