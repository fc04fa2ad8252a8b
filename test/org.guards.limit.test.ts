import { describe, expect, it, vi } from 'vitest';
import { progress } from '../workflows/org.gate.ts';
import { expectSameAsSource } from './harness/compare.ts';
import { expectNoStage, livingIds } from './harness/ours.ts';
import { until } from './harness/until.ts';
import { openWorld } from './harness/world.ts';

const world = await openWorld();

describe.concurrent('the user limit of a tenant', () => {
  it('one too small: the run fails with the numbers, nothing is written, the stage is cleared', async () => {
    const { name, source } = await world.scim({ users: 30, groups: 3 }, { userLimit: 29 });
    const { type, message } = await world.fail(name);
    expect(type).toBe('UserLimit');
    expect(message).toBe(
      `checkLimits: The tenant's user limit of 29 would be exceeded: 0 living people + 30 new; nothing was written. Raise it with: npx syncline connect ${name} --option userLimit=N, or narrow the scope.`,
    );
    expect(await livingIds(world.pool, name, 'users')).toEqual([]);
    expect(await livingIds(world.pool, name, 'groups')).toEqual([]);
    await expectNoStage(world.pool, name);
    source.directory.removeUser(source.directory.userIds()[0]!);
    expect(await world.run(name)).toMatchObject({ outcome: 'applied', users: { added: 29 } });
    await expectSameAsSource(world.pool, name, source.directory);
  });

  it('exactly enough; then one more fails and changes nothing, one for one goes', async () => {
    const { name, source } = await world.scim({ users: 30, groups: 3 }, { userLimit: 30 });
    const d = source.directory;
    expect(await world.run(name)).toMatchObject({ outcome: 'applied', users: { added: 30 } });
    const held = await livingIds(world.pool, name, 'users');
    d.editUser(d.userIds()[0]!, { title: 'Not written with the failed run' });
    d.addUser();
    expect((await world.fail(name)).message).toContain('30 living people + 1 new;');
    expect(await livingIds(world.pool, name, 'users')).toEqual(held);
    const { rows } = await world.pool.query(
      `SELECT 1 FROM org.users WHERE connection_id = $1 AND title LIKE 'Not written%'`,
      [name],
    );
    expect(rows).toEqual([]);
    d.removeUser(d.userIds()[1]!);
    expect(await world.run(name)).toMatchObject({ outcome: 'applied', users: { added: 1, deleted: 1 } });
    await expectSameAsSource(world.pool, name, d);
  });

  it('a dry run only says it', async () => {
    const { name } = await world.scim({ users: 30, groups: 3 }, { userLimit: 10 });
    const result = await world.run(name, { dryRun: true });
    const overLimit = { limit: 10, living: 0, planned: 30, reserved: 0, reservedBy: [] };
    expect(result).toMatchObject({ outcome: 'planned', overLimit });
  });

  it('counts the people of all connections of the tenant, and none of another', async () => {
    const options = { tenant: 'counted', userLimit: 50 };
    const first = await world.scim({ users: 30, groups: 3 }, options);
    const second = await world.scim({ users: 21, groups: 3, seed: 2 }, options);
    const stranger = await world.scim({ users: 50, groups: 3 }, { userLimit: 50 });
    await world.run(first.name);
    expect((await world.fail(second.name)).message).toContain('30 living people + 21 new;');
    expect(await livingIds(world.pool, second.name, 'users')).toEqual([]);
    expect(await world.run(stranger.name)).toMatchObject({ users: { added: 50 } });
    second.source.directory.removeUser(second.source.directory.userIds()[0]!);
    expect(await world.run(second.name)).toMatchObject({ users: { added: 20, conflicts: 0 } });
  });

  it('two connections at once never exceed it together', async () => {
    const options = { tenant: 'racing', userLimit: 50 };
    const sources = [
      await world.scim({ users: 30, groups: 3 }, options),
      await world.scim({ users: 30, groups: 3, seed: 2 }, options),
      await world.scim({ users: 30, groups: 3, seed: 3 }, options),
    ];
    const handles = await Promise.all(sources.map(({ name }) => world.start(name)));
    const ends = await Promise.allSettled(handles.map((handle) => handle.result()));
    expect(ends.filter((end) => end.status === 'fulfilled')).toHaveLength(1);
    for (const end of ends) {
      if (end.status === 'rejected') expect(end.reason.cause).toMatchObject({ type: 'UserLimit' });
    }
    expect(await livingIn('racing')).toBe(30);
  });
});

