import { type Command, Option } from 'commander';
import type { Run } from '../cli.ts';

/** Commands of the pipeline to HubSpot: `capture …` and `hubspot …`. */
export function addHubspotCommands(program: Command, run: Run): void {
  const capture = program
    .command('capture')
    .description('change capture on the tables that a mapping to HubSpot reads');
  capture
    .command('install')
    .description('put the triggers on, or bring them up to the mapping; says which rights are missing')
    .argument('[connection]', 'default: the only one to HubSpot')
    .action(run(async () => (await import('./capture.ts')).install));
  capture
    .command('remove')
    .description('take the triggers away')
    .argument('[connection]', 'default: the only one to HubSpot')
    .option('--force', 'also while a run is open, which then fails')
    .action(run(async () => (await import('./capture.ts')).remove));
  capture
    .command('status')
    .description('each trigger: installed, missing, outdated or off')
    .argument('[connection]', 'default: the only one to HubSpot')
    .option('--json', 'for programs')
    .action(run(async () => (await import('./capture.ts')).status));

  const hubspot = program
    .command('hubspot')
    .description('contacts of HubSpot: what a run would send, and whether it can');
  const which = () => new Option('--connection <name>', 'default: the only one to HubSpot');
  hubspot
    .command('check')
    .description('compare the mapping with the database and with the properties of the account')
    .addOption(which())
    .option('--create', 'make properties that are missing')
    .option('--json', 'for programs')
    .action(run(async () => (await import('./hubspot.ts')).check));
  hubspot
    .command('preview')
    .description('print exactly what would be sent for one user')
    .argument('<user>', 'key of the user')
    .addOption(which())
    .action(run(async () => (await import('./hubspot.ts')).preview));
  hubspot
    .command('sync')
    .description('send one user now')
    .argument('<user>', 'key of the user')
    .addOption(which())
    .action(run(async () => (await import('./hubspot.ts')).sync));
}
