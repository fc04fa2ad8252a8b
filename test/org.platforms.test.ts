import { describe, expect, it, vi } from 'vitest';
import { openTokens } from '../activities/http/auth.ts';
import { judge } from '../activities/http/envelope.ts';
import { openThrottle } from '../activities/http/throttle.ts';
import { openSource } from '../activities/org/sources.ts';
import { dingtalk } from '../connectors/dingtalk.ts';
import { loadConnection } from '../db/connections.ts';
import { show } from '../sandbox/company.ts';
import { wecomSecrets } from '../sandbox/wecom.ts';
import { decline, progress } from '../workflows/org.gate.ts';
import type { OrgSyncProgress } from '../workflows/org.view.ts';
import { type CompanyPlatform, expectSameCompany, kinds, reconnect, startCompany } from './harness/companies.ts';
import { expectNoStage, livingIds, personOf, rejectLines, snapshot } from './harness/ours.ts';
import { type Handle, openWorld } from './harness/world.ts';

const world = await openWorld();
const { pool } = world;
const platforms = Object.keys(kinds) as CompanyPlatform[];
const appSecret = { credential: { corpsecret: wecomSecrets.app } };
/** WeCom asks about scope and rights only for the secret of an app. */
const asApp = (platform: CompanyPlatform) => (platform === 'wecom' ? appSecret : {});

