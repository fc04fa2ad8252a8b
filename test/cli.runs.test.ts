import { describe, expect, test } from 'vitest';
import { openCli } from './harness/cli.ts';
import { until } from './harness/until.ts';

const { cli, sandbox, connected, decimated, pausedRun, stateOf, liveUsers } = await openCli();

describe('start', () => {
  test('starts under the usual id, follows to the end and prints the result', async () => {
    const source = await sandbox();
    const name = await connected(source);
    const planned = await cli(`start orgSync ${name} --dry-run --wait`);
    expect(planned).toMatchObject({ code: 0, err: '' });
    expect(planned.out).toContain('Planned, nothing was written');
    for (const line of ['deleteUsers none', 'addGroups 6 planned', 'moveUsers none', 'addUsers 60 planned'])
      expect(planned.out).toContain(`\n${line}\n`);
    expect(await liveUsers(name)).toBe(0);
    const said = await cli(`start orgSync ${name} --wait`);
    expect(said).toMatchObject({ code: 0, err: '' });
    expect(said.out).toMatch(
      new RegExp(`^Started orgSync of ${name}: workflow id orgSync-${name}, run id [0-9a-f-]{36}\n`),
    );
    expect(said.out).toMatch(/Applied: plan \d+, full/);
    expect(said.out).toMatch(/users: staged 60, added 60,/);
    expect(await liveUsers(name)).toBe(60);
  });

  test('hands mode, steps and one person on', async () => {
    const source = await sandbox();
    const name = await connected(source);
    expect((await cli(`start orgSync ${name} --wait`)).code).toBe(0);
    const [one] = source.directory.userIds();
    source.directory.removeUser(one!);
    const skipped = await cli(`start orgSync ${name} --mode full --skip deleteUsers --wait`);
    expect(skipped).toMatchObject({ code: 0, out: expect.stringContaining('deleteUsers skipped') });
    expect(await liveUsers(name)).toBe(60);
    const single = await cli(`start orgSync ${name} --only-user ${one} --id ${name}-single --wait`);
    expect(single).toMatchObject({ code: 0, out: expect.stringContaining(`workflow id ${name}-single`) });
    expect(await liveUsers(name)).toBe(59);
  });

  test('says since when a run is at work, whatever its id is', async () => {
    const { name } = await pausedRun();
    const said = await cli(`start orgSync ${name} --id ${name}-second`);
    expect(said.code).toBe(1);
    expect(said.err).toMatch(
      new RegExp(`orgSync of ${name} runs already, since 20.+ ago\\): workflow id orgSync-${name}\\.`),
    );
    expect((await cli(`cancel ${name}`)).code).toBe(0);
  });

  test('ends with 4 when everybody is handed back', async () => {
    const source = await sandbox({ groups: 0 });
    const name = await connected(source);
    const said = await cli(`start orgSync ${name} --wait`);
    expect(said.code).toBe(4);
    expect(said.out).toContain('Nobody was taken over: 60 of 60 people are handed back');
    expect(said.out).toContain(`npx syncline rejects ${name}`);
    expect(await liveUsers(name)).toBe(0);
  });

  test('ends with 1 and the reason when the run fails', async () => {
    const source = await sandbox();
    const name = await connected(source, '--option', 'userLimit=10');
    const said = await cli(`start orgSync ${name} --wait`);
    expect(said).toMatchObject({
      code: 1,
      err: expect.stringContaining("The tenant's user limit of 10 would be exceeded"),
    });
    expect((await cli(`status ${name}`)).out).toContain("failed: checkLimits: The tenant's user limit of 10");
  });

  test('a refused credential ends the run with the command that gives another', async () => {
    const source = await sandbox();
    const name = await connected(source);
    source.setFaults([{ type: 'status', status: 401 }]);
    const said = await cli(`start orgSync ${name} --wait`);
    const sentence = `stageGroups: ${source.url}/Groups refused the credential (401). Give a valid one: npx syncline connect ${name} --credential-env VARIABLE`;
    expect(said).toMatchObject({ code: 1, err: `syncline: The run failed: ${sentence}\n` });
    expect((await cli(`status ${name}`)).out).toContain(`failed: ${sentence}`);
    expect(await liveUsers(name)).toBe(0);
  });

  test.each<[string, string, number, string]>([
    ['an unknown workflow', 'start nightly acme', 2, 'workflow: got "nightly", accepted orgSync'],
    ['an unknown connection', 'start orgSync nobody', 1, 'Connection "nobody" does not exist. Known connections:'],
    ['a wrong mode', 'start orgSync acme --mode half', 2, 'Allowed choices are full, incremental'],
    [
      'a wrong step',
      'start orgSync acme --skip everything',
      2,
      '--skip: got "everything", accepted deleteUsers, addGroups',
    ],
    ['an empty person', 'start orgSync acme --only-user ', 2, 'Wrong input: only.user'],
  ])('refuses %s', async (_what, line, code, message) => {
    expect(await cli(line)).toMatchObject({ code, err: expect.stringContaining(message) });
  });
});

