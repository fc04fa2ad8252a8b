import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type * as v from 'valibot';
import { directoryOptions } from '../../connectors/directory.ts';
import { ldapOptions } from '../../connectors/ldap.ts';
import { scimOptions } from '../../connectors/scim.ts';
import { runCli } from '../../workers/cli.ts';
import { variables } from '../../workers/config.ts';
import { orgSyncInput } from '../../workflows/org.input.ts';

/**
 * The tables of the README that follow from the code: each stands behind the line that ends in `<!-- name -->` and an
 * empty line, and goes on to the next empty line.
 * `npx tsx test/harness/readme.ts --write` brings them up to date.
 */
export const regions: Record<string, () => Promise<string[]>> = {
  options: async () => optionTable(),
  inputs: async () => inputTable(),
  environment: async () => environmentTable(),
  commands: commandTable,
};

const checkout = new URL('../../', import.meta.url);
export const readmeFile = fileURLToPath(new URL('README.md', checkout));
const read = (path: string) => readFileSync(new URL(path, checkout), 'utf8');

/** The README with every region as the code has it. @throws Error for a region without its mark. */
export async function renewed(text: string): Promise<string> {
  let result = text;
  for (const [name, make] of Object.entries(regions)) {
    const mark = `<!-- ${name} -->\n\n`;
    const at = result.indexOf(mark);
    if (at < 0) throw new Error(`README.md needs a line that ends in "${mark.trim()}", and an empty line behind it`);
    const from = at + mark.length;
    const to = result.indexOf('\n\n', from);
    result = `${result.slice(0, from)}${(await make()).join('\n')}${result.slice(to)}`;
  }
  return result;
}

interface Field {
  /** Dotted. */
  name: string;
  fallback: string;
  meaning: string;
}

type Schema = v.GenericSchema & { wrapped?: Schema; entries?: Record<string, Schema>; default?: unknown };

/** Options with defaults and meanings: names and defaults from the schema, meanings from its docstrings. */
function optionTable(): string[] {
  const shared = fieldsOf(directoryOptions as unknown as Record<string, Schema>, docsOf('connectors/directory.ts'));
  const own = (schema: Schema, file: string) => {
    const entries = Object.entries(schema.entries ?? {}).filter(([key]) => !Object.hasOwn(directoryOptions, key));
    return fieldsOf(Object.fromEntries(entries), docsOf(file));
  };
  const scim = own(scimOptions as unknown as Schema, 'connectors/scim.ts');
  const ldap = own(ldapOptions as unknown as Schema, 'connectors/ldap.ts');
  const of = (source: string, fields: Field[]) => fields.map((f) => [f.name, source, f.fallback, f.meaning]);
  const both = scim.flatMap((one) => {
    const other = ldap.find(({ name }) => name === one.name);
    if (!other) return [];
    const fallback = one.fallback === other.fallback ? one.fallback : `${one.fallback}; ldap: ${other.fallback}`;
    return [{ name: one.name, fallback, meaning: `${one.meaning} LDAP: ${other.meaning}` }];
  });
  const alone = (field: Field) => !both.some(({ name }) => name === field.name);
  return table(
    ['option', 'of', 'default', 'meaning'],
    [
      ...of('all', merged(shared)),
      ...of('all', merged(both)),
      ...of('scim', merged(scim.filter(alone))),
      ...of('ldap', merged(ldap.filter(alone))),
    ],
  );
}

function inputTable(): string[] {
  const fields = fieldsOf(orgSyncInput.entries as unknown as Record<string, Schema>, docsOf('workflows/org.input.ts'));
  return table(
    ['input', 'default', 'meaning'],
    fields.map(({ name, fallback, meaning }) => [`\`${name}\``, fallback, meaning]),
  );
}

function environmentTable(): string[] {
  return table(
    ['variable', 'default', 'accepted'],
    Object.entries(variables).map(([name, { default: fallback, accepted }]) => [
      `\`${name}\``,
      String(fallback),
      accepted,
    ]),
  );
}

/** Commands with the same arguments and options share a row. */
async function commandTable(): Promise<string[]> {
  const commands = await commandsBelow([]);
  const rows = new Map<string, { names: string[]; what: string[]; usage: string; flags: string[] }>();
  for (const { path, usage, what, flags } of commands) {
    const parent = path.slice(0, -1).join(' ');
    const key = JSON.stringify([parent, usage, flags]);
    const row = rows.get(key) ?? { names: [], what: [], usage, flags };
    row.names.push(row.names.length === 0 ? path.join(' ') : (path.at(-1) ?? ''));
    row.what.push(what);
    rows.set(key, row);
  }
  return table(
    ['`npx syncline` …', 'does', 'options'],
    [...rows.values()].map(({ names, what, usage, flags }) => [
      `\`${[names.join('\\|'), usage].filter(Boolean).join(' ')}\``,
      what.join('; '),
      flags.map((flag) => `\`${flag}\``).join(' '),
    ]),
  );
}

