import { ScheduleOverlapPolicy } from '@temporalio/client';
import { describe, expect, onTestFinished, test } from 'vitest';
import { openCli } from './harness/cli.ts';
import { until } from './harness/until.ts';

const { world, cli, sandbox, connected, stateOf, liveUsers } = await openCli();

describe('schedule', () => {
  test('is made, changed, listed, paused, triggered and deleted', async () => {
    const source = await sandbox();
    const name = await connected(source);
    const handle = world.client.schedule.getHandle(`orgSync-${name}`);
    const made = await cli(['schedule', name, '--cron', '*/15 * * * *', '--time-zone', 'Europe/Berlin']);
    expect(made).toMatchObject({
      code: 0,
      out: expect.stringMatching(new RegExp(`^Made the schedule of ${name}. Next: 20`)),
    });
    expect((await handle.describe()).policies).toMatchObject({
      overlap: ScheduleOverlapPolicy.SKIP,
      catchupWindow: 900_000,
    });
    expect((await cli('schedule list')).out).toMatch(
      new RegExp(`${name} +\\*/15 \\* \\* \\* \\* Europe/Berlin +next 20`),
    );

    expect((await cli(`schedule ${name} --cron @daily --mode full`)).out).toMatch(/^Changed the schedule/);
    const daily = await handle.describe();
    expect(daily.spec.calendars).toHaveLength(1);
    expect(daily.policies.catchupWindow).toBe(86_400_000);
    expect(daily.action.args).toEqual([{ connection: name, mode: 'full' }]);

    expect((await cli(`schedule ${name} --every 6h`)).code).toBe(0);
    const every = await handle.describe();
    expect([every.spec.calendars ?? [], every.spec.intervals?.[0]?.every, every.policies.catchupWindow]).toEqual([
      [],
      21_600_000,
      21_600_000,
    ]);

    expect((await cli(`schedule pause ${name}`)).code).toBe(0);
    expect((await cli('schedule list')).out).toMatch(new RegExp(`${name} +every 6 h +paused`));
    expect((await cli(`status ${name}`)).out).toContain('schedule paused (npx syncline schedule pause)\n');
    expect((await cli(`schedule ${name} --every 5h`)).code).toBe(0);
    expect((await handle.describe()).state.paused).toBe(true);
    expect((await cli(`schedule unpause ${name}`)).code).toBe(0);
    expect((await cli(`status ${name}`)).out).toMatch(/next {3}20.+ by schedule/);
    expect((await cli(`schedule trigger ${name}`)).code).toBe(0);
    const run = await until('a scheduled run', async () => {
      const state = await stateOf(name);
      return state.state === 'completed' && state.run;
    });
    expect(run.workflowId).toMatch(new RegExp(`^orgSync-${name}-20`));
    expect(await liveUsers(name)).toBe(60);
    expect((await cli(`schedule delete ${name}`)).code).toBe(0);
    expect(await cli(`schedule delete ${name}`)).toMatchObject({
      code: 1,
      err: expect.stringContaining(`${name} has no schedule made by syncline`),
    });
  });

  test('made with the tools of Temporal is listed, and due in status', async () => {
    const name = await connected(await sandbox());
    const id = `nightly-${name}`;
    await world.client.schedule.create({
      scheduleId: id,
      spec: { cronExpressions: ['0 3 * * *'] },
      action: {
        type: 'startWorkflow',
        workflowType: 'orgSync',
        taskQueue: world.config.taskQueue,
        args: [{ connection: name, mode: 'full' }],
      },
    });
    onTestFinished(() => world.client.schedule.getHandle(id).delete());
    const wanted = new RegExp(`${name} +calendar UTC +next 20.+ orgSync, made outside as ${id}`);
    await expect.poll(async () => (await cli('schedule list')).out, { timeout: 20_000 }).toMatch(wanted);
    expect((await cli(`status ${name}`)).out).toMatch(new RegExp(`next {3}20.+ by schedule ${id}\n`));
    expect((await cli(`schedule pause ${name}`)).err).toContain(`${name} has no schedule made by syncline`);
    expect((await cli(`schedule ${name} --every 15m`)).code).toBe(0);
    onTestFinished(() => world.client.schedule.getHandle(`orgSync-${name}`).delete());
    expect((await cli(`status ${name}`)).out).toMatch(/next {3}20.+ by schedule\n/);
  });

  test('refuses times that are none, and makes nothing of them', async () => {
    const name = await connected(await sandbox());
    const refusals: [string[], string][] = [
      [['--cron', 'at noon'], '--cron: got "at noon", accepted five fields'],
      [['--cron', '@daily', '--time-zone', 'Mars/Base'], 'got "@daily" in "Mars/Base"'],
      [['--every', '15'], '--every: got "15", accepted a number with s, m, h or d'],
      [['--every', '1s'], '10s at least'],
      [['--every', '15m', '--time-zone', 'UTC'], '--time-zone belongs to --cron'],
      [['--every', '15m', '--cron', '@daily'], 'one of both'],
      [[], 'Say when'],
    ];
    for (const [args, message] of refusals)
      expect(await cli(['schedule', name, ...args]), message).toMatchObject({
        code: 2,
        err: expect.stringContaining(message),
      });
    expect((await cli(`schedule trigger ${name}`)).err).toContain(`${name} has no schedule`);
  });
});
