import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { BerReader, BerWriter, PagedResultsControl, PresenceFilter, SearchRequest } from 'ldapts';
import * as v from 'valibot';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { ldapSource } from '../activities/org/ldap.ts';
import type { OrgSource, SourcePage, StagedGroups } from '../activities/org/source.ts';
import { dnKey, rdnValue } from '../connectors/ldap/dn.ts';
import { DnIndex } from '../connectors/ldap/dnIndex.ts';
import { guidBytes, guidText } from '../connectors/ldap/entry.ts';
import { ldapOptions } from '../connectors/ldap.ts';
import type { Stream } from '../db/org/stageRows.ts';
import {
  companyLdif,
  entry,
  personDn,
  readerDn,
  readerPassword,
  type Slapd,
  type SlapdOptions,
  slapdMissing,
  startSlapd,
  suffix,
  unitDn,
} from './harness/slapd.ts';
import { openWorld } from './harness/world.ts';

const missing = slapdMissing();
if (missing !== null) process.stdout.write(`The LDAP tests need slapd and are skipped. Install it with: ${missing}\n`);

let signal: AbortSignal;
const sources: OrgSource[] = [];
const servers: { stop(): Promise<void> }[] = [];

beforeEach(() => {
  signal = new AbortController().signal;
});
afterEach(async () => {
  for (const source of sources.splice(0)) await source.close();
});
afterAll(async () => {
  for (const server of servers) await server.stop();
});

function sourceOf(url: string, options: Record<string, unknown> = {}, password: string | null = readerPassword) {
  const given = { baseDn: suffix, ...(password === null ? {} : { bindDn: readerDn }), ...options };
  const source = ldapSource(url, password, v.parse(ldapOptions, given));
  sources.push(source);
  return source;
}

async function start(options: SlapdOptions): Promise<Slapd> {
  const slapd = await startSlapd(options);
  servers.push(slapd);
  return slapd;
}

/** LDAP reads its groups itself and asks nothing of the stage. */
const noGroups: StagedGroups = { ids: async () => [], level: async () => [], count: async () => 0 };

async function pagesOf(source: OrgSource, stream: Stream, onPage?: (page: SourcePage) => Promise<void>) {
  const pages: SourcePage[] = [];
  for await (const page of source.pages(stream, null, signal, noGroups)) {
    pages.push(page);
    await onPage?.(page);
  }
  return pages;
}

/** Reads both lists to their ends. */
async function readAll(source: OrgSource) {
  const lists = { groups: await pagesOf(source, 'groups'), users: await pagesOf(source, 'users') };
  const pages = [...lists.groups, ...lists.users].map((p) => p.page);
  return {
    lists,
    groups: pages.flatMap((p) => p.groups),
    users: pages.flatMap((p) => p.users),
    members: pages.flatMap((p) => p.members),
    unkeyed: pages.flatMap((p) => p.unkeyed),
    doubts: [lists.groups, lists.users].map((list) => list.at(-1)?.ended?.doubt),
  };
}
type Read = Awaited<ReturnType<typeof readAll>>;

const userNamed = (read: Read, name: string) => read.users.find((u) => u.fields[0] === name)!;
const groupNamed = (read: Read, name: string) => read.groups.find((g) => g.name === name)!;
/** `group > person` for each membership, `*` before primary ones; what is nobody's stands as its id. */
function memberships(read: Read): string[] {
  const names = new Map<string, unknown>([
    ...read.users.map((u) => [u.id, u.fields[0]] as const),
    ...read.groups.map((g) => [g.id, g.name] as const),
  ]);
  return read.members
    .map((m) => `${m.isPrimary ? '*' : ''}${names.get(m.groupId)} > ${names.get(m.memberId) ?? m.memberId}`)
    .sort();
}

async function failure(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => expect.fail('it should have failed'),
    (error: Error & { type?: string }) => `${error.type}: ${error.message}`,
  );
}

const person = (dn: string, uid: string, more: string[] = []) =>
  entry(dn, ['objectClass: inetOrgPerson', `uid: ${uid}`, `cn: ${uid}`, 'sn: X', ...more]);