describe('a run that asks', () => {
  test('parks, is looked at and approved', async () => {
    const { name } = await decimated();
    const said = await cli(`start orgSync ${name} --wait`);
    expect(said.code).toBe(3);
    expect(said.out).toContain('Waits for approval: 40 user deletions of 60, allowed without asking 20');
    expect(said.out).toMatch(/\ndeleteUsers \d+ planned\n/);
    expect(said.out).toMatch(/\naddUsers none\n/);
    expect((await cli(`status ${name}`)).out).toContain('asks   Waits for approval: 40 user deletions');
    const { parked } = (await stateOf(name)).progress;
    expect((await cli(`changes ${name} --step deleteUsers --limit 3`)).out).toMatch(/open[\s\S]+user delete 40/);
    expect(await cli(`approve ${name}`)).toMatchObject({
      code: 2,
      err: expect.stringContaining('say --yes to approve plan'),
    });
    expect(await cli(`approve ${name} --yes --plan 0123`)).toMatchObject({
      code: 1,
      err: expect.stringContaining(`got "0123", but plan ${parked.digest} waits`),
    });
    const hesitant = await cli(`approve ${name}`, { types: ['n'] });
    expect(hesitant).toMatchObject({ code: 1, out: expect.stringContaining('Nothing was done; the run waits on.') });
    expect(await liveUsers(name)).toBe(60);
    const approved = await cli(`approve ${name} --plan ${parked.digest}`, { types: ['y'] });
    expect(approved).toMatchObject({ code: 0, out: expect.stringMatching(/user delete 40[\s\S]+Approved/) });
    await until('its end', async () => (await stateOf(name)).state === 'completed');
    expect(await liveUsers(name)).toBe(20);
    expect(await cli(`approve ${name} --yes`)).toMatchObject({
      code: 1,
      err: `syncline: No run of ${name} is open: nothing to approve\n`,
    });
  });

  test('approved while it is paused, says so and writes after resume', async () => {
    const { name } = await decimated();
    expect((await cli(`start orgSync ${name} --wait`)).code).toBe(3);
    expect((await cli(`pause ${name}`)).code).toBe(0);
    expect((await cli(`approve ${name} --yes`)).out).toContain(
      `Approved, but the run is paused: it writes the plan when it goes on. Let it: npx syncline resume ${name}\n`,
    );
    const { out } = await cli(`status ${name}`);
    expect(out).toMatch(/run +paused, since/);
    expect(out).toContain(`waits for  resume; the plan is approved: npx syncline resume ${name}`);
    expect(await liveUsers(name)).toBe(60);
    expect((await cli(`resume ${name}`)).code).toBe(0);
    await until('its end', async () => (await stateOf(name)).state === 'completed');
    expect(await liveUsers(name)).toBe(20);
  });

  test('declined while it is paused, it ends at once', async () => {
    const { name } = await decimated();
    expect((await cli(`start orgSync ${name} --wait`)).code).toBe(3);
    expect((await cli(`pause ${name}`)).code).toBe(0);
    expect((await cli(`decline ${name} --yes`)).out).toContain('Declined: the run ends, nothing was written.\n');
    await until('its end', async () => (await stateOf(name)).outcome === 'declined');
    expect(await liveUsers(name)).toBe(60);
  });

  test('is declined, and nothing is written', async () => {
    const { name } = await decimated();
    expect((await cli(`start orgSync ${name} --wait`)).code).toBe(3);
    expect(await cli(`decline ${name} --yes`)).toMatchObject({ code: 0, out: expect.stringContaining('Declined') });
    await until('its end', async () => (await stateOf(name)).outcome === 'declined');
    expect(await liveUsers(name)).toBe(60);
  });
});

describe('pause, resume, cancel', () => {
  test('a paused run says so, goes on and ends', async () => {
    const { name } = await pausedRun();
    expect((await stateOf(name)).state).toBe('paused');
    expect(await cli(`approve ${name} --yes`)).toMatchObject({
      code: 1,
      err: expect.stringContaining('does not wait for an answer (it is paused)'),
    });
    expect(await cli(`resume ${name}`)).toMatchObject({ code: 0, out: `Resumed ${name}.\n` });
    await until('its end', async () => (await stateOf(name)).state === 'completed');
    expect(await liveUsers(name)).toBe(60);
  });

  test('cancel waits for the end and says that what was written stays', async () => {
    const { name } = await pausedRun();
    expect(await cli(`cancel ${name}`)).toMatchObject({
      code: 0,
      out: expect.stringContaining('What it wrote stays; the next run reads the directory anew'),
    });
    expect((await stateOf(name)).state).toBe('cancelled');
    for (const verb of ['pause', 'resume', 'cancel'])
      expect(await cli(`${verb} ${name}`)).toMatchObject({
        code: 1,
        err: `syncline: No run of ${name} is open: nothing to ${verb}\n`,
      });
  });
});
