import { realpathSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { audienceCommands } from './cli/commands.audience.ts';
import { addHubspotCommands } from './cli/commands.hubspot.ts';
import { scheduleCommands } from './cli/commands.schedule.ts';
import type { Session } from './cli/session.ts';
import { processTerminal, type Terminal } from './cli/terminal.ts';
import { CommandError, plainMessage } from './cli/trouble.ts';

/** Ends with an exit code; nothing means 0. */
export type Handler = (session: Session, ...args: never[]) => Promise<number | undefined>;
/** Makes the action of a command whose code is loaded when it runs. */
export type Run = (load: () => Promise<Handler>) => (...args: unknown[]) => Promise<void>;

const collect = (value: string, all: string[] = []) => [...all, value];
const names = (value: string) => value.split(',').map((name) => name.trim());

function atLeastOne(value: string): number {
  if (/^[1-9]\d{0,5}$/.test(value)) return Number(value);
  throw new InvalidArgumentError('accepted: a whole number from 1 to 999999');
}

/** The table of all commands. Their code is loaded when one runs, so that help comes at once. */
function build(run: Run): Command {
  const program = new Command('syncline')
    .description('Durable data syncs on Temporal and Postgres')
    .option('--debug', 'show where an error came from')
    .addHelpText(
      'after',
      '\nEnds with 0 when done, 1 when it failed, set rows aside or found them different, 2 when typed wrong, 3 when a run waits for approve or decline, 4 when a stream may lack rows or a campaign may have reached nobody.',
    );

  program
    .command('connect')
    .description('make or change a connection, read one page of each list and say what was seen')
    .argument('<connection>', 'its name: a-z, 0-9, - and _')
    .option(
      '--platform <name>',
      'what it speaks: scim, ldap, a name from `syncline connectors`, stripe, hubspot, database, or a channel (webhook, wechat, smtp); needed the first time',
    )
    .option(
      '--url <address>',
      'base address, e.g. https://host/scim/v2 or ldaps://host; needed the first time (open platforms know theirs)',
    )
    .option('--tenant <name>', 'the customer it belongs to (default: the name of the connection)')
    .option(
      '--option <key=value>',
      'an option, dotted keys and JSON values: guards.users.count=10; repeatable',
      collect,
    )
    .option('--mapping <file>', 'hubspot: JSON file with the mapping of users to contacts')
    .option('--unset <key>', 'gives an option its default back; repeatable', collect)
    .option('--credential-env <variable>', 'environment variable that holds the credential (default: asks for it)')
    .option('--no-credential', 'the source wants none; forgets a stored one')
    .option('--no-probe', 'saves without reading')
    .addOption(new Option('--credential <value>').hideHelp())
    .addOption(new Option('--token <value>').hideHelp())
    .addOption(new Option('--password <value>').hideHelp())
    .action(run(async () => (await import('./cli/connect.ts')).connect));

  program
    .command('disconnect')
    .description('delete a connection, its credential and its rows; says before how many of which table')
    .argument('<connection>')
    .option(
      '--keep-rows',
      'the copied rows stay for others to read (org, streams, stripe, audience with its unsubscribes and grants), and nobody updates them; connected again under its name, it finds them',
    )
    .option('--dry-run', 'counts, and says what it would be refused for')
    .option('--yes', 'does not ask')
    .action(run(async () => (await import('./cli/disconnect.ts')).disconnect));

  program
    .command('connectors')
    .description('open platforms: what each reads, pages, windows, limits, how deletions are seen, settings')
    .argument('[platform]', 'with its settings explained')
    .option('--unconfirmed', 'facts that no source confirmed')
    .option('--json', 'for programs')
    .action(run(async () => (await import('./cli/connectors.ts')).connectors));

  program
    .command('start')
    .description('start a run')
    .argument(
      '<workflow>',
      'orgSync (directories), platformSync (open platforms), stripeSync (Stripe), hubspotSync (contacts) or segmentSync (foreign databases)',
    )
    .argument('<connection>')
    .addOption(new Option('--mode <mode>', 'default: what the run needs').choices(['full', 'incremental']))
    .option('--dry-run', 'orgSync: ends after the plan; writes nothing')
    .option('--only-user <id>', 'one person: orgSync by source id, hubspotSync by the key of our user')
    .option('--skip <step...>', 'orgSync: steps to leave out, e.g. deleteUsers')
    .option('--streams <names>', 'platformSync, segmentSync: these alone, e.g. orders,refunds', names)
    .option('--accept-deletions', 'platformSync, segmentSync: marks deleted what a guard withheld')
    .option('--accept-rejects', 'hubspotSync: does not stop when more rows are refused than usual')
    .option('--accept-archives', 'hubspotSync: archives as many contacts as are gone')
    .option('--once', 'stripeSync: ends when the copy has reached the present')
    .option('--wait', 'follows it to its end; stripeSync: until it follows the feed')
    .option('--id <workflow-id>', 'workflow id (default: <workflow>-<connection>)')
    .action(run(async () => (await import('./cli/start.ts')).start));

  program
    .command('verify')
    .description('compare a Stripe account with its copy, and read again what differs')
    .argument('<connection>')
    .option('--types <names>', 'these resources alone, e.g. customers,invoices', names)
    .option('--since <day>', 'only objects made from this day on, e.g. 2026-01-01')
    .option('--no-mend', 'tells what differs and leaves it')
    .option('--wait', 'follows it to its end')
    .action(run(async () => (await import('./cli/verify.ts')).verify));

  program
    .command('replay')
    .description('read a range of an open platform again, or try the records that stand aside')
    .argument('<connection>')
    .argument('[stream]', 'default: every stream, or every one with records that stand aside')
    .option('--from <moment>', 'first moment, e.g. 2026-11-01 (midnight in UTC) or 2026-11-01T08:00:00+08:00')
    .option('--to <moment>', 'end, not included')
    .option('--rejects', 'tries the records that stand aside, as they came; asks the platform nothing')
    .option('--wait', 'follows it to its end')
    .action(run(async () => (await import('./cli/replay.ts')).replay));

  program
    .command('status')
    .description('what each connection does, how far it is and how far behind')
    .argument('[connection]')
    .option('--json', 'for programs')
    .action(run(async () => (await import('./cli/status.ts')).status));

  program
    .command('rejects')
    .description('records that were handed back, why, and what to do')
    .argument('[connection]', 'or hubspot, for all connections to it')
    .option('--stream <name>', 'users, groups or memberships of a directory, or a stream of an open platform')
    .option('--limit <n>', 'rows at most', atLeastOne, 50)
    .option('--show-records', 'with the raw records, which are personal data')
    .option('--accept <n>', 'a record without an id is nobody: it no longer puts its stream in doubt', atLeastOne)
    .option('--take-back <n>', 'takes an --accept back', atLeastOne)
    .option('--accepted', 'lists what was accepted')
    .option('--json', 'for programs')
    .action(run(async () => (await import('./cli/rejects.ts')).rejects));

  program
    .command('changes')
    .description('what a plan changes: counts, then rows with each field before and after')
    .argument('<connection>')
    .option('--plan <n>', 'number of the plan (default: the latest)', atLeastOne)
    .option('--step <name>', 'one step, e.g. deleteUsers')
    .option('--id <source-id>', 'one person or group')
    .option('--limit <n>', 'rows at most', atLeastOne, 20)
    .option('--json', 'for programs')
    .action(run(async () => (await import('./cli/changes.ts')).changes));

  addHubspotCommands(program, run);

  for (const answer of ['approve', 'decline'] as const)
    program
      .command(answer)
      .description(
        answer === 'approve'
          ? 'let a run that waits write its plan'
          : 'end a run that waits; nothing of its plan is written',
      )
      .argument('<connection>')
      .option('--plan <digest>', 'answers only if this plan waits')
      .option('--yes', 'does not ask')
      .action(run(async () => (await import('./cli/answer.ts'))[answer]));

  const controls = {
    pause: 'stop a run before its next slice',
    resume: 'let a paused run go on, and one that waits for a used-up quota ask again',
    cancel: 'end a run; what it wrote stays',
  };
  for (const name of Object.keys(controls) as (keyof typeof controls)[])
    program
      .command(name)
      .description(controls[name])
      .argument('<connection>')
      .option('--id <workflow-id>', 'this one of several open runs (default: all)')
      .action(run(async () => (await import('./cli/control.ts'))[name]));

  audienceCommands(program, run, { names, atLeastOne });

  scheduleCommands(program, run);
  return program;
}

/** Runs one command line, without `node` and the program, and returns the exit code. Never throws. */
export async function runCli(args: string[], terminal: Terminal = processTerminal()): Promise<number> {
  let exitCode = 0;
  const program = build((load) => async (...given) => {
    // The last argument is the command itself.
    const handler = (await load()) as (session: Session, ...args: unknown[]) => Promise<number | undefined>;
    const { openSession } = await import('./cli/session.ts');
    const session = openSession(terminal);
    try {
      exitCode = (await handler(session, ...given.slice(0, -1))) ?? 0;
    } finally {
      await session.close();
    }
  });
  tame(program, terminal);
  try {
    await program.parseAsync(args, { from: 'user' });
    return exitCode;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    terminal.warn(`syncline: ${plainMessage(error)}`);
    if (args.includes('--debug') || terminal.env.SYNCLINE_LOG_LEVEL?.toUpperCase() === 'DEBUG')
      terminal.warn((error as Error).stack ?? '');
    return error instanceof CommandError ? error.exitCode : 1;
  }
}

/** Lets errors of use come back here, in one line and without a value that was typed behind `=`, which may be secret. */
function tame(command: Command, terminal: Terminal): void {
  command.exitOverride().showHelpAfterError(false);
  command.configureOutput({
    writeOut: (text) => terminal.print(text.trimEnd()),
    writeErr: (text) =>
      terminal.warn(
        text
          .trimEnd()
          .replace(/^error: /, 'syncline: ')
          .replace(/(unknown option '--[\w-]+)=[^']*'/, "$1'"),
      ),
  });
  for (const child of command.commands) tame(child, terminal);
}

if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url))
  process.exitCode = await runCli(process.argv.slice(2));