interface CommandHelp {
  path: string[];
  /** Its arguments, such as `<connection>`. */
  usage: string;
  what: string;
  flags: string[];
}

/** Leaves of the tree of commands, read from the program's own help. */
async function commandsBelow(path: string[]): Promise<CommandHelp[]> {
  const help = await helpOf(path);
  const children = entriesOf(help, 'Commands')
    .map(({ term }) => term.split(/[ |]/)[0] ?? '')
    .filter((name) => name !== 'help');
  if (children.length > 0) return (await Promise.all(children.map((name) => commandsBelow([...path, name])))).flat();
  const usage = /^Usage: (.*)$/m.exec(help)?.[1] ?? '';
  const what = (/^Usage: .*\n\n([\s\S]*?)\n\n/.exec(help)?.[1] ?? '').replaceAll('\n', ' ');
  return [
    {
      path,
      usage: usage
        .replace(/^syncline\S*/, '')
        .replace(path.join(' '), '')
        .replace('[options]', '')
        .trim(),
      what,
      flags: entriesOf(help, 'Options')
        .map(({ term }) => term)
        .filter((term) => !term.includes('--help')),
    },
  ];
}

/** What the program prints for `--help`. */
async function helpOf(path: string[]): Promise<string> {
  let text = '';
  const nobody = async () => {
    throw new Error('Help asks nobody');
  };
  const code = await runCli([...path, '--help'], {
    print: (line) => {
      text += `${line}\n`;
    },
    warn: (line) => {
      text += `${line}\n`;
    },
    interactive: false,
    redraw: () => undefined,
    ask: nobody,
    askSecret: nobody,
    env: {},
  });
  if (code !== 0) throw new Error(`syncline ${path.join(' ')} --help ended with ${code}: ${text}`);
  return text;
}

/** Entries of a section of help: a term, two spaces or more, and a text that may go on below. */
function entriesOf(help: string, section: string): { term: string; text: string }[] {
  const body = new RegExp(`^${section}:\\n((?: .*\\n)*)`, 'm').exec(help)?.[1] ?? '';
  const entries: { term: string; text: string }[] = [];
  for (const line of body.split('\n')) {
    const [, term, text] = /^ {2}(\S.*?)(?: {2,}(.*))?$/.exec(line) ?? [];
    const last = entries.at(-1);
    if (term !== undefined) entries.push({ term, text: text ?? '' });
    else if (last) last.text += ` ${line.trim()}`;
  }
  return entries;
}

/** Docstrings of a source file by the key that follows them. */
function docsOf(file: string): Map<string, string> {
  const found = read(file).matchAll(/\/\*\*((?:(?!\*\/)[\s\S])*)\*\/\s*(\w+):/g);
  return new Map(
    [...found].map(([, text = '', key = '']) => [
      key,
      text
        .replace(/\n\s*\*/g, ' ')
        .replace(/\s+/g, ' ')
        .trim(),
    ]),
  );
}

/** A longer sentence about the default stays with the meaning. */
const longestDefault = 60;

/** One field an entry; an object whose inner fields have docstrings is told by these. */
function fieldsOf(entries: Record<string, Schema>, docs: Map<string, string>, above = ''): Field[] {
  return Object.entries(entries).flatMap(([key, schema]) => {
    const inner = (schema.wrapped ?? schema).entries;
    const deeper = inner ? fieldsOf(inner, docs, `${above}${key}.`).filter(({ meaning }) => meaning !== '') : [];
    if (deeper.length > 0) return deeper;
    const sentences = (docs.get(key) ?? '').split(/(?<=[.)]) (?=[A-Z])/);
    const about = sentences.find((sentence) => sentence.startsWith('Default'));
    const said = about === undefined || about.length <= longestDefault ? about : 'Default: see meaning';
    return {
      name: `${above}${key}`,
      fallback: fallbackOf(schema, said),
      meaning: sentences.filter((sentence) => sentence !== said).join(' '),
    };
  });
}

function fallbackOf(schema: Schema, said: string | undefined): string {
  if (schema.type !== 'optional') return 'required';
  if (schema.default !== undefined && schema.default !== null) return `\`${JSON.stringify(schema.default)}\``;
  return said?.replace(/^Default:? ?/, '').replace(/\.$/, '') ?? 'none';
}

/** Fields of the same meaning and default in one row. */
function merged(fields: Field[]): Field[] {
  const rows = new Map<string, Field>();
  for (const { name, fallback, meaning } of fields) {
    const key = `${fallback} ${meaning}`;
    const row = rows.get(key);
    rows.set(key, { fallback, meaning, name: row ? `${row.name} \`${name}\`` : `\`${name}\`` });
  }
  return [...rows.values()];
}

function table(head: string[], rows: string[][]): string[] {
  const line = (cells: string[]) => `| ${cells.map((cell) => cell.replace(/(?<!\\)\|/g, '\\|')).join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)];
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const text = await renewed(readFileSync(readmeFile, 'utf8'));
  if (process.argv.includes('--write')) writeFileSync(readmeFile, text);
  else process.stdout.write(text);
}
