import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { connectors } from '../../connectors/index.ts';
import { gauges } from '../../db/gauges.ts';
import { orgReasons } from '../../workers/cli/reasons.ts';
import { connectorRegions, connectorsFile } from './connectors-page.ts';
import { commandTable, flagTable } from './readme-commands.ts';
import { guideFile, guideRegions } from './readme-guide.ts';
import {
  directoryOptionTable,
  environmentTable,
  hubspotTables,
  inputTables,
  platformOptionTable,
} from './readme-options.ts';
import { stripeFile, stripeRegions } from './readme-stripe.ts';
import { table } from './table.ts';

const page = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url));
type Regions = Record<string, () => Promise<string[]>>;

export const readmeFile = page('README.md');
export const referenceFile = page('docs/reference.md');
export const orgFile = page('docs/org.md');
export const platformFile = page('docs/platform.md');
const hubspotFile = page('docs/hubspot.md');
/** What an operator decides. */
export const operateFile = page('docs/operate.md');
/** Pages of a pipeline: what it promises, its commands and its tables. */
export const pipelineFiles = [orgFile, platformFile, stripeFile, hubspotFile];

/** What of docs/org.md follows from the code. */
const orgRegions: Regions = {
  'reasons of directories': async () =>
    table(
      ['reason', 'why', 'what to do'],
      Object.entries(orgReasons).map(([code, { why, remedy }]) => [`\`${code}\``, why, remedy]),
    ),
};

/** What of docs/hubspot.md follows from the code. */
const hubspotRegions: Regions = {
  'options of hubspot': async () => hubspotTables.options(),
  'fields of a mapping': async () => hubspotTables.mapping(),
  'fields of a property': async () => hubspotTables.property(),
  'fields of a table': async () => hubspotTables.table(),
};

/** What of the README follows from the code. */
export const regions: Regions = {
  platforms: async () => [
    Object.values(connectors)
      .map(({ title }) => title)
      .join(' · '),
  ],
};

/** What of docs/reference.md follows from the code. */
export const referenceRegions: Regions = {
  'inputs of orgSync': async () => inputTables.orgSync(),
  'inputs of platformSync': async () => inputTables.platformSync(),
  'inputs of hubspotSync': async () => inputTables.hubspotSync(),
  'inputs of replayWindow': async () => inputTables.replayWindow(),
  'inputs of stripeSync': async () => inputTables.stripeSync(),
  'inputs of verifyStripe': async () => inputTables.verifyStripe(),
  'inputs of segmentSync': async () => inputTables.segmentSync(),
  'inputs of campaign': async () => inputTables.campaign(),
  'inputs of campaignTest': async () => inputTables.campaignTest(),
  'options of platforms': async () => platformOptionTable(),
  'options of directories': async () => directoryOptionTable(),
  commands: commandTable,
  'options of commands': flagTable,
  environment: async () => environmentTable(),
  gauges: async () =>
    table(
      ['gauge', 'labels', 'meaning'],
      Object.entries(gauges).map(([name, { labels, help }]) => [
        `\`${name}\``,
        labels.map((one) => `\`${one}\``).join(' '),
        help,
      ]),
    ),
};

/** Parts of a pipeline's page that follow from the code. */
const pipelineRegions: Record<string, Regions> = {
  [orgFile]: orgRegions,
  [stripeFile]: stripeRegions,
  [hubspotFile]: hubspotRegions,
};

/**
 * Pages with parts that the code gives: each stands behind the line that ends in `<!-- name -->` and an empty line, and goes
 * on to the next empty line. `npx tsx test/harness/readme.ts --write` brings them up to date.
 */
export const pages: readonly (readonly [file: string, wanted: Regions])[] = [
  [readmeFile, regions],
  [referenceFile, referenceRegions],
  [connectorsFile, connectorRegions],
  [guideFile, guideRegions],
  [operateFile, {}],
  ...pipelineFiles.map((file) => [file, pipelineRegions[file] ?? {}] as const),
];

/** A page with every region as the code has it. @throws Error for a region without its mark. */
export async function renewed(text: string, wanted = regions): Promise<string> {
  let result = text;
  for (const [name, make] of Object.entries(wanted)) {
    const mark = `<!-- ${name} -->\n\n`;
    const at = result.indexOf(mark);
    if (at < 0) throw new Error(`the page needs a line that ends in "${mark.trim()}", and an empty line behind it`);
    const from = at + mark.length;
    const to = result.indexOf('\n\n', from);
    result = `${result.slice(0, from)}${(await make()).join('\n')}${result.slice(to)}`;
  }
  return result;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const [file, wanted] of pages) {
    const text = await renewed(readFileSync(file, 'utf8'), wanted);
    if (process.argv.includes('--write')) writeFileSync(file, text);
    else process.stdout.write(text);
  }
}
