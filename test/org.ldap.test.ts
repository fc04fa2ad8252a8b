import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  closeSources,
  failure,
  groupNamed,
  memberships,
  noGroups,
  pagesOf,
  readAll,
  signal,
  sourceOf,
  start,
  stopServers,
  userNamed,
  withoutSlapd,
} from './harness/ldap-read.ts';
import { companyLdif, entry, personDn, readerDn, readerPassword, type Slapd, suffix, unitDn } from './harness/slapd.ts';
import { openWorld } from './harness/world.ts';

const missing = withoutSlapd();

afterEach(closeSources);
afterAll(stopServers);

describe.skipIf(missing)('LDAP from slapd', () => {
  const company = { people: 700, units: 30, groups: 5, groupMembers: 150 };
  let slapd: Slapd;
  beforeAll(async () => {
    slapd = await start({
      ldif: companyLdif(company),
      limits: [`limits * size=unlimited size.prtotal=unlimited`],
      tls: true,
    });
  });

  it('reads everybody, page by page, with parents, units and members', async () => {
    const read = await readAll(sourceOf(slapd.url, { pageSize: 100 }));
    expect(read.users).toHaveLength(700);
    expect(read.groups).toHaveLength(35);
    expect(new Set(read.users.map((u) => u.id)).size).toBe(700);
    expect(read.unkeyed).toEqual([]);
    expect([...read.users, ...read.groups].filter((row) => row.fault)).toEqual([]);
    expect(read.doubts).toEqual([null, null]);
    expect(read.lists.users.map((p) => p.page.users.length)).toEqual([100, 100, 100, 100, 100, 100, 100]);
    expect(read.lists.users.at(-1)?.ended?.sign).toBe('empty cookie');
    expect(read.lists.users.slice(0, -1).every((p) => p.ended === null)).toBe(true);

    expect(userNamed(read, 'u42').fields).toEqual([
      ...['u42', 'Person 42', 'P42', 'Ørn 42', 'u42@example.org', '+47 42', 'Title 42', '42'],
      undefined,
    ]);
    const parentOf = (name: string) => read.groups.find((g) => g.id === groupNamed(read, name).parentId)?.name ?? null;
    expect(['Unit 0', 'Unit 6, North', 'Søl 14', 'Group 3'].map(parentOf)).toEqual([null, 'Unit 0', 'Unit 1', null]);
    const primary = read.members.filter((m) => m.isPrimary);
    expect(primary).toHaveLength(700);
    expect(memberships(read)).toContain('*Unit 6, North > u6');
    expect(read.members.filter((m) => !m.isPrimary && m.isGroup === false)).toHaveLength(750);
    expect(read.groups.every((g) => g.membersRead)).toBe(true);
  });

  it('tells people and groups one by one, and null for who is not there', async () => {
    const source = sourceOf(slapd.url);
    const read = await readAll(source);
    const { id } = userNamed(read, 'u31');
    const one = (await source.readOne!('users', id, signal))!;
    expect(one.users).toEqual([read.users.find((u) => u.id === id)]);
    const byGroup = (a: { groupId: string }, b: { groupId: string }) => (a.groupId < b.groupId ? -1 : 1);
    expect(one.members.sort(byGroup)).toEqual(read.members.filter((m) => m.memberId === id).sort(byGroup));
    expect(one.members.length).toBeGreaterThan(1);
    const group = groupNamed(read, 'Group 1');
    const page = (await source.readOne!('groups', group.id, signal))!;
    expect(page.groups).toEqual([group]);
    expect(page.members).toEqual(read.members.filter((m) => m.groupId === group.id));
    expect(await source.readOne!('users', '00000000-0000-1000-8000-000000000000', signal)).toBeNull();
    expect(await source.readOne!('users', 'no)(uid=*', signal)).toBeNull();
  });

  it('shows connect one page of each list', async () => {
    const probe = await sourceOf(slapd.url, { pageSize: 100 }).probe(signal);
    expect(probe).toEqual({
      ...{ users: 100, groups: 35, userTotal: 700, groupTotal: 35 },
      notes: ['the password travels unencrypted: use ldaps:// or the option startTls'],
    });
    const noted = await sourceOf(slapd.url, { mapping: { userName: 'description' } }, null).probe(signal);
    expect(noted.notes).toEqual(['700 of the first 700 users would be handed back (missing_field: userName)']);
  });

  it('reads anonymously where the server lets it', async () => {
    expect((await readAll(sourceOf(slapd.url, {}, null))).users).toHaveLength(700);
  });

  it('says which key attribute the server has when the configured one is not there', async () => {
    const wrong = sourceOf(slapd.url, { idAttribute: 'nsUniqueId' });
    const message =
      /^InvalidInput: Option idAttribute: got "nsUniqueId", which is on none of the first \d+ (users|groups); on them is entryUUID/;
    expect(await failure(wrong.probe(signal))).toMatch(message);
    expect(await failure(pagesOf(wrong, 'users'))).toMatch(message);
  });

  it('signs in by StartTLS and by ldaps with the CA of the option, and with no other', async () => {
    const read = (url: string, options: Record<string, unknown>) => pagesOf(sourceOf(url, options), 'groups');
    const { caFile, otherCaFile } = slapd;
    expect(await read(slapd.url, { startTls: true, caFile })).not.toHaveLength(0);
    expect(await read(slapd.secureUrl, { caFile })).not.toHaveLength(0);
    expect(await read(slapd.secureUrl, { caFile, tlsServerName: 'localhost' })).not.toHaveLength(0);
    for (const [url, startTls] of [[slapd.url, true] as const, [slapd.secureUrl, false] as const])
      for (const wrong of [{}, { caFile: otherCaFile }])
        expect(await failure(read(url, { startTls, ...wrong }))).toMatch(
          /^InvalidInput: ldaps?:\S+: the certificate is signed by none of the trusted CAs .* set the option caFile/,
        );
    expect(await failure(read(slapd.secureUrl, { caFile, tlsServerName: 'ldap.example.org' }))).toMatch(
      /^InvalidInput: .*another name .* set the option tlsServerName/,
    );
    expect(await failure(read(slapd.url, { startTls: true, caFile: `${caFile}.gone` }))).toMatch(
      /^InvalidInput: The option caFile names a file that cannot be read on this machine \(ENOENT\)/,
    );
  });

  it('says that a server without a certificate refuses StartTLS', async () => {
    const plain = await start({ ldif: '' });
    expect(await failure(sourceOf(plain.url, { startTls: true }).probe(signal))).toMatch(
      /^InvalidInput: .* refuses StartTLS \(LDAP code \d+\)/,
    );
  });

  it('says that a sign-in is refused, without the password and the name', async () => {
    const refused = await failure(sourceOf(slapd.url, {}, 'no-such-secret').probe(signal));
    expect(refused).toMatch(/^Unauthorized: .* sign-in: LDAP code 49/);
    expect(refused).not.toContain('no-such-secret');
    expect(refused).not.toContain('cn=reader');
  });

  it('stops at once when it is cancelled', async () => {
    const controller = new AbortController();
    const source = sourceOf(slapd.url, { pageSize: 50 });
    const reading = (async () => {
      for await (const page of source.pages('users', null, controller.signal, noGroups))
        if (page.page.users.length > 0) controller.abort(new Error('cancelled by the test'));
    })();
    expect(await failure(reading)).toContain('cancelled by the test');
  });
});