const unit = (dn: string, name: string) => entry(dn, ['objectClass: organizationalUnit', `ou: ${name}`]);

describe('names of entries', () => {
  it.each([
    ['cn=Smith\\2C S\\C3\\B8ren,dc=example', 'cn=Smith\\, Søren,dc=example'],
    ['CN=Smith\\,  søren , DC=Example', 'cn=smith\\2c Søren,dc=example'],
    ['cn="Smith, Søren";dc=example', 'cn=Smith\\, Søren,dc=example'],
    ['2.5.4.3=#0c0d536d6974682c2053c3b872656e,dc=example', 'cn=Smith\\, Søren,dc=example'],
    ['OID.2.5.4.11=Sales,domainComponent=x', 'ou=sales,dc=x'],
    ['cn=Anna+l=Oslo,dc=x', 'L=oslo + CN=anna,dc=x'],
    ['cn=Ame\u0301lie,dc=x', 'cn=Am\u00e9lie,dc=x'],
    ['cn=\\ a \\ ,dc=x', 'cn=a,dc=x'],
    ['cn=1=2\\+3\\\\\\"\\#,dc=x', 'cn=1\\3d2\\2B3\\5C\\22\\23,dc=x'],
  ])('takes %s for %s', (a, b) => {
    expect(dnKey(a)).not.toBeNull();
    expect(dnKey(a)).toBe(dnKey(b));
  });

  it.each([
    ['cn=a\\,b,dc=x', 'cn=a,cn=b,dc=x'],
    ['cn=a\\+b=c,dc=x', 'cn=a+b=c,dc=x'],
    ['cn=ab,dc=x', 'cn=a b,dc=x'],
    ['cn=o,dc=x', 'cn=ø,dc=x'],
  ])('tells %s from %s', (a, b) => expect(dnKey(a)).not.toBe(dnKey(b)));

  it('says of a text without type or with half an escape that it is no name', () => {
    expect([dnKey('anna'), dnKey('cn=a,anna'), dnKey('=x'), dnKey('cn=#0g')]).toEqual([null, null, null, null]);
    expect([dnKey(''), dnKey('  ')]).toEqual(['', '']);
  });

  it('does not fail on values that lie about their length', () => {
    expect(dnKey('cn=#0c84,dc=x')).toBe('cn=\\230c84,dc=x');
    expect(dnKey('cn=#0c05aa,dc=x')).toBe('cn=\\230c05aa,dc=x');
    expect(dnKey('cn=#,dc=x')).toBeNull();
  });

  it('shows the value of an RDN unescaped and as it is written', () => {
    expect(rdnValue('ou=Sales\\, S\\C3\\B8r,dc=x')).toBe('Sales, Sør');
    expect(rdnValue('')).toBeNull();
  });

  it('finds an entry by another spelling, its nearest ancestor, and nobody where two have one name', () => {
    const index = new DnIndex();
    index.add('ou=Sales\\2C North,dc=x', 'sales');
    index.add('dc=x', 'root');
    expect(index.get('OU=sales\\, north, DC=x')).toBe('sales');
    expect(index.nearest('uid=a,ou=between,ou=Sales\\, North,dc=x')).toBe('sales');
    expect(index.nearest('ou=Sales\\2C North,dc=x')).toBe('root');
    expect(index.nearest('dc=x')).toBeNull();
    index.add('ou=sales\\2c  north,dc=x', 'another');
    expect(index.get('ou=Sales\\, North,dc=x')).toBeUndefined();
  });
});