describe.concurrent.each(platforms)('%s', (platform) => {
  it('fills, then follows moves, renames, leavers and new people', async () => {
    const company = await startCompany(world, platform, { rows: 130, ...asApp(platform) });
    const { name, source, departments, people } = company;
    const [tree, staff] = [source.lists.departments!, source.lists.people!];
    const [root, first, second, third] = departments() as [string, string, string, string];
    const [a, b, c, d, e] = people() as [string, string, string, string, string];
    staff.update(a, { departments: [second, first, root], primary: first });
    staff.update(b, { departments: [third, second] });
    const filled = await world.run(name);
    expect(filled).toMatchObject({ mode: 'full', outcome: 'applied', users: { staged: 130, added: 130, rejected: 0 } });
    await expectSameCompany(pool, company);
    expect(await world.run(name)).toMatchObject({ mode: 'incremental', outcome: 'applied', applied: {} });

    const empty = departments().at(-1)!;
    for (const id of people()) {
      const { departments: own } = company.kind.company.person(staff.get(id)!, source.lists);
      if (own.includes(empty)) staff.update(id, { departments: [root] });
    }
    tree.update(second, { parent: third, name: 'Renamed and moved' });
    tree.remove(empty);
    const fresh = tree.create({ name: 'New department', parent: second }).id;
    staff.update(a, { departments: [first], primary: first });
    staff.update(b, { departments: [second, fresh], primary: fresh });
    staff.update(c, { name: 'Another Name', title: 'Director' });
    staff.update(d, { off: true });
    staff.remove(e);
    staff.create({ departments: [fresh] });
    const followed = await world.run(name);
    expect(followed).toMatchObject({
      mode: 'incremental',
      outcome: 'applied',
      users: { added: 1, deleted: 1 },
      groups: { added: 1, deleted: 1 },
    });
    await expectSameCompany(pool, company);
    expect(source.requests, 'calls that met a limit, defects of the fixture').toMatchObject({ refused: 0, failed: 0 });
    // Only who was deleted is asked for as a proof. Unread are calls that WeCom allows to secrets of another kind.
    const { unread: _other, ...apis } = source.requests.byApi;
    expect(Object.values(apis).reduce((sum, { wrong }) => sum + wrong, 0)).toBe(2);
    await expectNoStage(pool, name);
  });

  it('deletes nobody when the app sees less, and says who is out of sight', async () => {
    const company = await startCompany(world, platform, { rows: 60, ...asApp(platform) });
    const { name, source, departments } = company;
    await world.run(name);
    const before = { users: await livingIds(pool, name, 'users'), groups: await livingIds(pool, name, 'groups') };
    show(source.lists, { departments: [departments()[1]!] });
    const narrowed = await world.run(name);
    expect(narrowed).toMatchObject({
      mode: 'full',
      outcome: 'applied',
      users: { staged: 60, deleted: 0 },
      groups: { deleted: 0 },
    });
    expect({ users: await livingIds(pool, name, 'users'), groups: await livingIds(pool, name, 'groups') }).toEqual(
      before,
    );
    const hidden = await rejectLines(pool, name);
    expect(hidden.filter((line) => line.startsWith('users') && line.includes('out_of_scope'))).toHaveLength(40);

    show(source.lists, {});
    expect(await world.run(name)).toMatchObject({ mode: 'full', users: { deleted: 0, rejected: 0 } });
    await expectSameCompany(pool, company);
  });

  it('deletes nobody when more are out of sight than may be asked for', async () => {
    const options = { confirmMissing: 10 };
    const { name, source, departments } = await startCompany(world, platform, {
      rows: 60,
      options,
      ...asApp(platform),
    });
    await world.run(name);
    show(source.lists, { departments: [departments()[1]!] });
    const result = await world.run(name);
    expect(result).toMatchObject({ outcome: 'applied', users: { deleted: 0, withheld: 40 }, groups: { deleted: 0 } });
    expect(result.notes.join('\n')).toContain(
      'of 5 missing users that were asked for directly, one is there or out of sight',
    );
    expect(await livingIds(pool, name, 'users')).toHaveLength(60);
  });

  it('keeps who is missing where direct reads fail, and writes the others', async () => {
    const { name, source, kind, people } = await startCompany(world, platform, { rows: 60, ...asApp(platform) });
    await world.run(name);
    const [gone, edited, shown] = [people()[0]!, people()[1]!, people()[59]!];
    source.lists.people!.remove(gone);
    source.lists.people!.update(edited, { title: 'Written' });
    source.setFaults([{ type: 'html', api: kind.direct.user }]);
    const result = await world.run(name);
    expect(result).toMatchObject({ outcome: 'applied', users: { deleted: 0, withheld: 1, edited: 1 } });
    const note = result.notes.find((n) => n.includes('direct reads fail'))!;
    expect(note).toContain(`npx syncline connect ${name} --option confirmMissing=0): ${source.url}`);
    for (const id of [gone, shown]) expect(note).not.toContain(id);
    // The first who is asked for as a proof cannot be read, the second can.
    source.setFaults([{ type: 'html', api: kind.direct.user, times: 1 }]);
    expect(await world.run(name)).toMatchObject({ users: { deleted: 1, rejected: 0 } });
  });

  it('asks before it deletes after the scope shrank, where nobody is asked for one by one', async () => {
    const options = { confirmMissing: 0 };
    const { name, source, departments } = await startCompany(world, platform, {
      rows: 60,
      options,
      ...asApp(platform),
    });
    await world.run(name);
    const before = await snapshot(pool, name);
    show(source.lists, { departments: departments().slice(1) });
    expect(await world.run(name, { dryRun: true })).toMatchObject({ users: { deleted: 20 } });
    const handle = await world.start(name);
    await parkedAndDeclined(handle, [
      'user deletions after a change of scope',
      'group deletions after a change of scope',
    ]);
    expect(await snapshot(pool, name)).toEqual(before);
  });

  it('fails and changes nothing when a permission is taken away', async () => {
    const { name, source, kind } = await startCompany(world, platform, { rows: 60, ...asApp(platform) });
    await world.run(name);
    const before = await snapshot(pool, name);
    source.setFaults([{ type: 'refuse', kind: 'permission', api: kind.people, after: 1 }]);
    const { type, message } = await world.fail(name);
    expect(type).toBe('Forbidden');
    expect(message).toMatch(/may not read users \((48002|60011|99991672)\)/);
    expect(await snapshot(pool, name)).toEqual(before);
    await expectNoStage(pool, name);
  });

  it('gets another token when the first one ends in the middle', async () => {
    const company = await startCompany(world, platform, {
      rows: 100,
      faults: [{ type: 'expire', after: 4, times: 1 }],
    });
    await world.run(company.name);
    await expectSameCompany(pool, company);
    expect(company.source.tokens.counts.issued).toBe(2);
  });

  it('waits for a limit and goes on where it was', async () => {
    const { people } = kinds[platform];
    const limits = { api: people, after: 12, times: 1 };
    const company = await startCompany(world, platform, {
      rows: 400,
      // WeCom counts by the minute, and its own word for it makes us wait for one.
      faults: [
        platform === 'wecom'
          ? { type: '429', seconds: 1, ...limits }
          : { type: 'refuse', kind: 'rate', waitMs: 1_000, ...limits },
      ],
    });
    await world.run(company.name);
    await expectSameCompany(pool, company);
    const asked = company.source.requests.byApi[people]!;
    // Twenty departments; those in flight behind the refused one are asked again.
    expect(asked.total).toBeLessThan(20 + 1 + 16);
  });

  it('keeps what a hidden field held, in both kinds of run', async () => {
    const { name, source, people } = await startCompany(world, platform, { rows: 30 });
    await world.run(name);
    const [id] = people() as [string];
    const before = await personOf(pool, name, id);
    show(source.lists, { hidden: ['email', 'mobile', 'status'] });
    for (const mode of ['incremental', 'full']) {
      expect(await world.run(name, { mode })).toMatchObject({ outcome: 'applied', users: { edited: 0, deleted: 0 } });
      expect(await personOf(pool, name, id)).toMatchObject({ email: before.email, phone: before.phone, active: true });
    }
  });

  it('asks for whom shifting pages did not show, and keeps everybody who lives', async () => {
    const company = await startCompany(world, platform, { rows: 180 });
    const { name, source, departments, people, kind } = company;
    const [, crowded] = departments() as [string, string];
    for (const id of people().slice(0, 150)) source.lists.people!.update(id, { departments: [crowded] });
    await world.run(name);
    source.setFaults([{ type: 'removed', api: kind.people, rows: 3, after: 1, times: 1 }]);
    const result = await world.run(name);
    expect(result.outcome).toBe('applied');
    const living = await livingIds(pool, name, 'users');
    expect(people().filter((id) => !living.includes(id))).toEqual([]);
    await world.run(name);
    await expectSameCompany(pool, company);
  });

  it('reads one person directly', async () => {
    const company = await startCompany(world, platform, { rows: 40, ...asApp(platform) });
    const { name, source, people } = company;
    await world.run(name);
    const [edited, gone] = people() as [string, string];
    source.lists.people!.update(edited, { title: 'Director' });
    source.lists.people!.remove(gone);
    expect(await world.run(name, { only: { user: edited } })).toMatchObject({ users: { edited: 1 } });
    expect(await world.run(name, { only: { user: gone } })).toMatchObject({ users: { deleted: 1 } });
    await expectSameCompany(pool, company);
  });

  it('reads below the departments it is told to', async () => {
    const { departments } = await startCompany(world, platform, { rows: 160 });
    const [, chosen] = departments() as [string, string];
    const { name } = await startCompany(world, platform, { rows: 160, options: { roots: [chosen] } });
    await world.run(name);
    // Of nine departments the second has the seventh and eighth below it.
    expect(await livingIds(pool, name, 'groups')).toEqual([chosen, ...departments().slice(6)].sort());
    expect(await livingIds(pool, name, 'users')).toHaveLength(60);
  });
});

