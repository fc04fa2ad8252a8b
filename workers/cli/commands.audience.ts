import { type Command, Option } from 'commander';
import type { Handler } from '../cli.ts';

type Run = (load: () => Promise<Handler>) => (...args: unknown[]) => Promise<void>;

/** How the values of options are read. */
interface Readers {
  names(value: string): string[];
  atLeastOne(value: string): number;
}

/** Of recipients, in the order in which they go through them. */
const states = ['planned', 'claimed', 'sending', 'sent', 'delivered', 'refused', 'failed', 'unknown', 'skipped'];

/** People of foreign databases, and messages to them. */
export function audienceCommands(program: Command, run: Run, { names, atLeastOne }: Readers): void {
  const audience = program.command('audience').description('people of a foreign database: count, sample, unsubscribe');
  const filter = () => new Option('--filter <text>', "e.g. '1 AND (11 OR vip) AND NOT 21 AND segment:gold'");
  audience
    .command('count')
    .description('how many people a filter meets')
    .argument('<connection>')
    .addOption(filter())
    .option('--json', 'for programs')
    .action(run(async () => (await import('./audience.ts')).count));
  audience
    .command('sample')
    .description('some of the people whom a filter meets, with their tags')
    .argument('<connection>')
    .addOption(filter())
    .option('--limit <n>', 'people at most', atLeastOne, 10)
    .option('--json', 'for programs')
    .action(run(async () => (await import('./audience.ts')).sample));
  audience
    .command('unsubscribe')
    .description('a user or an address gets no more messages')
    .argument('<connection>')
    .option('--user <id>')
    .option('--address <address>')
    .option('--channel <name>', 'of this channel alone (default: all)')
    .option('--undo', 'gets them again')
    .action(run(async () => (await import('./audience.ts')).unsubscribe));

  const campaign = program.command('campaign').description('one message to each member of an audience');
  campaign
    .command('create')
    .description('store a campaign, or change it; once frozen only deadline, throttle and quiet')
    .argument('<campaign>', 'its name: a-z, 0-9, - and _')
    .argument('<file>', 'its definition as JSON (docs/audience.md)')
    .action(run(async () => (await import('./campaign.ts')).create));
  campaign
    .command('list')
    .description('campaigns, the newest first')
    .option('--json', 'for programs')
    .action(run(async () => (await import('./campaign.ts')).list));
  campaign
    .command('preview')
    .description('who, how many, who is left out, some messages, how long; sends nothing')
    .argument('<campaign>')
    .option('--samples <n>', 'messages shown', atLeastOne, 3)
    .option('--json', 'for programs')
    .action(run(async () => (await import('./campaign.preview.ts')).preview));
  campaign
    .command('test')
    .description('send the message to named users at once; nothing is written down')
    .argument('<campaign>')
    .requiredOption('--users <ids>', 'user ids, e.g. u1,u2', names)
    .action(run(async () => (await import('./campaign.run.ts')).test));
  campaign
    .command('start')
    .description('freeze the audience and send; returns at once')
    .argument('<campaign>')
    .option('--wait', 'follows it to its end')
    .option('--id <workflow-id>', 'workflow id (default: campaign-<campaign>)')
    .action(run(async () => (await import('./campaign.run.ts')).start));
  const controls = {
    pause: 'nothing more leaves until resume',
    resume: 'let a paused campaign go on',
    cancel: 'end a campaign; who was not sent to stays planned',
  };
  for (const name of Object.keys(controls) as (keyof typeof controls)[])
    campaign
      .command(name)
      .description(controls[name])
      .argument('<campaign>')
      .action(run(async () => (await import('./campaign.run.ts'))[name]));
  campaign
    .command('report')
    .description('who got what: recipients by state and reason')
    .argument('<campaign>')
    .addOption(new Option('--list <state>', 'each recipient in a state').choices(states))
    .option('--limit <n>', 'of the list', atLeastOne, 50)
    .option('--json', 'for programs')
    .action(run(async () => (await import('./campaign.report.ts')).report));
  campaign
    .command('purge')
    .description('delete campaigns that ended before a day, with their deliveries; not those that a cap still counts')
    .argument('[campaign]', 'this one alone, also one that was never started or that a cap still counts')
    .option('--before <day>', 'all that ended before, e.g. 2026-01-31')
    .option('--dry-run', 'says what it would delete')
    .action(run(async () => (await import('./campaign.purge.ts')).purge));
}
