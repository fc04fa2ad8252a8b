import { Command } from 'commander';
import { audienceCases } from './audience.ts';
import { budgetCases } from './budget.ts';
import { hubspotCases } from './hubspot.ts';
import { type BenchOptions, orgCases } from './org.ts';
import { platformCases } from './platform.ts';
import { build } from './rig.ts';
import { stripeCases } from './stripe.ts';
import { Figures } from './table.ts';

const pipelines: Record<string, typeof orgCases> = {
  org: orgCases,
  platform: platformCases,
  budget: budgetCases,
  stripe: stripeCases,
  hubspot: hubspotCases,
  audience: audienceCases,
};

const program = new Command('npm run bench --')
  .description('Measures a pipeline beside the physical limit, in one run on this machine.')
  .argument('<pipeline>', `one of: ${Object.keys(pipelines).join(', ')}`)
  .option('--case <name...>', 'only these cases')
  .option('--json <file>', 'also write [{case, metric, value, unit, goal, met}]')
  .option(
    '--source-url <url>',
    'read this SCIM server instead of the sandbox; its bearer token is taken from SYNCLINE_BENCH_TOKEN',
  )
  .action(async (name: string, options: { case?: string[]; json?: string; sourceUrl?: string }) => {
    const cases =
      pipelines[name] ?? program.error(`Unknown pipeline "${name}". Known: ${Object.keys(pipelines).join(', ')}`);
    const wanted = options.case ?? (options.sourceUrl ? [Object.keys(cases)[0] as string] : Object.keys(cases));
    const figures = new Figures();
    const source: BenchOptions = { sourceUrl: options.sourceUrl, sourceToken: process.env.SYNCLINE_BENCH_TOKEN };
    build();
    for (const one of wanted) {
      const run = cases[one] ?? program.error(`Unknown case "${one}". Known: ${Object.keys(cases).join(', ')}`);
      await run(figures, options.sourceUrl ? 'source-url' : one, source);
    }
    process.stdout.write(`\n${figures.table()}\n`);
    if (options.json) figures.writeJson(options.json);
  });

await program.parseAsync();
