import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { checkConnector } from '../../connectors/check.ts';
import type { Connector } from '../../connectors/shape.ts';
import { table } from './table.ts';

/** docs/adding-a-platform.md: its example is written to files, checked and run. */
export const guideFile = fileURLToPath(new URL('../../docs/adding-a-platform.md', import.meta.url));

/** Its table; see readme.ts for how it is renewed. */
export const guideRegions: Record<string, () => Promise<string[]>> = { refusals: refusalTable };

/** Changes that people make by mistake, each at the keys where it stands. */
const mistakes: readonly [what: string, at: string, value: unknown][] = [
  ['a key is missing', 'streams.agents.deletes', undefined],
  ['a key is misspelled', 'streams.tickets.paging.nxt', 'next'],
  ['a number as text', 'streams.tickets.paging.size.rows', '100'],
  ['a setting that is not there', 'auth.secret', 'apikey'],
  ['a column that every row has', 'streams.agents.columns.id', { path: 'id', type: 'bigint' }],
  ['parts that contradict each other', 'streams.tickets.window.to', 'updated_from'],
];

async function refusalTable(): Promise<string[]> {
  const { connector, remove } = writeExample();
  try {
    const { desk } = (await import(pathToFileURL(connector).href)) as { desk: Connector };
    return table(
      ['mistake', 'what is said'],
      mistakes.map(([what, at, value]) => [what, `\`${refusalOf(changed(desk, at.split('.'), value))}\``]),
    );
  } finally {
    remove();
  }
}

function refusalOf(connector: unknown): string {
  try {
    checkConnector(connector, 'connectors/desk.ts');
  } catch (error) {
    return (error as Error).message;
  }
  throw new Error('the connector with a mistake was accepted');
}

/** A copy with another value where the keys lead; `undefined` takes the key away. */
function changed(part: unknown, [key, ...rest]: string[], value: unknown): unknown {
  if (key === undefined) return value;
  const { [key]: before, ...others } = part as Record<string, unknown>;
  const after = changed(before, rest, value);
  return after === undefined ? others : { ...others, [key]: after };
}

/** The example as files beside links to the rooms it imports from. */
export interface Example {
  folder: string;
  /** `connectors/desk.ts` and `sandbox/desk.ts` in the folder. */
  connector: string;
  fixture: string;
  remove(): void;
}

/** Writes the TypeScript of the page to a temporary folder: connector first, fixture second. */
export function writeExample(): Example {
  const found = readFileSync(guideFile, 'utf8').matchAll(/^```ts\n([\s\S]*?)^```$/gm);
  const [connector = '', fixture = '', ...more] = [...found].map(([, text]) => text);
  if (fixture === '' || more.length > 0) throw new Error(`${guideFile}: two blocks of TypeScript are expected`);
  const folder = mkdtempSync(join(tmpdir(), 'syncline-guide-'));
  const checkout = fileURLToPath(new URL('../../', import.meta.url));
  for (const room of ['connectors', 'sandbox']) mkdirSync(join(folder, room));
  const links = ['shape.ts', 'shape.paging.ts', 'shape.stream.ts', 'shape.wire.ts'].map((one) => `connectors/${one}`);
  for (const path of [...links, 'sandbox/platform', 'node_modules'])
    symlinkSync(join(checkout, path), join(folder, path));
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
  writeFileSync(join(folder, 'connectors/desk.ts'), connector);
  writeFileSync(join(folder, 'sandbox/desk.ts'), fixture);
  return {
    folder,
    connector: join(folder, 'connectors/desk.ts'),
    fixture: join(folder, 'sandbox/desk.ts'),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}
