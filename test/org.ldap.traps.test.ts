import { afterAll, afterEach, describe, expect, it } from 'vitest';
import type { SourcePage } from '../activities/org/source.ts';
import {
  closeSources,
  failure,
  groupNamed,
  memberships,
  pagesOf,
  type Read,
  readAll,
  signal,
  sourceOf,
  start,
  stopLater,
  stopServers,
  userNamed,
  withoutSlapd,
} from './harness/ldap-read.ts';
import { companyLdif, entry, personDn, readerDn, startSlapd, suffix, unitDn } from './harness/slapd.ts';

afterEach(closeSources);
afterAll(stopServers);

const person = (dn: string, uid: string, more: string[] = []) =>
  entry(dn, ['objectClass: inetOrgPerson', `uid: ${uid}`, `cn: ${uid}`, 'sn: X', ...more]);
const unit = (dn: string, name: string) => entry(dn, ['objectClass: organizationalUnit', `ou: ${name}`]);

describe.skipIf(withoutSlapd())('LDAP from slapd', () => {
  const company = { people: 700, units: 30, groups: 5, groupMembers: 150 };

  it('never takes a size limit for the end of a list', async () => {
    for (const [limit, code] of [
      ['size=500', 4],
      ['size.soft=500 size.hard=500', 4],
      ['size=unlimited size.prtotal=500', 4],
      ['size=unlimited size.prtotal=disabled', 11],
    ] as const) {
      const limited = await start({ ldif: companyLdif(company), limits: [`limits dn.exact="${readerDn}" ${limit}`] });
      // The last two limits are of paged searches only.
      for (const pageSize of limit.includes('prtotal') ? [1_000, 200] : [1_000, 200, 0]) {
        const rows: number[] = [];
        const reading = pagesOf(sourceOf(limited.url, { pageSize }), 'users', async (page) => {
          expect(page.ended).toBeNull();
          rows.push(page.page.users.length);
        });
        expect(await failure(reading), `${limit}, pages of ${pageSize}`).toMatch(
          new RegExp(`^Forbidden: .*LDAP code ${code}, the bind user is under a size limit`),
        );
        expect(rows.reduce((a, b) => a + b, 0)).toBeLessThan(700);
        const probed = sourceOf(limited.url, { pageSize });
        expect(await failure(probed.probe(signal))).toContain('under a size limit');
        await probed.close();
      }
    }
  });

  it('asks for smaller pages where the server caps them', async () => {
    const capped = await start({
      ldif: companyLdif(company),
      limits: [`limits dn.exact="${readerDn}" size=unlimited size.pr=200 size.prtotal=unlimited`],
    });
    const read = await readAll(sourceOf(capped.url));
    expect(read.users).toHaveLength(700);
    expect(read.lists.users[0]?.page.users).toHaveLength(125);
    expect(read.doubts).toEqual([null, null]);
  });

  it('loses no membership to the way names are written, and hands back who is nobody', async () => {
    const smith = `cn=Smith\\, S\\C3\\B8ren,ou=Sales,${suffix}`;
    const odd = await start({
      ldif: [
        unit(`ou=Sales,${suffix}`, 'Sales'),
        unit(`ou=R\\2BD \\C3\\86,ou=Sales,${suffix}`, 'R+D Æ'),
        entry(smith, ['objectClass: inetOrgPerson', 'uid: smith', 'cn: Smith, Søren', 'sn: Smith']),
        person(`uid=anna+cn=anna,ou=R\\+D \\C3\\86,ou=Sales,${suffix}`, 'anna'),
        person(`uid=bo,ou=Sales,${suffix}`, 'bo'),
        entry(`cn=Mixed,${suffix}`, [
          ...['objectClass: groupOfNames', 'cn: Mixed', 'member: '],
          `member: CN="Smith, Søren" , OU=SALES,${suffix}`,
          `member: cn=ANNA + UID=anna,ou=r\\2bd æ,ou=Sales,${suffix}`,
          `member: 0.9.2342.19200300.100.1.1=\\42o,ou=Sales,${suffix}`,
          `member: uid=gone\\2C she is,ou=Sales,${suffix}`,
          `member: cn=Inner,${suffix}`,
        ]),
        entry(`cn=Inner,${suffix}`, [
          ...['objectClass: groupOfUniqueNames', 'cn: Inner'],
          `uniqueMember: uid=bo,ou=Sales,${suffix}#'0101'B`,
        ]),
        entry(`cn=Unix,${suffix}`, [
          ...['objectClass: posixGroup', 'cn: Unix', 'gidNumber: 7', 'memberUid: anna', 'memberUid: nobody'],
        ]),
      ],
    });
    const read = await readAll(sourceOf(odd.url));
    expect(memberships(read)).toEqual([
      '*R+D Æ > anna',
      '*Sales > bo',
      '*Sales > smith',
      'Inner > bo',
      'Mixed > Inner',
      'Mixed > anna',
      'Mixed > bo',
      'Mixed > smith',
      `Mixed > uid=gone\\2c she is,ou=sales,${suffix}`,
      'Unix > anna',
      'Unix > uid=nobody',
    ]);
    expect(read.unkeyed).toEqual([]);
    expect(groupNamed(read, 'R+D Æ').parentId).toBe(groupNamed(read, 'Sales').id);
  });

  it('keeps the ids of a moved subtree, and shows a removed member and a deleted person as gone', async () => {
    const changing = await start({ ldif: companyLdif({ ...company, people: 200 }) });
    const source = sourceOf(changing.url);
    const before = await readAll(source);
    const victim = personDn(31, { ...company, people: 200 });
    await changing.change(
      [
        `dn: ${unitDn(1)}\nchangetype: modrdn\nnewrdn: ou=Moved\ndeleteoldrdn: 0\nnewsuperior: ${unitDn(2)}\n`,
        `dn: ${personDn(5, { people: 200, units: 30 })}\nchangetype: delete\n`,
        `dn: cn=Group 0,${suffix}\nchangetype: modify\ndelete: member\nmember: ${victim}\n`,
      ].join('\n'),
    );
    const after = await readAll(source);
    const ids = (rows: { id: string }[]) => rows.map((r) => r.id).sort();
    expect(ids(after.groups)).toEqual(ids(before.groups));
    expect(groupNamed(after, 'Moved').id).toBe(groupNamed(before, 'Unit 1').id);
    expect(groupNamed(after, 'Moved').parentId).toBe(groupNamed(before, 'Unit 2').id);
    expect(after.users).toHaveLength(199);
    const rest = before.users.filter((u) => u.id !== userNamed(before, 'u5').id);
    expect(ids(after.users)).toEqual(ids(rest));
    const primaries = (read: Read) =>
      new Map(read.members.filter((m) => m.isPrimary).map((m) => [m.memberId, m.groupId]));
    expect(primaries(after).get(userNamed(after, 'u31').id)).toBe(primaries(before).get(userNamed(after, 'u31').id));
    expect(memberships(before)).toContain('Group 0 > u31');
    expect(memberships(after)).not.toContain('Group 0 > u31');
    expect(memberships(after)).not.toContain('Group 0 > u5');
  });

  it('doubts a read during which a unit was moved', async () => {
    const changing = await start({ ldif: companyLdif(company) });
    let moved = false;
    const pages = await pagesOf(sourceOf(changing.url, { pageSize: 100 }), 'users', async () => {
      if (!moved) await changing.change(`dn: ${unitDn(29)}\nchangetype: modrdn\nnewrdn: ou=Later\ndeleteoldrdn: 0\n`);
      moved = true;
    });
    expect(pages.at(-1)?.ended?.doubt).toBe('groups were added, moved or deleted while the list was read');
  });

  it('fails when the bind user does not see the base entry, by whatever code the server says so', async () => {
    const rule = (what: string, right: string) => `access to ${what} by dn.exact="${readerDn}" ${right} by * auth`;
    const read = (base: string) => startSlapd({ ldif: companyLdif(company), access: [base, rule('*', 'read')] });
    const cases = [
      [rule(`dn.exact="${suffix}"`, 'none'), /^InvalidInput: .*"dc=example,dc=org": LDAP code 32/],
      [rule(`dn.exact="${suffix}"`, 'disclose'), /^Forbidden: .*LDAP code 50/],
      [rule(`dn.exact="${suffix}" attrs=entry`, 'search'), /^Forbidden: .*does not see the base entry/],
    ] as const;
    for (const [access, message] of cases) {
      const blind = await read(access);
      stopLater(blind);
      const source = sourceOf(blind.url);
      for (const stream of ['users', 'groups'] as const)
        expect(await failure(pagesOf(source, stream))).toMatch(message);
      expect(await failure(source.probe(signal))).toMatch(message);
      expect(await failure(source.readOne!('users', 'somebody', signal))).toMatch(message);
    }
  });

  it('takes hidden members for unread, not for nobody', async () => {
    const hidden = await start({
      ldif: companyLdif(company),
      access: [
        'access to attrs=userPassword by anonymous auth by * none',
        'access to attrs=member by * none',
        'access to * by * read',
      ],
    });
    const read = await readAll(sourceOf(hidden.url));
    expect(read.members.every((m) => m.isPrimary)).toBe(true);
    const unread = read.groups.filter((g) => !g.membersRead).map((g) => g.name);
    expect(unread.sort()).toEqual(['Group 0', 'Group 1', 'Group 2', 'Group 3', 'Group 4']);
  });

  it('counts referrals and doubts the read, unless they are known to hold nobody', async () => {
    const referring = await start({
      ldif: [
        unit(`ou=here,${suffix}`, 'here'),
        person(`uid=a,ou=here,${suffix}`, 'a'),
        entry(`ou=there,${suffix}`, [
          ...['objectClass: referral', 'objectClass: extensibleObject', 'ou: there'],
          `ref: ldap://127.0.0.1:1/ou=there,${suffix}`,
        ]),
      ],
    });
    const told = '1 referrals to other servers were not followed';
    expect((await readAll(sourceOf(referring.url))).doubts).toEqual([told, told]);
    expect((await readAll(sourceOf(referring.url, { referrals: 'ignore' }))).doubts).toEqual([null, null]);
    expect((await sourceOf(referring.url).probe(signal)).notes).toContain(
      '1 referrals among the first users: see the option referrals',
    );
  });

  it('says that the server is away when it dies in the middle of a read', async () => {
    const dying = await start({ ldif: companyLdif(company) });
    const seen: SourcePage[] = [];
    const reading = pagesOf(sourceOf(dying.url, { pageSize: 50 }), 'users', async (page) => {
      if (seen.push(page) === 1) await dying.kill();
    });
    expect(await failure(reading)).toMatch(/^Unavailable: ldap:\/\/127\.0\.0\.1:\d+ /);
    expect(seen.length).toBeLessThan(4);
    expect(seen.every((page) => page.ended === null)).toBe(true);
  });
});
