import { describe, expect, test } from 'vitest';
import { loadConnection } from '../db/connections.ts';
import { openCli } from './harness/cli.ts';

const { world, cli, fresh, shop } = await openCli();
const fields = { appSecret: 'hunter2-app', signSecret: 'hunter2-sign', refreshToken: 'hunter2-refresh' };
const env = { SHOP: JSON.stringify(fields) };
const stored = (name: string) => loadConnection(world.pool, world.key, name);
const line = (name: string, ...more: string[]) => ['connect', name, '--platform', 'kuaishou', ...more];
const enough = ['--option', 'appKey=ks007', '--credential-env', 'SHOP', '--no-probe'];

describe('connect, for an open platform', () => {
  test('takes the address of the platform and seals a JSON credential from a variable', async () => {
    const name = fresh();
    const said = await cli(line(name, ...enough, '--option', 'requestsPerSecond=50'), { env });
    expect(said).toEqual({
      code: 0,
      err: '',
      out: `Saved connection ${name}: kuaishou, tenant ${name}, https://openapi.kwaixiaodian.com/, credential sealed.\nNext: npx syncline start platformSync ${name} --wait\n`,
    });
    const { options, credential } = await stored(name);
    expect(options).toEqual({ appKey: 'ks007', requestsPerSecond: 50 });
    expect(JSON.parse(credential as string)).toEqual(fields);
  });

  test('says of limits of our own that leave no request that they do, not that the source asks to wait', async () => {
    const { name } = await shop();
    const said = await cli(`connect ${name} --option requestsPerSecond=0.02`);
    expect(said.code).toBe(1);
    expect(said.err).toMatch(
      /was not read: the limits of this connection, or what other work of it uses of them, let 1 request leave in time: raise its options \(requestsPerSecond and others\), or look later\. Nothing was saved/,
    );
  });

  test('keeps settings as they were typed, and the credential', async () => {
    const name = fresh();
    await cli(line(name, ...enough), { env });
    const said = await cli(['connect', name, '--option', 'appKey=00123456789012345678901', '--no-probe']);
    expect(said).toMatchObject({ code: 0, err: '' });
    const { options, credential } = await stored(name);
    expect(options).toEqual({ appKey: '00123456789012345678901' });
    expect(JSON.parse(credential as string)).toEqual(fields);
  });

  test('asks for each field of the credential and says what it is', async () => {
    const name = fresh();
    const said = await cli(line(name, '--option', 'appKey=ks007', '--no-probe'), { types: Object.values(fields) });
    expect(said).toMatchObject({ code: 0, err: '' });
    expect(said.out).toContain(
      `signSecret of ${name}: signSecret of the app, for signatures only; never sent. (not shown): `,
    );
    expect(JSON.parse((await stored(name)).credential as string)).toEqual(fields);
  });

  test('takes the options of orgSync too where that reads the platform, and a single field without JSON', async () => {
    const name = fresh();
    const app = ['--platform', 'feishu', '--option', 'appId=cli_1', '--credential-env', 'APP', '--no-probe'];
    const said = await cli(['connect', name, ...app, '--option', 'guards.users.count=10'], { env: { APP: 'hunter2' } });
    expect(said).toMatchObject({ code: 0, err: '' });
    expect(said.out).toContain(
      `Next: npx syncline start platformSync ${name} --wait\nNext: npx syncline start orgSync`,
    );
    const { options, credential } = await stored(name);
    expect(options).toEqual({ appId: 'cli_1', guards: { users: { count: 10 } } });
    expect(credential).toBe('{"appSecret":"hunter2"}');
    expect(await cli(['connect', name, '--option', 'gards=1', '--no-probe'])).toMatchObject({
      code: 2,
      err: expect.stringContaining('options: unknown field "gards" (accepted: appId, personId, streams'),
    });
  });

  test('does not send a stored credential to another server, nor to another platform', async () => {
    const name = fresh();
    await cli(line(name, ...enough), { env });
    expect(await cli(['connect', name, '--url', 'https://stranger.example'])).toMatchObject({
      code: 1,
      err: expect.stringContaining('the stored credential is not sent there by itself'),
    });
    expect(await cli(['connect', name, '--platform', 'scim', '--url', 'https://stranger.example'])).toMatchObject({
      code: 2,
      err: `syncline: --platform: connection "${name}" is of platform kuaishou and stays there. Make another connection for scim.\n`,
    });
    expect((await stored(name)).baseUrl).toBe('https://openapi.kwaixiaodian.com');
  });

  const withOption = (option: string) => ['--option', option, ...enough];
  test.each<[string, string[], string | undefined, number, string]>([
    [
      'a missing option',
      ['--credential-env', 'SHOP'],
      undefined,
      2,
      'options: appKey: got nothing, accepted a text: appKey of the app',
    ],
    [
      'an empty option',
      ['--option', 'appKey=', '--credential-env', 'SHOP'],
      undefined,
      2,
      'options: appKey: got an empty text, accepted a text',
    ],
    [
      'an unknown option',
      withOption('apKey=1'),
      undefined,
      2,
      'options: unknown field "apKey" (accepted: appKey, signMethod, streams, since',
    ],
    [
      'a value out of its bounds',
      withOption('parallel=33'),
      undefined,
      2,
      'options: parallel: got 33, accepted a whole number from 1 to 32',
    ],
    [
      'a stream that is none',
      withOption('streams=["order"]'),
      undefined,
      2,
      'options: streams: got "order", accepted orders, order_details',
    ],
    [
      'a secret as an option',
      withOption('appSecret=hunter2'),
      undefined,
      2,
      '--option: appSecret is a field of the credential of kuaishou, which is not taken as an argument',
    ],
    [
      'a credential that is no JSON',
      enough,
      'hunter2',
      1,
      'credential: got something else, accepted a JSON object {"appSecret":"…","signSecret":"…","refreshToken":"…"}',
    ],
    ['a list', enough, '["hunter2"]', 1, 'credential: got something else, accepted a JSON object'],
    ['an unknown field', enough, '{"hunter2":"x"}', 1, 'credential: got 1 unknown field, accepted a JSON object'],
    [
      'a missing field',
      enough,
      '{"appSecret":"hunter2"}',
      1,
      'credential: signSecret: got nothing, accepted a text: signSecret of the app',
    ],
    ['an empty field', enough, '{"appSecret":""}', 1, 'credential: appSecret: got an empty text, accepted a text'],
    [
      'a field that is no text',
      enough,
      '{"appSecret":["hunter2"]}',
      1,
      'credential: appSecret: got something that is no text, accepted a text',
    ],
    [
      'no credential',
      ['--option', 'appKey=ks007', '--no-credential'],
      undefined,
      1,
      'credential: appSecret: got nothing, accepted a text',
    ],
    ['nobody who can be asked', ['--option', 'appKey=ks007'], undefined, 1, 'nobody can be asked here'],
    [
      'an address of another kind',
      ['--url', 'ftp://h', ...enough],
      undefined,
      2,
      'accepted for kuaishou: https://host or http://host',
    ],
  ])('refuses %s', async (_what, args, secret, code, message) => {
    const name = fresh();
    const said = await cli(line(name, ...args), { env: { SHOP: secret ?? env.SHOP } });
    expect(said.err).toContain(message);
    expect(said.err.trimEnd().split('\n')).toHaveLength(1);
    expect(said.out + said.err).not.toContain('hunter2');
    expect(said.code).toBe(code);
    expect((await cli(`status ${name}`)).err).toContain('does not exist');
  });

  test('names the platforms there are', async () => {
    const said = await cli(['connect', fresh(), '--platform', 'gopher']);
    expect(said).toMatchObject({ code: 2 });
    expect(said.err).toMatch(
      /--platform: got "gopher", accepted what orgSync reads: scim, ldap.*, what platformSync reads: .*kuaishou.*, and channels: .*webhook/,
    );
  });
});