async function parkedAndDeclined(handle: Handle, guards: string[]): Promise<void> {
  const digest = await vi.waitFor(
    async () => {
      const { state, parked } = await handle.query<OrgSyncProgress>(progress);
      expect(state).toBe('parked');
      expect(parked!.breaches.map(({ guard }) => guard)).toEqual(guards);
      return parked!.digest!;
    },
    { timeout: 20_000, interval: 50 },
  );
  await handle.executeUpdate(decline, { args: [{ digest }] });
  expect(await handle.result()).toMatchObject({ outcome: 'declined', applied: {} });
}

describe.concurrent('WeCom with the secret of the contact sync', () => {
  const sync = { credential: { corpsecret: wecomSecrets.sync } };

  it('reads ids of the whole company, and follows leavers', async () => {
    const { name, source, departments, people } = await startCompany(world, 'wecom', { rows: 60, ...sync });
    const [, first, second] = departments() as [string, string, string];
    source.lists.people!.update(people()[0]!, { departments: [first, second] });
    expect(await world.run(name)).toMatchObject({ users: { added: 60 }, groups: { added: 3 } });
    const { rows } = await pool.query('SELECT name FROM org.groups WHERE connection_id = $1 ORDER BY id', [name]);
    expect(rows).toEqual([{ name: '1' }, { name: '2' }, { name: '3' }]);
    source.lists.people!.remove(people()[5]!);
    expect(await world.run(name)).toMatchObject({ outcome: 'applied', users: { deleted: 1 } });
    expect(await livingIds(pool, name, 'users')).toEqual(people());
    expect(source.requests.byApi['user/list_id']!.total).toBeGreaterThan(0);
    expect(source.requests.byApi['user/list']).toBeUndefined();
  });

  it('keeps names and details that the secret of an app had read', async () => {
    const company = await startCompany(world, 'wecom', { rows: 60, ...appSecret });
    await world.run(company.name);
    await reconnect(world, company, sync);
    expect(await world.run(company.name)).toMatchObject({ mode: 'full', outcome: 'applied', users: { edited: 0 } });
    await expectSameCompany(pool, company);
  });

  it('reads only people of the departments it is told to', async () => {
    const { name } = await startCompany(world, 'wecom', { rows: 60, options: { roots: ['2'] }, ...sync });
    expect(await world.run(name)).toMatchObject({ users: { added: 20 }, groups: { added: 1 } });
  });
});

