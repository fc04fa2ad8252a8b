import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, onTestFinished, test } from 'vitest';
import { openCli } from './harness/cli.ts';

const { world, cli, token, fresh, sandbox, connected } = await openCli();

describe('connect', () => {
  test('reads one page of each list, says what it saw and seals the credential', async () => {
    const source = await sandbox({ users: 300, groups: 30 });
    const name = fresh();
    const said = await cli(
      `connect ${name} --platform scim --url ${source.url} --tenant t1 --credential-env ACME_TOKEN --option guards.users.count=10 --option steps.deleteUsers=false`,
    );
    expect(said).toMatchObject({ code: 0, err: '' });
    expect(said.out).toContain('Read one page of each list: 200 of 300 users, 30 of 30 groups.');
    expect(said.out).toContain(`Saved connection ${name}: scim, tenant t1, ${source.url}, credential sealed.`);
    const { rows } = await world.pool.query('SELECT options, credential FROM syncline.connections WHERE id = $1', [
      name,
    ]);
    expect(rows[0].options).toEqual({ guards: { users: { count: 10 } }, steps: { deleteUsers: false } });
    expect(rows[0].credential.toString('latin1')).not.toContain(token);
  });

  test('changes only what is given, and keeps the credential', async () => {
    const source = await sandbox();
    const name = await connected(
      source,
      '--tenant',
      'kept',
      '--option',
      'guards.users.count=10',
      '--option',
      'pageSize=50',
    );
    const said = await cli(['connect', name, '--option', 'userFilter=active eq true', '--unset', 'guards.users.count']);
    expect(said).toMatchObject({ code: 0, err: '' });
    expect(said.out).toContain(`Changed connection ${name}: scim, tenant kept, ${source.url}, credential sealed.`);
    const { rows } = await world.pool.query('SELECT options FROM syncline.connections WHERE id = $1', [name]);
    expect(rows[0].options).toEqual({ pageSize: 50, userFilter: 'active eq true' });
  });

  test('asks for the credential where somebody can answer', async () => {
    const source = await sandbox();
    const name = fresh();
    const said = await cli(`connect ${name} --platform scim --url ${source.url}`, { types: [token] });
    expect(said).toMatchObject({ code: 0, out: expect.stringContaining(`Credential of ${name} (not shown`) });
    expect((await cli(`start orgSync ${name} --dry-run --wait`)).code).toBe(0);
  });

  test('saves nothing when the probe fails, unless told not to look', async () => {
    const source = await sandbox();
    const name = fresh();
    const line = `connect ${name} --platform scim --url ${source.url} --credential-env WRONG`;
    const env = { WRONG: 'not-the-token' };
    const said = await cli(line, { env });
    expect(said.code).toBe(1);
    expect(said.err).toBe(
      `syncline: ${source.url}/Users refused the credential (401). Give a valid one: npx syncline connect ${name} --credential-env VARIABLE. Nothing was saved; --no-probe saves without reading.\n`,
    );
    expect((await cli(`status ${name}`)).err).toContain(`Connection "${name}" does not exist.`);
    expect((await cli(`${line} --no-probe`, { env })).code).toBe(0);
    expect((await cli(`connect ${name} --credential-env ACME_TOKEN`)).code).toBe(0);
  });

  test('says that nobody would be written when no groups come', async () => {
    const source = await sandbox({ users: 30, groups: 0 });
    const name = fresh();
    const line = `connect ${name} --platform scim --url ${source.url} --credential-env ACME_TOKEN`;
    const hint = `nobody would be written. Check filters and rights; if the source has no groups: npx syncline connect ${name} --option usersWithoutGroup=accept`;
    expect(await cli(line)).toMatchObject({ code: 0, out: expect.stringContaining(hint) });
    expect((await cli(`${line} --option usersWithoutGroup=accept`)).out).not.toContain('nobody would be written');
    expect((await cli(`start orgSync ${name} --wait`)).out).toContain('added 30');
  });

  test('says what is wrong with an address that is not the service root, in whole sentences', async () => {
    const source = await sandbox();
    const connectTo = (url: string) =>
      cli(`connect ${fresh()} --platform scim --url ${url} --credential-env ACME_TOKEN`);
    expect((await connectTo(`${new URL(source.url).origin}/scim/v9`)).err).toMatch(
      /does not exist \(404\): is the base address the SCIM service root\? Nothing was saved; --no-probe saves without reading\.\n$/,
    );
    const login = createServer((_, answer) => void answer.writeHead(302, { location: '/login' }).end());
    onTestFinished(() => void login.close());
    await once(login.listen(0, '127.0.0.1'), 'listening');
    const { port } = login.address() as AddressInfo;
    expect((await connectTo(`http://127.0.0.1:${port}/scim/v2`)).err).toMatch(
      /answered 302, a redirect, which is not followed .+: is the base address right\? Nothing was saved/,
    );
  });

  test('does not send a stored credential to another server', async () => {
    const [source, stranger] = [await sandbox(), await sandbox()];
    const name = await connected(source);
    const said = await cli(`connect ${name} --url ${stranger.url}`);
    expect(said).toMatchObject({
      code: 1,
      err: expect.stringContaining('the stored credential is not sent there by itself'),
    });
    expect(stranger.requests.total).toBe(0);
  });

  test.each([
    ['another host', 'ldaps://127.0.0.1:9', 'ldaps://stranger.example:9'],
    ['the same host without TLS', 'ldaps://127.0.0.1:9', 'ldap://127.0.0.1:9'],
  ])('does not send the password of a directory to %s', async (_what, url, other) => {
    const name = fresh();
    const args = ['--platform', 'ldap', '--url', url, '--option', 'baseDn=dc=example,dc=org', '--no-probe'];
    await cli(['connect', name, ...args, '--credential-env', 'ACME_TOKEN']);
    expect(await cli(['connect', name, '--url', other, '--no-probe'])).toMatchObject({
      code: 1,
      err: expect.stringContaining('the stored credential is not sent there by itself'),
    });
    expect(await cli(['connect', name, '--url', `${url}/`, '--no-probe'])).toMatchObject({ code: 0 });
  });

  const base = ['connect', 'bad-input', '--platform', 'scim', '--url', 'http://127.0.0.1:9/scim/v2'];
  const ldap = [
    'connect',
    'bad-input',
    '--platform',
    'ldap',
    '--url',
    'ldap://127.0.0.1:9',
    '--credential-env',
    'ACME_TOKEN',
  ];
  const based = [...ldap, '--option', 'baseDn=dc=example,dc=org'];
  const withVariable = [...base, '--credential-env', 'ACME_TOKEN'];
  test.each<[string, string[], number, string]>([
    ['a credential as argument', [...base, '--token', 'hunter2'], 2, 'A credential is not taken as an argument'],
    ['a credential behind =', [...base, '--credential=hunter2'], 2, 'A credential is not taken as an argument'],
    [
      'a credential in the address',
      ['connect', 'x', '--platform', 'scim', '--url', 'http://me:hunter2@h/'],
      2,
      'a user or password inside the address is not taken',
    ],
    [
      'a credential in place of a variable',
      [...base, '--credential-env', 'hunter2-hunter2'],
      2,
      'got something that is no name of a variable',
    ],
    ['a mistyped option with a value', [...base, '--tokn=hunter2'], 2, "unknown option '--tokn'"],
    ['a variable that is not set', [...base, '--credential-env', 'NO_SUCH'], 1, 'the variable NO_SUCH is not set here'],
    ['no credential where nobody can be asked', base, 1, 'nobody can be asked here'],
    [
      'a wrong value',
      [...withVariable, '--option', 'guards.users.count=ten'],
      2,
      'options: guards.users.count: got "ten", accepted a whole number from 0 to 100000000',
    ],
    [
      'a value out of its bounds',
      [...withVariable, '--option', 'pageSize=0'],
      2,
      'options: pageSize: got 0, accepted a whole number from 1 to 10000',
    ],
    [
      'a choice that is none',
      [...withVariable, '--option', 'paging=scroll'],
      2,
      'options: paging: got "scroll", accepted ("index" | "cursor")',
    ],
    [
      'an unknown option of the source',
      [...withVariable, '--option', 'gards=1'],
      2,
      'options: unknown field "gards" (accepted: ',
    ],
    ['an option without a value', [...withVariable, '--option', 'pageSize'], 2, 'accepted key=value'],
    ['a key that is none', [...withVariable, '--option', '__proto__.x=1'], 2, 'accepted names joined by dots'],
    [
      'an unknown platform',
      ['connect', 'x', '--platform', 'gopher', '--url', 'http://h'],
      2,
      'orgSync reads: scim, ldap',
    ],
    [
      'an address of another kind',
      ['connect', 'x', '--platform', 'ldap', '--url', 'http://h'],
      2,
      'accepted for ldap: ldap://host or ldaps://host',
    ],
    [
      'LDAP without a base',
      ldap,
      2,
      'options: baseDn: got nothing, accepted a distinguished name such as ou=people,dc=example,dc=org',
    ],
    [
      'a base that is no name',
      [...ldap, '--option', 'baseDn=5'],
      2,
      'options: baseDn: got 5, accepted a distinguished name such as ou=people,dc=example,dc=org',
    ],
    [
      'a list that is a text',
      [...based, '--option', 'memberAttributes=member'],
      2,
      'options: memberAttributes: got "member", accepted a list, each an attribute name such as employeeNumber',
    ],
    [
      'a mapping to no attribute',
      [...based, '--option', 'mapping.title=5'],
      2,
      'options: mapping.title: got 5, accepted an attribute name such as employeeNumber, or a list, each an attribute name',
    ],
    [
      'an empty text',
      [...based, '--option', 'bindDn='],
      2,
      'options: bindDn: got a text of 0 characters, accepted at least 1',
    ],
    [
      'a page of halves',
      [...based, '--option', 'pageSize=1.5'],
      2,
      'options: pageSize: got 1.5, accepted a whole number',
    ],
    [
      'a text where an object belongs',
      [...based, '--option', 'mapping=hunter'],
      2,
      'options: mapping: got "hunter", accepted Object',
    ],
    [
      'a step that is none',
      [...based, '--option', 'steps.addPeople=false'],
      2,
      'options: unknown field "steps.addPeople" (accepted: "deleteUsers" | "addGroups"',
    ],
    [
      'a password as an option',
      [...based, '--option', 'bindPassword=hunter2'],
      2,
      'options: unknown field "bindPassword" (accepted: ',
    ],
    [
      'TLS twice',
      [...based, '--url', 'ldaps://127.0.0.1:9', '--option', 'startTls=true'],
      1,
      'is TLS from the start: set startTls to false. Nothing was saved',
    ],
    ['no address the first time', ['connect', 'x', '--platform', 'scim'], 2, 'to make it, add --url ADDRESS'],
    [
      'a name that is none',
      ['connect', 'Not A Name'],
      2,
      'connection: got "Not A Name", accepted a name of 1-64 characters',
    ],
    ['a server that does not answer', withVariable, 1, 'did not answer (ECONNREFUSED). Nothing was saved'],
  ])('refuses %s', async (_what, args, code, message) => {
    const said = await cli(args);
    expect(said.err).toContain(message);
    expect(said.err.trimEnd().split('\n')).toHaveLength(1);
    expect(said.err).not.toContain('hunter2');
    if (message.startsWith('options: ')) expect(said.err).toContain('Correct it with: npx syncline connect bad-input');
    expect(said.code).toBe(code);
    expect(await saved('bad-input')).toBe(0);
  });
});

async function saved(name: string): Promise<number> {
  const { rows } = await world.pool.query('SELECT count(*)::int AS n FROM syncline.connections WHERE id = $1', [name]);
  return rows[0].n;
}