describe('options', () => {
  it('refuses names and filters that are none, and unknown options', () => {
    const accepts = (options: object) => v.safeParse(ldapOptions, { baseDn: suffix, ...options }).success;
    expect(accepts({})).toBe(true);
    expect(accepts({ baseDn: 'example.org' })).toBe(false);
    expect(accepts({ userFilter: '(&(objectClass=person)' })).toBe(false);
    expect(accepts({ userFilter: '(&(objectClass=person)(!(memberOf:1.2.840.113556.1.4.1941:=cn=x)))' })).toBe(true);
    expect(accepts({ sizeLimit: 500 })).toBe(false);
    expect(accepts({ idAttribute: 'entry UUID' })).toBe(false);
    expect(accepts({ mapping: { title: ['description', 'title'] } })).toBe(true);
  });

  it('refuses addresses and sign-ins that cannot be meant', async () => {
    const open = (url: string, options: object) => () => ldapSource(url, null, v.parse(ldapOptions, options));
    expect(open('https://127.0.0.1', { baseDn: suffix })).toThrow('ldap://host:port or ldaps://host:port');
    expect(open('ldaps://127.0.0.1', { baseDn: suffix, startTls: true })).toThrow('TLS from the start');
    const withoutPassword = sourceOf('ldap://127.0.0.1:1', { bindDn: readerDn }, null);
    expect(await failure(withoutPassword.probe(signal))).toMatch(/^InvalidInput: .*bindDn without a password/);
    const refused = await failure(sourceOf('ldap://127.0.0.1:1').probe(signal));
    expect(refused).toBe('Unavailable: ldap://127.0.0.1:1 did not answer (ECONNREFUSED)');
  });
});

describe.skipIf(missing !== null)('LDAP from slapd', () => {
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
      /^InvalidInput: The option caFile names a file that this worker cannot read \(ENOENT\)/,
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
      servers.push(blind);
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

describe('what other servers answer', () => {
  const guid = '00112233-4455-6677-8899-aabbccddeeff';
  const bytes = Buffer.from('33221100554477668899aabbccddeeff', 'hex');

  it('writes objectGUID as the GUID that its tools show', () => {
    expect(guidText(bytes)).toBe(guid);
    expect(guidBytes(guid)).toEqual(bytes);
    expect([guidText(Buffer.alloc(4)), guidBytes('no guid')]).toEqual([null, null]);
  });

  it('goes on behind an empty page that has a cookie, and reads member lists that are cut to the end', async () => {
    const dnOf = (n: number) => `CN=u${n},OU=Staff,${suffix}`;
    const id = (n: number) => Buffer.concat([bytes.subarray(0, 15), Buffer.from([n])]);
    const people = [1, 2, 3].map((n) => ({
      dn: dnOf(n),
      values: { objectGUID: [id(n)], sAMAccountName: [`u${n}`], userAccountControl: [n === 2 ? '514' : '512'] },
    }));
    const url = await scripted((request) => {
      if (request.scope === 'base' && request.attributes[0]?.startsWith('member;range=2'))
        return { entries: [{ dn: `CN=All,${suffix}`, values: { 'member;range=2-*': [dnOf(3)] } }] };
      if (request.scope === 'base') return { entries: [{ dn: request.baseDN, values: {} }] };
      if (request.sizeLimit === 1) return { entries: [{ dn: `CN=All,${suffix}`, values: {} }], code: 4 };
      if (request.filter.toString().includes('organizationalunit'))
        return {
          entries: [
            { dn: `OU=Staff,${suffix}`, values: { objectGUID: [id(10)], objectClass: ['organizationalUnit'] } },
            {
              dn: `CN=All,${suffix}`,
              values: {
                ...{ objectGUID: [id(11)], objectClass: ['group'], member: [] },
                'member;range=0-1': [dnOf(1), dnOf(2).toUpperCase()],
              },
            },
          ],
        };
      const page = Number(request.cookie || 0);
      const entries = [[people[0]!], [], [], [people[1]!, people[2]!]][page]!;
      return { entries, cookie: page < 3 ? String(page + 1) : '' };
    });
    const read = await readAll(sourceOf(url, { idAttribute: 'objectGUID' }, null));
    expect(read.users.map((u) => [u.id, u.fields[0], u.fields[8]])).toEqual([
      [guid.replace(/ff$/, '01'), 'u1', true],
      [guid.replace(/ff$/, '02'), 'u2', false],
      [guid.replace(/ff$/, '03'), 'u3', true],
    ]);
    expect(memberships(read)).toEqual([
      '*Staff > u1',
      '*Staff > u2',
      '*Staff > u3',
      'All > u1',
      'All > u2',
      'All > u3',
    ]);
    expect(read.doubts).toEqual([null, null]);
  });

  it('doubts a read after which the bind user no longer sees the base entry', async () => {
    let looks = 0;
    const url = await scripted((request) => {
      if (request.scope === 'base') return { entries: looks++ === 0 ? [{ dn: suffix, values: {} }] : [] };
      return { entries: [{ dn: `uid=a,${suffix}`, values: { entryUUID: ['a'], uid: ['a'] } }], cookie: '' };
    });
    const pages = await pagesOf(sourceOf(url, {}, null), 'users');
    expect(pages.at(-1)?.ended).toMatchObject({
      sign: 'empty cookie',
      doubt: `the bind user no longer sees "${suffix}"`,
    });
  });

  it('says that a server which talks something else is not understood or gone', async () => {
    const server = createServer((socket) => socket.end(Buffer.from([0x30, 0x03, 0x02, 0x01, 0x01])));
    const url = await listen(server);
    expect(await failure(sourceOf(url).probe(signal))).toMatch(/^(BadAnswer|Unavailable): ldap:\/\/127\.0\.0\.1:\d+ /);
  });
});

describe.skipIf(missing !== null)('orgSync from LDAP', async () => {
  const world = missing === null ? await openWorld() : null;

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
});

interface Scripted {
  entries: { dn: string; values: Record<string, (string | Buffer)[]> }[];
  code?: number;
  cookie?: string;
}

/** A server that answers each search as the script says: for answers that slapd never gives. */
async function scripted(script: (request: SearchRequest & { cookie: string }) => Scripted): Promise<string> {
  const server = createServer((socket: Socket) => {
    socket.on('data', (data: Buffer) => {
      const reader = new BerReader(data);
      reader.readSequence();
      const messageId = reader.readInt() as number;
      if (reader.readSequence() !== 0x63) return;
      const request = new SearchRequest({ messageId, filter: new PresenceFilter() });
      request.parse(reader, []);
      const control = request.controls?.find((c) => c instanceof PagedResultsControl);
      const answer = script(Object.assign(request, { cookie: control?.value?.cookie?.toString() ?? '' }));
      for (const found of answer.entries) socket.write(entryMessage(messageId, found));
      socket.write(doneMessage(messageId, answer));
    });
  });
  return listen(server);
}

async function listen(server: ReturnType<typeof createServer>): Promise<string> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket) => sockets.add(socket));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  servers.push({
    stop: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  });
  return `ldap://127.0.0.1:${(server.address() as { port: number }).port}`;
}

