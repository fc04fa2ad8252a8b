import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SyncError } from '../activities/errors.ts';
import { type Cursor, type End, paginate } from '../activities/http/paginate.ts';
import { chainedFamilies } from './harness/paging/chained.ts';
import { type Family, lag, pageRows, streamOf } from './harness/paging/family.ts';
import { numberedFamilies } from './harness/paging/numbered.ts';
import { PagingServer } from './harness/paging/server.ts';
import { MovingSource, type Row } from './harness/paging/source.ts';

/** Odd ones are read in one call, even ones in many, of which some are killed. */
const seeds = 200;
const controlSeeds = 60;
const server = new PagingServer();
beforeAll(() => server.open());
afterAll(() => server.close());

/** Changes between two answers, by seed: from a list that rests to one that changes by a third while it is read. */
const paces = [0, 0.2, 0.5, 1, 2, 3];
const allKinds = { create: 1, update: 3, remove: 1 };

interface World {
  family: Family;
  source: MovingSource;
  params: Record<string, number>;
  memory: Map<string, Row[]>;
}

function openWorld(family: Family, seed: number): World {
  const changes = paces[seed % paces.length] as number;
  const source = new MovingSource(seed, { changes, ...(family.activity ?? allKinds) });
  const world: World = {
    family,
    source,
    params: family.window ? { from: source.second() - 1_000, to: source.second() - lag } : {},
    memory: new Map(),
  };
  server.handle = (query) => {
    source.requests += 1;
    const headers = { date: new Date(source.nowMs).toUTCString() };
    const served = family.serve(source, { ...query, host: new URL(server.url).host }, world.memory);
    source.move();
    return { ...served, headers: { ...headers, ...served.headers } };
  };
  return world;
}

/** Ids of the rows that the list holds, with what they were: a row of a window that changes leaves it. */
function held({ family, source, params }: World): Map<number, Row> {
  const { from = 0, to = Number.POSITIVE_INFINITY } = params;
  const by = family.window ?? 'modified';
  return new Map([...source.rows].filter(([, row]) => row[by] >= from && row[by] <= to));
}

interface Read {
  seen: Set<number>;
  end: End;
  /** Rows that were there from the first request to the last answer, and did not come. */
  lost: number[];
}

/**
 * One pass. `stops`: some calls end after a page; of those, some lose the last page they handed out and go on from the
 * cursor before it, as after a kill.
 */
async function read(world: World, stops: boolean): Promise<Read> {
  const { family, source } = world;
  const before = held(world);
  const seen = new Set<number>();
  const stream = streamOf(family);
  let cursor: Cursor | null = null;
  for (;;) {
    let end: End | null = null;
    let kept: Cursor | null = cursor;
    const stop = stops && source.random() < 0.8 ? 1 + source.below(6) : Number.POSITIVE_INFINITY;
    const killed = source.random() < 0.5;
    let pages = 0;
    const shouldEnd = () => {
      pages += 1;
      return pages >= stop;
    };
    const signal = new AbortController().signal;
    try {
      for await (const page of paginate(server.client(), 'rows', stream, {
        params: world.params,
        cursor,
        signal,
        shouldEnd,
      })) {
        if (killed && pages >= stop) break;
        for (const row of page.rows) seen.add((row as Row).id);
        kept = page.cursor;
        end = page.ended;
      }
    } catch (error) {
      if (!(error instanceof SyncError) || error.type !== 'ChainBroken') throw error;
      kept = null;
    }
    if (end) {
      const after = held(world);
      return { seen, end, lost: [...before.keys()].filter((id) => after.has(id) && !seen.has(id)) };
    }
    // Only JSON survives between two calls.
    cursor = kept === null ? null : (JSON.parse(JSON.stringify(kept)) as Cursor);
    if (cursor === null) {
      world.memory.clear();
    }
  }
}

describe.each([...chainedFamilies, ...numberedFamilies])('$name', (family) => {
  it(`loses no row over ${seeds} seeds`, async () => {
    let doubts = 0;
    /** Reads in doubt that did lose rows. */
    let earned = 0;
    for (let seed = 1; seed <= seeds; seed += 1) {
      const world = openWorld(family, seed);
      const where = `seed ${seed}, ${family.name}`;
      const stops = seed % 2 === 0;
      let last = await read(world, stops);
      if (!isProven(last)) doubts += 1;
      if (last.lost.length > 0) earned += 1;
      if (family.sure) expect(last.end.doubt, `${where}: in doubt`).toBeNull();
      for (let again = 1; !isProven(last); again += 1) {
        expect(last.end.again, `${where}: cannot be proven`).toBe(true);
        if (again > 2) world.source.rest();
        expect(again, `${where}: ${last.end.doubt}`).toBeLessThan(5);
        world.memory.clear();
        last = await read(world, stops);
      }
      expect(last.lost, `${where}: rows that were there all the time did not come`).toEqual([]);
    }
    if (!family.sure) expect(doubts, 'a doubt for every list would prove nothing').toBeLessThan(seeds * 0.8);
    if (family.unsafe) expect(earned, 'doubts that no loss earned').toBeGreaterThan(seeds / 4);
  });
});

/** A doubt is lifted by as many distinct keys as the read owes. */
function isProven({ seen, end }: Read): boolean {
  return end.doubt === null || (end.owed !== null && seen.size >= end.owed);
}

/** What peers do: pages from the first to the last, until one is short. */
async function readNaively(world: World): Promise<{ lost: number; held: number; noticed: boolean }> {
  const before = held(world);
  const seen = new Set<number>();
  const client = server.client();
  const signal = new AbortController().signal;
  for (let number = 1; ; number += 1) {
    const params = { ...world.params, page: number, start: (number - 1) * pageRows };
    const { data } = await client.call({ call: { api: 'list', params: {} }, params, stream: 'rows', signal });
    const { rows, total } = data as { rows: Row[]; total: number };
    for (const row of rows) seen.add(row.id);
    if (rows.length === pageRows) continue;
    const after = held(world);
    const lost = [...before.keys()].filter((id) => after.has(id) && !seen.has(id)).length;
    return { lost, held: before.size, noticed: seen.size < total };
  }
}

const counted = numberedFamilies.filter(({ paging }) => 'total' in paging);

describe.each(counted)('the control: $name, read from the first page to the last', (family) => {
  it('loses rows, of a window without a trace in the total', async () => {
    const sum = { lists: 0, lost: 0, held: 0, unnoticed: 0 };
    for (let seed = 1; seed <= controlSeeds; seed += 1) {
      const { lost, held, noticed } = await readNaively(openWorld(family, seed));
      sum.lost += lost;
      sum.held += held;
      if (lost > 0) sum.lists += 1;
      if (lost > 0 && !noticed) sum.unnoticed += 1;
    }
    expect(sum.lists, `of ${controlSeeds} lists lost rows`).toBeGreaterThan(controlSeeds / 3);
    expect((100 * sum.lost) / sum.held, 'percent of the rows that were there all the time').toBeGreaterThan(0.5);
    if (family.window === 'modified')
      expect(sum.unnoticed, 'lossy reads that hold as many rows as the total says').toBe(sum.lists);
  });
});
