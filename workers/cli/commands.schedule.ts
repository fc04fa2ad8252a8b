import { type Command, Option } from 'commander';
import type { Run } from '../cli.ts';

const whichWorkflow = () =>
  new Option('--workflow <name>', 'orgSync or platformSync, where both read the platform (wecom, dingtalk, feishu)');

/** Commands that run a connection again and again: `schedule …`. */
export function scheduleCommands(program: Command, run: Run): void {
  const schedule = program.command('schedule').description('run a connection again and again');
  schedule
    .command('set', { isDefault: true })
    .description('make or change the schedule of a connection (`syncline schedule acme --every 15m` is enough)')
    .argument('<connection>')
    .option('--cron <expression>', "e.g. '*/15 * * * *' or @daily")
    .option('--every <duration>', 'e.g. 90s, 15m, 6h, 1d (hubspotSync: 3m unless said)')
    .option('--time-zone <name>', 'of --cron, e.g. Europe/Berlin (default: UTC)')
    .addOption(new Option('--mode <mode>', 'of its runs (default: what each needs)').choices(['full', 'incremental']))
    .addOption(whichWorkflow())
    .action(run(async () => (await import('./schedule.ts')).set));
  schedule
    .command('list')
    .description('all schedules and when they run next')
    .option('--json', 'for programs')
    .action(run(async () => (await import('./schedule.ts')).list));
  const verbs = {
    pause: 'no run until unpause',
    unpause: 'goes on',
    trigger: 'a run at once',
    delete: 'no more runs; one at work goes on',
  };
  for (const name of Object.keys(verbs) as (keyof typeof verbs)[])
    schedule
      .command(name)
      .description(verbs[name])
      .argument('<connection>')
      .addOption(whichWorkflow())
      .action(run(async () => (await import('./schedule.ts')).verbs[name]));
}