describe.concurrent('seats while another run of the tenant is half applied', () => {
  it('people it has written are counted once: who fits is not refused', async () => {
    const options = { tenant: 'halfway', userLimit: 55 };
    const first = await world.scim({ users: 30, groups: 3 }, options);
    const second = await world.scim({ users: 20, groups: 3, seed: 2 }, options);
    await world.run(first.name);
    const d = first.source.directory;
    const edited = d.userIds()[0]!;
    d.editUser(edited, { title: 'Written last' });
    for (let i = 0; i < 5; i++) d.addUser();
    const { handle, release } = await holdBack(first.name, {
      sql: 'SELECT 1 FROM org.users WHERE connection_id = $1 AND id = $2 FOR UPDATE',
      values: [first.name, edited],
      until: async () => (await livingIn('halfway')) === 35,
    });
    try {
      expect(await world.run(second.name)).toMatchObject({ outcome: 'applied', users: { added: 20 } });
    } finally {
      await release();
      await handle.result();
    }
    expect(await livingIn('halfway')).toBe(55);
  });

  it('seats freed by its deletions belong to its additions: nobody else takes them', async () => {
    const options = { tenant: 'exchange', userLimit: 30 };
    const first = await world.scim({ users: 30, groups: 3 }, options);
    const second = await world.scim({ users: 10, groups: 3, seed: 2 }, options);
    await world.run(first.name);
    const d = first.source.directory;
    d.removeUsers(d.userIds().slice(0, 10));
    for (let i = 0; i < 10; i++) d.addUser();
    const late = d.fields(d.findPerson(d.userIds().at(-1)!)!).userName;
    const { handle, release } = await holdBack(first.name, {
      // The same name in an open transaction: the insert of addUsers waits for its end.
      sql: `INSERT INTO org.users (connection_id, id, tenant, user_name, user_name_key, generation)
            SELECT 'nobody' || $1, 'nobody', 'exchange', $2, lower($2), 0`,
      values: [first.name, late],
      until: async () => (await livingIn('exchange')) === 20,
    });
    const other = await world.start(second.name);
    const end = await other.result().then(
      () => 'applied',
      (e: Error) => (e.cause as { type?: string } | undefined)?.type,
    );
    await release();
    await handle.result();
    expect(await livingIn('exchange')).toBeLessThanOrEqual(30);
    expect(end).toBe('UserLimit');
    await expectSameAsSource(world.pool, first.name, d);
  });
});

describe('seats of a run that waits for an answer', () => {
  it('are told with the connection that holds them; once it is terminated they are free', async () => {
    const tenant = 'waiting';
    const first = await world.scim({ users: 30, groups: 3 }, { tenant, guards: { users: { smallCount: 0 } } });
    const second = await world.scim({ users: 10, groups: 3, seed: 2 }, { tenant, userLimit: 50 });
    await world.run(first.name);
    const d = first.source.directory;
    for (let i = 0; i < 21; i++) d.addUser();
    d.removeUser(d.userIds()[0]!);
    const waiting = await world.start(first.name);
    await until('the run is parked', async () => (await waiting.query(progress)).state === 'parked');
    expect((await world.fail(second.name)).message).toContain(
      `30 living people + 10 new + 20 reserved by open runs of ${first.name} (npx syncline status ${first.name}); nothing was written. Raise it with: npx syncline connect ${second.name} `,
    );
    expect(await world.run(second.name, { dryRun: true })).toMatchObject({
      overLimit: { reserved: 20, reservedBy: [first.name] },
    });
    await waiting.terminate();
    expect(await world.run(second.name)).toMatchObject({ outcome: 'applied', users: { added: 10 } });
    await world.run(first.name, { dryRun: true });
  });
});

async function livingIn(tenant: string): Promise<number> {
  const { rows } = await world.pool.query(
    'SELECT count(*)::int AS n FROM org.users WHERE tenant = $1 AND deleted_at IS NULL',
    [tenant],
  );
  return rows[0].n;
}

/** Starts a run that a lock of ours stops in the middle of its writing; `release` lets it go on. */
async function holdBack(name: string, lock: { sql: string; values: unknown[]; until: () => Promise<boolean> }) {
  const client = await world.pool.connect();
  await client.query('BEGIN');
  await client.query(lock.sql, lock.values);
  const handle = await world.start(name);
  await vi.waitFor(async () => expect(await lock.until()).toBe(true), { timeout: 20_000, interval: 50 });
  const release = async () => {
    await client.query('ROLLBACK');
    client.release();
  };
  return { handle, release };
}
