import { describe, expect, test } from 'vitest';
import { openBilling } from './harness/billing.ts';
import { openCli } from './harness/cli.ts';
import { until } from './harness/until.ts';

const parts = await openCli();
const { world, cli, fresh } = parts;

describe('a comparison that runs', () => {
  test('shows in status, keeps a second one out, and is paused, resumed and cancelled, under any id', async () => {
    const { name, source } = await openBilling(parts);
    expect((await cli(`start stripeSync ${name} --once --wait`)).code).toBe(0);
    source.setFaults([{ type: 'hang', path: '/v1/customers' }]);
    const id = `verifyStripe-${name}`;
    expect((await cli(`verify ${name}`)).code).toBe(0);
    expect((await cli(`status ${name}`)).out).toMatch(new RegExp(`compares +since .*, ${id}`));
    const second = await cli(`verify ${name}`);
    expect(second).toMatchObject({ code: 1, err: expect.stringContaining(`npx syncline cancel ${name} --id ${id}`) });
    expect((await cli(`start stripeSync ${name} --once`)).code, 'a copy is not kept out').toBe(0);

    expect(await cli(`pause ${name} --id ${id}`)).toMatchObject({ code: 0, out: expect.stringMatching(/^Paused/) });
    expect(await cli(`resume ${name} --id ${id}`)).toMatchObject({ code: 0, out: expect.stringMatching(/^Resumed/) });
    source.setFaults([]);
    const cancelled = await cli(`cancel ${name} --id ${id}`);
    expect(cancelled).toMatchObject({ code: 0, out: expect.stringContaining('the next comparison begins anew') });
    expect((await cli(`status ${name}`)).out).not.toContain(id);

    source.setFaults([{ type: 'hang', path: '/v1/customers' }]);
    const other = fresh();
    await world.client.workflow.start('verifyStripe', {
      workflowId: other,
      taskQueue: world.config.taskQueue,
      args: [{ connection: name }],
    });
    await until('it to be listed', async () => (await cli(`status ${name}`)).out.includes(other));
    source.setFaults([]);
    expect(await cli(`cancel ${name} --id ${other}`)).toMatchObject({ code: 0 });
  });
});
