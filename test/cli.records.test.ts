import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { directoryReasons, recordReasons } from '../db/rejects.ts';
import { explain } from '../workers/cli/reasons.ts';
import { openCli } from './harness/cli.ts';

const { cli, fresh, sandbox, connected } = await openCli();

describe('what was handed back and what changes', () => {
  test('rejects explains without personal data, and shows records when asked', async () => {
    const source = await sandbox();
    const name = await connected(source);
    const id = source.directory.addUser({ userName: 'lonely.person@example.org' }, []);
    expect((await cli(`start orgSync ${name} --wait`)).out).toContain(
      `1 record handed back: npx syncline rejects ${name}`,
    );
    const plain = await cli(`rejects ${name}`);
    expect(plain.out).toContain(`${name} users ${id}: no_group (groups)`);
    expect(plain.out).toContain('the person is in no group that we have; put the person into a group');
    expect(plain.out).not.toContain('lonely');
    expect((await cli(`rejects ${name} --json`)).out).not.toContain('lonely');
    expect((await cli(`rejects ${name} --show-records`)).out).toContain('lonely.person@example.org');
    expect((await cli(`rejects ${name} --stream groups`)).out).toBe('Nothing is handed back.\n');
    expect(await cli(`rejects ${name} --stream people`)).toMatchObject({
      code: 2,
      err: expect.stringContaining('accepted users, groups, memberships'),
    });
  });

  test('rejects explains a group in two groups and a member that is nobody', async () => {
    const source = await sandbox({ users: 40, groups: 20, depth: 4 });
    const name = await connected(source);
    const d = source.directory;
    const [, left, right, other] = d.groupIds() as [string, string, string, string];
    const child = d.id('Group', d.findGroup(left)!.children[0]!);
    d.addMember(right, child);
    const lonely = { id: other, displayName: 'Strangers', members: [{ value: 'ghost', type: 'User' }] };
    source.setFaults([{ type: 'raw', id: other, json: JSON.stringify(lonely) }]);
    await cli(`start orgSync ${name} --wait`);
    const { out } = await cli(`rejects ${name} --limit 100`);
    expect(out).toContain(
      `${name} groups ${child}: several_parents (parentId)\n  the group is a member of several groups, and nothing says which of them is its parent; take it out`,
    );
    expect(out).toContain(
      `${name} memberships ${other}/ghost: dangling_member (members)\n  a group names a member that did not come; widen the scope`,
    );
  });

  test('every code that SQL and readers of directories write is known and explained', () => {
    const written = new Set<string>();
    for (const room of ['db/org', 'activities/org', 'activities/org/platform']) {
      const folder = join(import.meta.dirname, '..', room);
      for (const file of readdirSync(folder).filter((found) => found.endsWith('.ts'))) {
        const text = readFileSync(join(folder, file), 'utf8');
        // As TypeScript gives them, as SQL sets or compares them, and as SQL picks or selects them.
        const found = text.matchAll(
          /[rR]eason(?::| =| IS DISTINCT FROM) '(\w+)'|fault\('(\w+)',|(?:THEN|ELSE|AS source_id,) '(cycle|[a-z]+_[a-z_]+)'/g,
        );
        for (const codes of found) for (const code of codes.slice(1)) if (code) written.add(code);
      }
    }
    // Conflicts have a table of their own.
    written.delete('conflict');
    const known: string[] = [...recordReasons, ...directoryReasons];
    expect([...written].filter((code) => !known.includes(code))).toEqual([]);
    for (const code of known) expect(explain('org', code, 'acme'), code).not.toContain(`reason ${code}`);
  });

  test('rejects names who holds the name of a conflict', async () => {
    const tenant = fresh();
    const [first, second] = [await sandbox({ users: 3, groups: 1 }), await sandbox({ users: 3, groups: 1, seed: 2 })];
    const owner = await connected(first, '--tenant', tenant);
    const [held, wanted] = [first.directory.userIds()[0]!, second.directory.userIds()[0]!];
    const { userName } = first.directory.fields(first.directory.findPerson(held)!);
    for (const id of second.directory.userIds()) second.directory.renameUser(id, `${id}@second.example.org`);
    second.directory.renameUser(wanted, userName);
    expect((await cli(`start orgSync ${owner} --wait`)).code).toBe(0);
    const name = await connected(second, '--tenant', tenant);
    expect((await cli(`start orgSync ${name} --wait`)).code).toBe(0);
    const { out } = await cli(`rejects ${name}`);
    expect(out).toContain(`${name} users ${wanted}: conflict (userName)`);
    expect(out).toContain(`${owner} user ${held} of the same tenant holds the name`);
    expect(out).not.toContain(userName);
    expect((await cli(`status ${name}`)).out).toContain('0 rejects, 1 conflict');
  });

  test('changes shows counts, then the fields that differ', async () => {
    const source = await sandbox();
    const name = await connected(source);
    expect((await cli(`changes ${name}`)).out).toContain('No plan yet.');
    expect((await cli(`start orgSync ${name} --wait`)).code).toBe(0);
    const [one] = source.directory.userIds();
    source.directory.editUser(one!, { title: 'Keeper of Keys' });
    expect((await cli(`start orgSync ${name} --wait`)).code).toBe(0);
    const { out } = await cli(`changes ${name}`);
    expect(out).toMatch(/^plan \d+: incremental, applied, made .+\n {2}editUsers {2}user edit 1\n/);
    expect(out).toMatch(new RegExp(`editUsers: edit user ${one}\n {4}title: (none|".*") -> "Keeper of Keys"\n`));
    const [, earlier] = /Earlier plans \(--plan N\):\n {2}plan (\d+): full, applied/.exec(out) ?? [];
    const first = await cli(`changes ${name} --plan ${earlier} --id ${one} --json`);
    const { counts, changes } = JSON.parse(first.out);
    expect(counts).toContainEqual({ step: 'addUsers', kind: 'user', action: 'add', count: 60 });
    expect(changes[0]).toMatchObject({ kind: 'user', action: 'add', sourceId: one, before: null });
    source.directory.addGroup({ displayName: 'Late' });
    source.directory.removeUser(one!);
    expect((await cli(`start orgSync ${name} --wait`)).code).toBe(0);
    const lines = (await cli(`changes ${name}`)).out.split('\n').filter((line) => /^\w+: (add|delete) /.test(line));
    expect(lines, 'as they are applied').toEqual([
      expect.stringMatching(/^deleteUsers: delete user /),
      expect.stringMatching(/^addGroups: add group /),
    ]);
    expect(await cli(`changes ${name} --plan 999999`)).toMatchObject({
      code: 1,
      err: expect.stringContaining(`has no plan 999999`),
    });
    expect(await cli(`changes ${name} --step all`)).toMatchObject({
      code: 2,
      err: expect.stringContaining('--step: got "all"'),
    });
    expect(await cli(`changes ${name} --limit 0`)).toMatchObject({
      code: 2,
      err: expect.stringContaining('from 1 to 999999'),
    });
  });
});
