import { beforeAll, describe, expect, it } from 'vitest';
import type { Deps } from '../activities/deps.ts';
import { openTokens } from '../activities/http/auth.ts';
import { openThrottle } from '../activities/http/throttle.ts';
import { type OpenStream, openPlatform } from '../activities/platform/open.ts';
import { readRows } from '../activities/platform/sql.ts';
import { SliceWriter } from '../activities/platform/writer.ts';
import type { Call } from '../activities/step.ts';
import { databasePlatform } from '../connectors/database.ts';
import type { Stream } from '../connectors/shape.ts';
import { takeClaim } from '../db/claims.ts';
import { loadConnection } from '../db/connections.ts';
import { openListener } from '../db/listen.ts';
import { openPass } from '../db/passes.ts';
import { readSliceState } from '../db/slices.ts';
import { ensureTable } from '../db/streams.ts';
import { pageRows } from './harness/paging/family.ts';
import { MovingSource } from './harness/paging/source.ts';
import { openWorld } from './harness/world.ts';

/*
 * The model of paging.model.test.ts for the family that has no pages over HTTP: a table of a foreign database that moves
 * between two calls, of which each reads some pages. Kills are met by `npm run chaos`.
 */
const seeds = 30;
const controlSeeds = 20;
/** Changes between two calls, by seed. */
const paces = [0, 0.5, 1, 2, 3, 6];
const allKinds = { create: 1, update: 3, remove: 1 };
const world = await openWorld({ worker: false });
const { pool, key } = world;
let deps: Deps;
let connection: string;
let reads = 0;

const table = { schema: 'moved', name: 'rows', columns: [] };
const streamBy = (keyset: readonly [string, ...string[]]): Stream => ({
  title: 'Rows',
  sql: {
    from: 'moving.rows',
    select: ['id', 'modified', 'n'],
    keyset,
    ...(keyset.length > 1 && { changed: { column: 'modified', overlapMs: 0 } }),
  },
  rows: '',
  key: 'id',
  time: { path: 'modified', format: 'iso' },
  paging: { kind: 'keyset', size: { rows: pageRows } },
  deletes: { kind: 'none', why: 'a test' },
  columns: {},
});

beforeAll(async () => {
  await pool.query(
    'CREATE SCHEMA moving; CREATE TABLE moving.rows (id bigint PRIMARY KEY, modified timestamptz, n int)',
  );
  connection = await world.connect({
    platform: databasePlatform,
    baseUrl: '',
    credential: JSON.stringify({ databaseUrl: world.servers.databaseUrl }),
    options: { users: { from: 'moving.rows', id: 'id' } },
  });
  const [throttle, tokens] = [openThrottle(pool), openTokens({ pool, key })];
  world.onClose(() => Promise.all([throttle.close(), tokens.close()]));
  // Never listens: it opens no connection.
  const listener = openListener(world.servers.databaseUrl);
  const load = (id: string) => loadConnection(pool, key, id);
  deps = { pool, listener, throttle, tokens, connection: load, isOpen: async () => false };
  await ensureTable(pool, table);
});

/** Brings the foreign table to what the source holds. */
async function push({ rows }: MovingSource): Promise<void> {
  const all = [...rows.values()].map(({ id, modified, n }) => ({ id, modified: new Date(modified * 1_000), n }));
  await pool.query(
    `WITH now AS (SELECT * FROM jsonb_to_recordset($1) AS r(id bigint, modified timestamptz, n int)),
     gone AS (DELETE FROM moving.rows WHERE id NOT IN (SELECT id FROM now))
     INSERT INTO moving.rows SELECT * FROM now ON CONFLICT (id) DO UPDATE SET modified = excluded.modified, n = excluded.n`,
    [JSON.stringify(all)],
  );
}

async function openSource(seed: number): Promise<MovingSource> {
  const changes = paces[seed % paces.length] as number;
  const source = new MovingSource(seed, { changes, ...allKinds });
  await pool.query('TRUNCATE moving.rows');
  await push(source);
  return source;
}

/** Reads the table as a slice of a pass, and gives the ids that landed. */
async function read(source: MovingSource, stream: Stream, fromMs?: number): Promise<Set<number>> {
  const opened: OpenStream = { ...(await openPlatform(deps, connection)), name: 'rows', stream, table };
  reads += 1;
  const run = { connection, pipeline: 'platform/rows', workflowId: `read ${reads}`, runId: '1' };
  const claim = await takeClaim(pool, { ...run, isOpen: deps.isOpen });
  if ('heldBy' in claim) throw new Error('somebody holds the stream');
  await pool.query('TRUNCATE moved.rows');
  const kind = fromMs === undefined ? 'full' : 'incremental';
  const request = { claim, stream: 'rows', kind, scope: `${reads}`, fromMs: fromMs ?? null, toMs: null } as const;
  const range = fromMs === undefined ? {} : { fromMs };
  const { pass } = await openPass(pool, { ...request, keepsSeen: false }, async () => [range]);
  for (;;) {
    const state = await readSliceState(pool, pass.id, 1);
    if (state === null) throw new Error('the slice is gone');
    const writer = await SliceWriter.open(deps, opened, pass, state);
    let pages = 1 + source.below(4);
    const call: Call = {
      signal: new AbortController().signal,
      attempt: 1,
      before: {},
      shouldEnd: () => --pages <= 0,
      report: () => undefined,
    };
    const end = await readRows(deps, writer, call);
    await writer.flush(false);
    if (end.kind === 'done') {
      const { rows } = await pool.query('SELECT id FROM moved.rows');
      return new Set(rows.map(({ id }) => Number(id)));
    }
    source.move();
    await push(source);
  }
}

describe.each<[string, Stream]>([
  ['by the key', streamBy(['id'])],
  ['by the time of change and the key', streamBy(['modified', 'id'])],
])('keyset %s', (_name, stream) => {
  it(`loses no row over ${seeds} seeds`, async () => {
    let moved = 0;
    for (let seed = 1; seed <= seeds; seed += 1) {
      const source = await openSource(seed);
      const before = new Map(source.rows);
      const fromMs = stream.sql?.changed ? (source.second() - 1_000) * 1_000 : undefined;
      const seen = await read(source, stream, fromMs);
      const lost = [...before.keys()].filter((id) => source.rows.has(id) && !seen.has(id));
      expect(lost, `seed ${seed}: rows that were there all the time did not come`).toEqual([]);
      moved += [...before].filter(([id, row]) => source.rows.get(id)?.version !== row.version).length;
    }
    expect(moved, 'rows that changed or left while they were read').toBeGreaterThan(seeds);
  });
});

it('the control: the same rows read by OFFSET are lost', async () => {
  let lost = 0;
  for (let seed = 1; seed <= controlSeeds; seed += 1) {
    const source = await openSource(seed);
    const before = [...source.rows.keys()];
    const seen = new Set<number>();
    for (let start = 0; ; start += pageRows) {
      const { rows } = await pool.query('SELECT id FROM moving.rows ORDER BY modified, id LIMIT $1 OFFSET $2', [
        pageRows,
        start,
      ]);
      for (const { id } of rows) seen.add(Number(id));
      if (rows.length < pageRows) break;
      source.move();
      await push(source);
    }
    if (before.some((id) => source.rows.has(id) && !seen.has(id))) lost += 1;
  }
  expect(lost, `of ${controlSeeds} lists lost rows`).toBeGreaterThan(controlSeeds / 3);
});
