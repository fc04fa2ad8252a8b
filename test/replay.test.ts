import { readdirSync, readFileSync } from 'node:fs';
import { hostname, tmpdir, userInfo } from 'node:os';
import { Worker } from '@temporalio/worker';
import { DeterminismViolationError } from '@temporalio/workflow';
import { describe, expect, inject, it } from 'vitest';
import { installRuntime } from '../workers/worker.ts';
import { scan } from './harness/scan.ts';
import { scenarios } from './harness/scenarios.ts';
import { expectShows } from './harness/shown.ts';

interface Recorded {
  events: Record<string, unknown>[];
}

const again = 'record it with: npx tsx test/harness/record.ts';
const folder = new URL('./histories/', import.meta.url);
const names = readdirSync(folder).map((file) => file.replace(/\.json$/, ''));
const load = (name: string): Recorded => JSON.parse(readFileSync(new URL(`${name}.json`, folder), 'utf8'));

// Replay tells every violation in the log as well; here it is what the controls ask for.
installRuntime('ERROR');

describe('recorded histories', () => {
  it('are there for every scenario', () => {
    expect(names.sort(), again).toEqual(Object.keys(scenarios).sort());
  });

  it.each(names)('%s shows what it was recorded for', (name) => {
    expectShows(name, load(name).events);
  });

  it('hold nothing personal and nothing of the machine they were recorded on', () => {
    const machine = [process.cwd(), tmpdir(), `${userInfo().homedir}/`, `@${hostname()}`, 'node_modules', 'file://'];
    for (const name of names) {
      const { events } = load(name);
      expect(scan(events, ['@example.org', 'Bearer', ...machine]), name).toEqual([]);
      for (const { value } of valuesOf(events, 'identity')) expect(value, name).toBe('recorded');
    }
  });

  it('keep the flags that make a replay strict', () => {
    // A history without them is replayed leniently: a renamed activity passed unnoticed.
    for (const name of names) expect(valuesOf(load(name).events, 'coreUsedFlags').length, name).toBeGreaterThan(0);
  });

  it('are replayed by the code of today', async () => {
    const failed = await replay(names.map((name) => ({ name, history: load(name) })));
    expect(
      failed,
      `Running workflows would break: guard the change with patched(); when none needs to survive, ${again}`,
    ).toEqual({});
  });
});

describe('a replay notices', () => {
  const controls: Record<string, { of: string; tamper: (history: Recorded) => Recorded }> = {
    'an activity of another name': {
      of: 'orgSync.incremental',
      tamper: (history) => renamed(history, '"name":"markUsers"', '"name":"markPeople"'),
    },
    'an activity that is gone': { of: 'orgSync.incremental', tamper: (history) => without(history, 'confirmMissing') },
    'an activity where the run ended': { of: 'orgSync.incremental', tamper: scheduledAtTheEnd },
    'a slice of another name': {
      of: 'streamSync.incremental',
      tamper: (history) => renamed(history, '"name":"readSlice"', '"name":"readPart"'),
    },
    'a slice that is gone': { of: 'streamSync.incremental', tamper: (history) => without(history, 'readSlice') },
    'a slice where a stream ended': { of: 'streamSync.full', tamper: scheduledAtTheEnd },
    'a slice where a replay ended': { of: 'replayWindow.range', tamper: scheduledAtTheEnd },
    'a reading of another name': {
      of: 'stripeSync.once',
      tamper: (history) => renamed(history, '"name":"replayFeed"', '"name":"replayEvents"'),
    },
    'a reading that is gone': { of: 'stripeSync.once', tamper: (history) => without(history, 'replayFeed') },
    'a reading where a copy ended': { of: 'stripeSync.once', tamper: scheduledAtTheEnd },
    'a comparison where one ended': { of: 'verifyStripe.equal', tamper: scheduledAtTheEnd },
    'a slice of contacts of another name': {
      of: 'hubspotSync.rate-limited',
      tamper: (history) => renamed(history, '"name":"sendContacts"', '"name":"sendPeople"'),
    },
    'a slice of contacts that is gone': {
      of: 'hubspotSync.first',
      tamper: (history) => without(history, 'sendContacts'),
    },
    'a slice of contacts where a run ended': { of: 'hubspotSync.first', tamper: scheduledAtTheEnd },
    'a stream of another type': {
      of: 'platformSync.full',
      tamper: (history) => renamed(history, '"name":"streamSync"', '"name":"listSync"'),
    },
    'a stream of another id': {
      of: 'platformSync.full',
      tamper: (history) => renamed(history, '/order_details"', '/order_parts"'),
    },
  };

  it.each(Object.entries(controls))('%s', async (name, { of, tamper }) => {
    const failed = await replay([
      { name, history: tamper(load(of)) },
      { name: 'untouched', history: load(of) },
    ]);
    expect(failed).toEqual({ [name]: expect.any(DeterminismViolationError) });
  });

  it('an execution that does not take over what it was handed', async () => {
    const { events } = structuredClone(load('orgSync.continued'));
    const started = events[0]!.workflowExecutionStartedEventAttributes as { input: { payloads: unknown[] } };
    expect(started.input.payloads, 'input and what is handed over').toHaveLength(2);
    started.input.payloads.pop();
    const failed = await replay([{ name: 'empty-handed', history: { events } }]);
    expect(failed).toEqual({ 'empty-handed': expect.any(DeterminismViolationError) });
  });
});

async function replay(histories: { name: string; history: Recorded }[]): Promise<Record<string, Error>> {
  const failed: Record<string, Error> = {};
  const results = Worker.runReplayHistories(
    { workflowBundle: { codePath: inject('shared').bundle } },
    histories.map(({ name, history }) => ({ workflowId: name, history: called(name, history) })),
  );
  for await (const { workflowId, error } of results) if (error) failed[workflowId] = error;
  return failed;
}

/** The history of a run under another id: children are named after it. */
function called(name: string, history: Recorded): Recorded {
  const started = history.events[0]!.workflowExecutionStartedEventAttributes as { workflowId: string };
  return JSON.parse(JSON.stringify(history).replaceAll(started.workflowId, name));
}

function renamed(history: Recorded, from: string, to: string): Recorded {
  const text = JSON.stringify(history);
  if (!text.includes(from)) throw new Error(`the recording has no ${from}`);
  return JSON.parse(text.replaceAll(from, to));
}

/** An activity in the place of the end. */
function scheduledAtTheEnd({ events }: Recorded): Recorded {
  const scheduled = events.find((e) => e.activityTaskScheduledEventAttributes);
  return { events: [...events.slice(0, -1), { ...scheduled, eventId: events.at(-1)!.eventId }] };
}

/** Leaves out an activity with the workflow task that heard of its end: six events; what comes behind is numbered anew. */
function without({ events }: Recorded, activity: string): Recorded {
  const at = events.findIndex((e) => JSON.stringify(e.activityTaskScheduledEventAttributes)?.includes(`"${activity}"`));
  const kept = JSON.stringify(events.toSpliced(at, 6)).replace(/"(\w*[eE]ventId)":"(\d+)"/g, (_, key, id) => {
    return `"${key}":"${Number(id) > at ? Number(id) - 6 : id}"`;
  });
  return { events: JSON.parse(kept) };
}

function valuesOf(value: unknown, key: string): { value: unknown }[] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([name, child]) => [
    ...(name === key ? [{ value: child }] : []),
    ...valuesOf(child, key),
  ]);
}
