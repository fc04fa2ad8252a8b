import { runCli } from '../../workers/cli.ts';
import { table } from './table.ts';

/** Commands, each with what it does. */
export async function commandTable(): Promise<string[]> {
  const commands = await commandsBelow([]);
  return table(
    ['`npx syncline` …', 'does'],
    commands.map(({ path, usage, what }) => [code([...path, usage].filter(Boolean).join(' ')), what]),
  );
}

/** Options of the commands and what they mean; commands next to each other with the same option share its row. */
export async function flagTable(): Promise<string[]> {
  const rows = new Map<string, { names: string[]; term: string; text: string }>();
  for (const { path, flags } of await commandsBelow([]))
    for (const { term, text } of flags) {
      const row = rows.get(`${term} ${text}`) ?? { names: [], term, text };
      rows.set(`${term} ${text}`, { ...row, names: [...row.names, path.join(' ')] });
    }
  return table(
    ['of', 'option', 'meaning'],
    [...rows.values()].map(({ names, term, text }) => [names.map(code).join(' '), code(term), text]),
  );
}

const code = (text: string) => `\`${text}\``;

interface Entry {
  term: string;
  text: string;
}

interface CommandHelp {
  path: string[];
  /** Its arguments, such as `<connection>`. */
  usage: string;
  what: string;
  flags: Entry[];
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
      flags: entriesOf(help, 'Options').filter(({ term }) => !term.includes('--help')),
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
function entriesOf(help: string, section: string): Entry[] {
  const body = new RegExp(`^${section}:\\n((?: .*\\n)*)`, 'm').exec(help)?.[1] ?? '';
  const entries: Entry[] = [];
  for (const line of body.split('\n')) {
    const [, term, text] = /^ {2}(\S.*?)(?: {2,}(.*))?$/.exec(line) ?? [];
    const last = entries.at(-1);
    if (term !== undefined) entries.push({ term, text: text ?? '' });
    else if (last) last.text += ` ${line.trim()}`;
  }
  return entries;
}
