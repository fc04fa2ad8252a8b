import { expect } from 'vitest';
import { tableOf } from '../../../activities/platform/open.ts';
import { type Pool, transaction } from '../../../db/client.ts';
import { land } from '../../../db/land.ts';
import { ensureTable } from '../../../db/streams.ts';
import type { List } from '../../../sandbox/platform.ts';
import { canBeEmpty, depthOf, isKind, isPaged, type Subject } from './subject.ts';
import type { Check, Trial } from './trial.ts';

const minute = 60_000;
const hour = 60 * minute;
const every = () => true;
const isWindowed = ({ stream }: Subject) => stream.window !== undefined;
/** Pages that a reader may find and lose rows on. */
const isNumbered = (subject: Subject) => isKind(subject, 'page', 'offset');
/** Rows that a list of its own may be filled with, one by one. */
const isFillable = (subject: Subject) => isPaged(subject) && subject.stream.over === undefined && canBeEmpty(subject);

/** Lists and pages that rest. */
export const resting: Check[] = [
  {
    name: 'a first page that is the only one',
    fits: every,
    rows: () => 3,
    async prove(trial) {
      trial.expectWhole(await trial.read());
      if (trial.subject.served.of !== 'gone') expect(trial.truth().size, 'records of the source').toBeGreaterThan(0);
    },
  },
  {
    name: 'pages up to the last one',
    fits: every,
    async prove(trial) {
      if (trial.subject.served.of === 'gone') removeSome(trial);
      trial.expectWhole(await trial.read());
      const least = isFillable(trial.subject) ? 2 : 1;
      expect(trial.requests(), 'requests').toBeGreaterThanOrEqual(least);
    },
  },
  {
    name: 'an empty list',
    fits: canBeEmpty,
    rows: () => 0,
    async prove(trial) {
      const reading = await trial.read();
      trial.expectWhole(reading);
      expect(reading.all, 'rows of an empty list').toEqual([]);
    },
  },
  {
    name: 'exactly one full page, and one row more',
    fits: isFillable,
    ownPages: true,
    rows: () => 0,
    async prove(trial) {
      const { paging } = trial.subject.stream;
      const rows = 'size' in paging ? paging.size.rows : 1;
      fill(trial, rows);
      trial.expectWhole(await trial.read());
      fill(trial, rows + 1);
      trial.expectWhole(await trial.read());
    },
  },
  {
    name: 'windows that the platform takes, as far back as it serves',
    fits: isWindowed,
    wide: true,
    async prove(trial) {
      trial.expectWhole(await trial.read());
    },
  },
  {
    name: 'a window that the platform refuses as too wide',
    fits: isWindowed,
    async prove(trial) {
      trial.misbehave({ type: 'refuse', kind: 'window', times: 1 });
      const reading = await trial.read();
      expect(reading.splits, 'windows that were split').toBe(1);
      trial.expectWhole(reading);
    },
  },
  {
    name: 'a window deeper than the platform serves',
    fits: (subject) => depthOf(subject) !== null,
    rows: (subject) => (depthOf(subject) ?? 0) + 35,
    async prove(trial) {
      const reading = await trial.read();
      expect(reading.splits, 'windows that were split').toBeGreaterThan(0);
      trial.expectWhole(reading);
      trial.misbehave({ type: 'refuse', kind: 'deep', after: 1, times: 1 });
      trial.expectWhole(await trial.read());
    },
  },
];

/** Rows that move while pages are read. */
export const moving: Check[] = [
  {
    name: 'a row on two pages',
    fits: isPaged,
    async prove(trial) {
      trial.misbehave({ type: 'twice', after: 1, times: 1 });
      const reading = await trial.read();
      trial.expectWhole(reading);
    },
  },
  {
    name: 'a row that moves between pages',
    fits: isPaged,
    prove: (trial) => proveMoving(trial, 'moved'),
  },
  {
    name: 'a row that is removed between pages',
    fits: (subject) => isPaged(subject) && listOf(subject).removed !== 'never',
    prove: (trial) => proveMoving(trial, 'removed'),
  },
  {
    name: 'pages beyond the end that are the first page again',
    fits: isNumbered,
    rows: () => 60,
    async prove(trial) {
      trial.misbehave({ type: 'wrap' });
      trial.expectWhole(await trial.read());
    },
  },
];

/** A list read twice. `pool`: where it lands. */
export const replayed = (pool: Pool): Check => ({
  name: 'a second reading writes nothing',
  fits: every,
  async prove(trial) {
    const { connector, name } = trial.subject;
    const table = tableOf(connector, name);
    await ensureTable(pool, table);
    const connection = trial.reader.connection.id;
    const write = async (generation: number) => {
      const { all } = await trial.read();
      return transaction(pool, { name: 'conformance' }, (client) => land(client, table, connection, generation, all));
    };
    const first = await write(1);
    if (trial.truth().size > 0) expect(first.inserted, 'rows of the first reading').toBeGreaterThan(0);
    expect(await write(2), 'the second reading').toMatchObject({ inserted: 0, updated: 0 });
  },
});

/**
 * Rows that stay may not be lost while others move. Where the platform offers nothing safe the reading says so, and a later
 * one brings them. What moved out of a window of the past comes with the next window.
 */
async function proveMoving(trial: Trial, type: 'moved' | 'removed'): Promise<void> {
  const before = trial.subject.stream.window ? Date.now() - minute : Number.POSITIVE_INFINITY;
  trial.misbehave({ type, times: 3 });
  const first = await trial.read();
  if (first.doubts.length === 0) expect(trial.missing([first], before), 'rows lost in silence').toEqual([]);
  trial.later(minute);
  const second = await trial.read();
  expect(second.doubts, 'doubts of a list that rests').toEqual([]);
  expect(trial.missing([first, second], before), 'rows lost').toEqual([]);
}

function listOf({ fixture, served }: Subject) {
  return fixture.lists[served.list]!;
}

/** Lists of what is gone hold something when something went. */
function removeSome({ source, subject }: Trial): void {
  const list = source.account('main').listOf(subject.name);
  for (const id of list.ids().slice(0, 3)) list.remove(id);
}

/** Makes records until the stream has so many. */
function fill({ source, subject }: Trial, rows: number): void {
  const list: List = source.account('main').listOf(subject.name);
  const has = subject.fixture.streams[subject.name]?.has ?? every;
  const count = () => list.sorted('serial').rows.filter((row) => has(row, source.lists)).length;
  const from = Date.now() - hour;
  for (let held = count(); held < rows; ) if (has(list.create(undefined, from + held * 100), source.lists)) held += 1;
}