describe.skipIf(missing)('orgSync from LDAP', async () => {
  const world = missing ? null : await openWorld();

  it('writes the directory, then a moved unit, a removed member and a deleted person, and nothing else', async () => {
    const company = { people: 300, units: 20 };
    const [leaver, stayer] = [personDn(20, company), personDn(40, company)];
    const team = ['objectClass: groupOfNames', 'cn: Team', `member: ${leaver}`, `member: ${stayer}`];
    const slapd = await start({ ldif: [...companyLdif(company), entry(`cn=Team,${suffix}`, team)] });
    const name = await world!.connect({
      platform: 'ldap',
      baseUrl: slapd.url,
      credential: readerPassword,
      options: { baseDn: suffix, bindDn: readerDn },
    });
    expect(await world!.run(name)).toMatchObject({
      ...{ outcome: 'applied', mode: 'full', groups: { added: 21 }, users: { added: 300 } },
    });
    expect(await world!.run(name)).toMatchObject({ outcome: 'applied', mode: 'incremental', applied: {} });
    await slapd.change(
      [
        `dn: ${unitDn(1)}\nchangetype: modrdn\nnewrdn: ou=Moved\ndeleteoldrdn: 0\nnewsuperior: ${unitDn(2)}\n`,
        `dn: ${personDn(5, company)}\nchangetype: delete\n`,
        `dn: cn=Team,${suffix}\nchangetype: modify\ndelete: member\nmember: ${leaver}\n`,
      ].join('\n'),
    );
    expect(await world!.run(name)).toMatchObject({
      outcome: 'applied',
      groups: { added: 0, changed: 1, deleted: 0 },
      users: { added: 0, edited: 0, moved: 1, deleted: 1 },
    });
    const { rows } = await world!.pool.query(
      `SELECT g.name, p.name AS parent FROM org.groups g JOIN org.groups p ON p.connection_id = g.connection_id AND p.id = g.parent_id
       WHERE g.connection_id = $1 AND g.name = 'Moved'`,
      [name],
    );
    expect(rows).toEqual([{ name: 'Moved', parent: 'Unit 2' }]);
    const left = await world!.pool.query(
      `SELECT u.user_name, m.is_primary FROM org.memberships m JOIN org.groups g ON g.connection_id = m.connection_id AND g.id = m.group_id
       JOIN org.users u ON u.connection_id = m.connection_id AND u.id = m.user_id WHERE m.connection_id = $1 AND g.name = 'Team'`,
      [name],
    );
    expect(left.rows).toEqual([{ user_name: 'u40', is_primary: false }]);
  });

  it('ou=Sales and cn=Sales side by side are two groups', async () => {
    const sales = `ou=Sales,${suffix}`;
    const anna = `uid=anna,${sales}`;
    const slapd = await start({
      ldif: [
        entry(sales, ['objectClass: organizationalUnit', 'ou: Sales']),
        entry(anna, ['objectClass: inetOrgPerson', 'uid: anna', 'cn: Anna', 'sn: A']),
        entry(`cn=Sales,${suffix}`, ['objectClass: groupOfNames', 'cn: Sales', `member: ${anna}`]),
      ],
    });
    const name = await world!.connect({
      platform: 'ldap',
      baseUrl: slapd.url,
      credential: readerPassword,
      options: { baseDn: suffix, bindDn: readerDn },
    });
    expect(await world!.run(name)).toMatchObject({
      groups: { added: 2, rejected: 0 },
      users: { added: 1, rejected: 0 },
      memberships: { added: 2 },
    });
  });
});
