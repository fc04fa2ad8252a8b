import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { openGround } from './ground.ts';
import { historyJson } from './scan.ts';
import type { Scenario } from './scenario.ts';
import { scenarios } from './scenarios.ts';
import { expectShows } from './shown.ts';

/**
 * `npx tsx test/harness/record.ts [NAME …]`: runs the scenarios against real servers and writes their histories to
 * test/histories/, all of them or those named. Run it when a scenario is added or when the workflow was changed in a way
 * that no running workflow needs to survive; otherwise the old recordings are what `patched` has to keep alive.
 */
const folder = fileURLToPath(new URL('../histories/', import.meta.url));
const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !scenarios[name]);
if (unknown.length > 0)
  throw new Error(
    `record: no scenario is called ${unknown.join(', ')}; accepted: ${Object.keys(scenarios).join(', ')}`,
  );

mkdirSync(folder, { recursive: true });
if (wanted.length === 0) for (const file of readdirSync(folder)) rmSync(`${folder}${file}`);
for (const shortHistories of new Set(Object.values(scenarios).map((scenario) => scenario.shortHistories))) {
  const chosen = Object.entries(scenarios).filter(
    ([name, scenario]) => scenario.shortHistories === shortHistories && (wanted.length === 0 || wanted.includes(name)),
  );
  if (chosen.length > 0) await recordAll(chosen, shortHistories);
}

async function recordAll(chosen: readonly [string, Scenario][], shortHistories?: number): Promise<void> {
  const ground = await openGround({ durable: false, ...(shortHistories !== undefined && { shortHistories }) });
  try {
    const worker = ground.worker();
    for (const [name, { record }] of chosen) {
      const handle = await worker.whileAlive(record(ground));
      const { events } = historyJson(await handle.fetchHistory());
      expectShows(name, events);
      writeFileSync(`${folder}${name}.json`, text(events.map((event) => scrub(event) as Record<string, unknown>)));
      process.stdout.write(`${name}: ${events.length} events\n`);
    }
    await worker.stop();
  } finally {
    await ground.close();
  }
}

/** One event a line: readable, and small in a diff. */
function text(events: readonly Record<string, unknown>[]): string {
  return `{"events":[\n${events.map((event) => JSON.stringify(event)).join(',\n')}\n]}\n`;
}

/** Takes out what tells about this machine: process and host names, sticky queues (named by them), stacks with paths. */
function scrub(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(scrub);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).flatMap(([key, child]): [string, unknown][] => {
    if (key === 'identity') return [[key, 'recorded']];
    if (key === 'stackTrace') return [[key, '']];
    if (key === 'taskQueue' && (child as { normalName?: string }).normalName)
      return [[key, { name: (child as { normalName: string }).normalName, kind: 'TASK_QUEUE_KIND_NORMAL' }]];
    return [[key, scrub(child)]];
  });
  return Object.fromEntries(entries);
}