describe('what connect tells', () => {
  it.each(platforms)('%s: what is read, how much of it is seen, and one page of each list', async (platform) => {
    const { name, source, departments } = await startCompany(world, platform, { rows: 60, ...asApp(platform) });
    const whole = await probe(name);
    expect(whole).toMatchObject({ groups: 3, notes: [expect.stringContaining('it sees the whole company')] });
    expect(whole.users).toBeGreaterThan(0);
    show(source.lists, { departments: [departments()[1]!], people: ['somebody'] });
    const part = await probe(name);
    expect(part.notes[0]).toContain('it sees 1 departments with all below them; 1 single people besides are not read');
    source.setFaults([{ type: 'refuse', kind: 'permission', api: kinds[platform].direct.user }]);
    expect((await probe(name)).notes[1]).toContain('the platform refuses direct reads of people');
  });

  async function probe(name: string) {
    const throttle = openThrottle(pool);
    const tokens = openTokens({ pool, key: world.key });
    try {
      const source = openSource(await loadConnection(pool, world.key, name), { throttle, tokens });
      return await source.probe(AbortSignal.timeout(20_000));
    } finally {
      await throttle.close();
      await tokens.close();
    }
  }
});

describe('the page of an IP ban', () => {
  const answer = (type: string, body: string) => ({
    status: 200,
    headers: { 'content-type': type },
    body: Buffer.from(body),
  });
  it.each([
    ['JSON', answer('application/json', '{"status":1111,"wait":5,"source":"x5","punish":"deny"}')],
    ['HTML', answer('text/html', '<html><script>location="/_____tmd_____/punish?x5secdata=1"</script></html>')],
  ])('in %s makes every connection wait five minutes', (_, page) => {
    const { verdict, waitMs, level } = judge(page, 'https://oapi.dingtalk.com/topapi', dingtalk.envelope);
    expect({ verdict, waitMs, level }).toEqual({ verdict: 'retry-after', waitMs: 300_000, level: 'platform' });
  });

  it('is not taken for any other page', () => {
    const page = answer('text/html', '<html>Sign in</html>');
    expect(() => judge(page, 'https://oapi.dingtalk.com/topapi', dingtalk.envelope)).toThrow(/with HTML/);
  });
});

describe.concurrent('a company that is too large for one list', () => {
  it('is read level by level, and the same comes of it', async () => {
    const company = await startCompany(world, 'feishu', { rows: 300 });
    const { name, source } = company;
    show(source.lists, { tooBig: true });
    await world.run(name);
    await expectSameCompany(pool, company);
    show(source.lists, {});
    expect(await world.run(name)).toMatchObject({ outcome: 'applied', applied: {} });
  });
});
