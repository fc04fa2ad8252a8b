import { expect, test } from 'vitest';
import { openCli } from './harness/cli.ts';
import { until } from './harness/until.ts';

const { cli, fresh, shop, sandbox, connected } = await openCli();

const why =
  /says that a quota is used up \(1017\)\. The app's calls of the day are used up\. Ask for more traffic in the console/;

test('a quota that is used up says so wherever it holds somebody up, and resume ends the wait', async () => {
  const { name, source } = await shop();
  source.setFaults([{ type: 'refuse', kind: 'quota', api: 'open.comment.list.get' }]);
  await cli(`start platformSync ${name} --streams comments`);
  const waiting = (who: string, stream: string) =>
    until(`the wait of ${who}`, async () => {
      const { out } = await cli(`status ${who}`);
      return out.includes(`${stream}: waits`) ? out : undefined;
    });
  const status = await waiting(name, 'comments');
  expect(status).toMatch(/waits for +comments: waits until 20\S+Z: /);
  expect(status).toMatch(why);
  expect(status).toContain(`npx syncline resume ${name}`);

  const other = fresh();
  const { platform, baseUrl, credential, options } = source.connection();
  const settings = Object.entries(options).flatMap(([key, value]) => ['--option', `${key}=${value}`]);
  const line = ['connect', other, '--platform', platform, '--url', baseUrl, ...settings, '--credential-env', 'SHOP'];
  const env = { SHOP: JSON.stringify(credential) };
  const looked = await cli(line, { env });
  expect(looked.code).toBe(1);
  expect(looked.err).toMatch(why);
  expect(looked.err).not.toContain('raise its options');
  expect(await cli([...line, '--no-probe'], { env })).toMatchObject({ code: 0 });
  await cli(`start platformSync ${other} --streams coupons`);
  expect(await waiting(other, 'coupons'), 'nobody of this connection was ever refused').toMatch(why);

  source.setFaults([]);
  for (const who of [name, other]) expect((await cli(`resume ${who}`)).code).toBe(0);
  await until('the ends', async () =>
    (await Promise.all([name, other].map((who) => cli(`status ${who}`)))).every(({ out }) => /run +whole/.test(out)),
  );
  expect((await cli(line, { env })).code).toBe(0);
});

test('resume lifts a quota also where no run is open', async () => {
  const { name, source } = await shop();
  source.setFaults([{ type: 'refuse', kind: 'quota' }]);
  expect((await cli(`connect ${name}`)).err).toMatch(why);
  source.setFaults([]);
  expect((await cli(`connect ${name}`)).err, 'nothing leaves until then').toMatch(why);
  expect(await cli(`resume ${name}`)).toMatchObject({
    code: 0,
    out: `The wait for a used-up quota of ${name} is lifted.\n`,
  });
  expect((await cli(`connect ${name}`)).code).toBe(0);
  expect(await cli(`resume ${name}`)).toMatchObject({ code: 1, err: expect.stringContaining('nothing to resume') });
});

test('a directory that waits long is told when from, and asked again behind resume', async () => {
  const source = await sandbox();
  const name = await connected(source);
  source.setFaults([{ type: 'status', status: 429, retryAfterSeconds: 3_600 }]);
  await cli(`start orgSync ${name}`);
  await until('the wait', async () => (await cli(`status ${name}`)).out.includes('waits'));
  source.setFaults([]);
  expect((await cli(`resume ${name}`)).code).toBe(0);
  await until('the end', async () => /run +applied/.test((await cli(`status ${name}`)).out));
});