function entryMessage(messageId: number, found: Scripted['entries'][number]): Buffer {
  return message(messageId, 0x64, (writer) => {
    writer.writeString(found.dn);
    writer.startSequence();
    for (const [type, values] of Object.entries(found.values)) {
      writer.startSequence();
      writer.writeString(type);
      writer.startSequence(0x31);
      for (const value of values) writer.writeBuffer(Buffer.from(value as string), 0x04);
      writer.endSequence();
      writer.endSequence();
    }
    writer.endSequence();
  });
}

function doneMessage(messageId: number, { code = 0, cookie }: Scripted): Buffer {
  const done = (writer: BerWriter) => {
    writer.writeEnumeration(code);
    writer.writeString('');
    writer.writeString('');
  };
  return message(messageId, 0x65, done, (writer) => {
    if (cookie === undefined) return;
    writer.startSequence(0xa0);
    new PagedResultsControl({ value: { size: 0, cookie: Buffer.from(cookie) } }).write(writer);
    writer.endSequence();
  });
}

function message(
  messageId: number,
  tag: number,
  body: (writer: BerWriter) => void,
  after?: (writer: BerWriter) => void,
): Buffer {
  const writer = new BerWriter();
  writer.startSequence();
  writer.writeInt(messageId);
  writer.startSequence(tag);
  body(writer);
  writer.endSequence();
  after?.(writer);
  writer.endSequence();
  return writer.buffer;
}
