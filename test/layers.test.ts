import { readdirSync, readFileSync } from 'node:fs';
import { posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { type Reach, reachOf } from './harness/imports.ts';

const rooms = ['connectors', 'workflows', 'activities', 'db', 'workers', 'sandbox', 'test'] as const;
type Room = (typeof rooms)[number];
const longest = 250;

interface Rule {
  /** Printed when a file breaks it. */
  rule: string;
  /** Lines of `file` that break the rule, each with what stands there. */
  broken(file: string, reach: Reach, source: string): string[];
}

/** Which other rooms a room may import, and which of them for types only (design, chapter 1). */
const arrows: Record<Exclude<Room, 'test'>, { values: Room[]; types: Room[] }> = {
  connectors: { values: [], types: [] },
  db: { values: [], types: [] },
  sandbox: { values: [], types: [] },
  workflows: { values: ['connectors'], types: ['activities', 'db'] },
  activities: { values: ['connectors', 'db'], types: [] },
  workers: { values: ['workflows', 'activities', 'db'], types: [] },
};
const workflowPackages = ['@temporalio/workflow', '@temporalio/common', 'valibot'];
const sqlPackages = /^(pg|pg-copy-streams|drizzle-orm|mysql2)(\/|$)/;

const rules: Record<string, Rule> = {
  arrows: {
    rule: 'connectors, db and sandbox import no other room; workflows import connectors (pure) and only types of activities and db; activities import connectors and db; workers import workflows, activities and db; nothing imports sandbox but workers/demo.ts, workers/demo/ and test',
    broken: (file, reach) => importsThat(reach, (i) => !mayImport(file, i)),
  },
  workflowValues: {
    rule: `workflow code runs in a sandbox without Node: at run time it imports only workflows/, ${workflowPackages.join(', ')}`,
    broken: (file, reach) =>
      roomOf(file) !== 'workflows'
        ? []
        : importsThat(reach, (i) => !i.typeOnly && !i.from.startsWith('.') && !workflowPackages.includes(i.from)),
  },
  computed: {
    rule: 'product code names what it imports: import(variable) cannot be checked; connectors of an operator are loaded in one place',
    broken: (file, reach) =>
      roomOf(file) === 'test' || file === 'activities/platform/catalog.ts'
        ? []
        : importsThat(reach, (i) => i.from === '(computed)'),
  },
  environment: {
    rule: 'the environment is read in workers/config.ts alone (and in test/): everything else gets its settings handed in',
    broken: (file, reach) =>
      file === 'workers/config.ts' || roomOf(file) === 'test' ? [] : lines(reach.environment, 'process.env'),
  },
  http: {
    rule: 'HTTP goes through activities/http/, which has the timeouts, the caps and the redaction; undici and fetch stand there alone (and in test/)',
    broken: (file, reach) =>
      file.startsWith('activities/http/') || roomOf(file) === 'test'
        ? []
        : [...importsThat(reach, (i) => i.from.split('/')[0] === 'undici'), ...lines(reach.fetches, 'fetch(…)')],
  },
  sql: {
    rule: 'SQL stands in db/ (and test/; workers/embedded/ asks whether its server answers, activities/platform/sql/ reads foreign databases): no .query(…), no pg, no drizzle elsewhere',
    broken: (file, reach) =>
      ['db', 'test'].includes(roomOf(file)) ||
      file.startsWith('workers/embedded/') ||
      file.startsWith('activities/platform/sql/')
        ? []
        : [...lines(reach.queries, '.query(…)'), ...importsThat(reach, (i) => !i.typeOnly && sqlPackages.test(i.from))],
  },
  length: {
    rule: `a source file has at most ${longest} lines: past that it is redesigned`,
    broken: (file, _reach, source) => {
      const count = source.trimEnd().split('\n').length;
      return roomOf(file) === 'test' || count <= longest ? [] : [`${count} lines`];
    },
  },
  names: {
    rule: 'no lib, utils, types, shared, common: shared code lives in the room whose rule it keeps',
    broken: (file) => file.split(/[/.]/).filter((part) => /^(libs?|utils?|types|shared|common|helpers?)$/.test(part)),
  },
};

const root = fileURLToPath(new URL('..', import.meta.url));
const files = rooms.flatMap((room) =>
  readdirSync(new URL(`../${room}`, import.meta.url), { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.[cm]?[jt]sx?$/.test(name) && !name.includes('node_modules/'))
    .map((name) => posix.join(room, name)),
);

describe('the rooms', () => {
  it('hold files', () => {
    for (const room of rooms)
      expect(
        files.some((f) => roomOf(f) === room),
        room,
      ).toBe(true);
  });

  const read = files.map((file) => {
    const source = readFileSync(`${root}${file}`, 'utf8');
    return { file, source, reach: reachOf(source) };
  });
  it.each(Object.entries(rules))('%s', (_name, { rule, broken }) => {
    const found = read.flatMap(({ file, reach, source }) =>
      broken(file, reach, source).map((what) => `${file}: ${what}`),
    );
    expect(found, `The rule: ${rule}.`).toEqual([]);
  });
});

/** Each of these lines breaks the rule when it stands in that file; without them a checker that sees nothing would pass. */
const bad: [rule: string, file: string, source: string][] = [
  ['arrows', 'connectors/a.ts', `import { x } from '../db/client.ts';`],
  ['arrows', 'connectors/a.ts', `import type { X } from '../activities/index.ts';`],
  ['arrows', 'db/org/a.ts', `import { x } from '../../connectors/scim.ts';`],
  ['arrows', 'db/a.ts', `export * from '../activities/errors.ts';`],
  ['arrows', 'db/a.ts', `export { x } from '../activities/errors.ts';`],
  ['arrows', 'db/a.ts', `let x: import('../workers/config.ts').Config;`],
  ['arrows', 'sandbox/a.ts', `import { x } from '../activities/http/request.ts';`],
  ['arrows', 'workflows/a.ts', `import { createActivities } from '../activities/index.ts';`],
  ['arrows', 'workflows/a.ts', `import { type A, b } from '../activities/index.ts';`],
  ['arrows', 'workflows/a.ts', `import type { Config } from '../workers/config.ts';`],
  ['arrows', 'activities/a.ts', `import { orgSync } from '../workflows/index.ts';`],
  ['arrows', 'activities/org/a.ts', `const x = await import('../../workers/config.ts');`],
  ['arrows', 'workers/start.ts', `import { startScimSandbox } from '../sandbox/scim.ts';`],
  ['arrows', 'workers/cli/a.ts', `import { x } from '../../connectors/scim.ts';`],
  ['arrows', 'activities/a.ts', `import { x } from '../test/harness/until.ts';`],
  ['arrows', 'activities/a.ts', `const x = require('../workers/config.ts');`],
  ['arrows', 'activities/a.ts', `import { x } from '../../elsewhere/index.ts';`],
  ['workflowValues', 'workflows/a.ts', `import { readFileSync } from 'node:fs';`],
  ['workflowValues', 'workflows/a.ts', `import { Client } from '@temporalio/client';`],
  ['workflowValues', 'workflows/a.ts', `import 'pg';`],
  ['computed', 'activities/a.ts', 'const x = await import(name);'],
  ['environment', 'workers/start.ts', 'const x = process.env.HOME;'],
  ['environment', 'activities/a.ts', `const x = process['env'];`],
  ['environment', 'activities/a.ts', 'const { env } = process;'],
  ['environment', 'sandbox/a.ts', `import { env } from 'node:process';`],
  ['environment', 'sandbox/a.ts', `import p from 'node:process';`],
  ['http', 'activities/org/a.ts', `import { request } from 'undici';`],
  ['http', 'connectors/a.ts', `const x = await fetch('https://example.org');`],
  ['sql', 'activities/a.ts', `await pool.query('SELECT 1');`],
  ['sql', 'workers/status.ts', `await deps.client.query('SELECT 1');`],
  ['sql', 'workers/status.ts', 'await s.query(`\n  SELECT id FROM org.users WHERE id = 7`);'],
  ['sql', 'activities/a.ts', `import pg from 'pg';`],
  ['sql', 'workers/a.ts', `import { drizzle } from 'drizzle-orm/node-postgres';`],
  ['length', 'activities/a.ts', `${'\n'.repeat(longest)}export {};`],
  ['names', 'activities/utils.ts', ''],
  ['names', 'db/shared/a.ts', ''],
];
const good: [file: string, source: string][] = [
  [
    'workflows/a.ts',
    `import type { Activities } from '../activities/index.ts';\nimport * as v from 'valibot';\nexport { b } from './b.ts';`,
  ],
  ['workflows/a.ts', `import { type A, type B } from '../activities/index.ts';`],
  ['activities/org/a.ts', `import { x } from '../../db/claims.ts';\nimport { y } from '../../connectors/scim.ts';`],
  ['workers/demo.ts', `import { startScimSandbox } from '../sandbox/scim.ts';`],
  ['workers/demo/a.ts', `import { startScimSandbox } from '../../sandbox/scim.ts';`],
  ['workers/config.ts', 'export const env = process.env;'],
  ['activities/http/a.ts', `import { Agent } from 'undici';`],
  ['db/a.ts', `import pg from 'pg';\nawait pool.query('SELECT 1');`],
  ['activities/org/a.ts', `await directory.query({ base, filter });`],
  ['activities/a.ts', '// process.env and undici and pool.query( in words\nexport const text = "process.env";'],
];

describe('the checkers', () => {
  it.each(bad)('%s is broken by %s: %s', (rule, file, source) => {
    expect(rules[rule]!.broken(file, reachOf(source), source)).not.toEqual([]);
  });
  it.each(good)('nothing is broken by %s: %s', (file, source) => {
    for (const { rule, broken } of Object.values(rules))
      expect(broken(file, reachOf(source), source), rule).toEqual([]);
  });
  it('a bad example for each rule', () => {
    expect([...new Set(bad.map(([rule]) => rule))].sort()).toEqual(Object.keys(rules).sort());
  });
});

type Import = Reach['imports'][number];

function mayImport(file: string, { from, typeOnly }: Import): boolean {
  const room = roomOf(file);
  if (!from.startsWith('.') || room === 'test') return true;
  const target = roomOf(posix.join(posix.dirname(file), from));
  if (target === room) return true;
  if (target === 'sandbox') return file === 'workers/demo.ts' || file.startsWith('workers/demo/');
  const { values, types } = arrows[room];
  return values.includes(target) || (typeOnly && types.includes(target));
}

function roomOf(file: string): Room {
  return file.split('/')[0] as Room;
}

function importsThat(reach: Reach, wrong: (i: Import) => boolean): string[] {
  return reach.imports.filter(wrong).map((i) => `line ${i.line}: ${i.typeOnly ? 'import type' : 'import'} ${i.from}`);
}

function lines(numbers: number[], what: string): string[] {
  return numbers.map((n) => `line ${n}: ${what}`);
}
