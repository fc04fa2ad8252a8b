import pg from 'pg';
import type { Pool } from '../../db/client.ts';
import { dingtalk } from '../../sandbox/dingtalk.ts';
import { jushuitan } from '../../sandbox/jushuitan.ts';
import { kuaishou } from '../../sandbox/kuaishou.ts';
import type { Fixture, PlatformSandbox, PlatformSandboxOptions } from '../../sandbox/platform.ts';
import { taobao } from '../../sandbox/taobao.ts';
import type { Ground } from '../harness/ground.ts';
import { openShop, type Shop } from '../harness/platforms.ts';

/** A source whose streams are read together, and which ways of reading they stand for. */
interface Kind {
  fixture: Fixture;
  sandbox: PlatformSandboxOptions;
  options: Record<string, unknown>;
  streams: string[];
  /** Lists of the sandbox that change between two runs. */
  lists: string[];
  /** True: nothing is removed, because its streams do not show it. */
  keeps?: true;
  prepare?(source: PlatformSandbox): void;
}

/** Each is read for about three seconds, so that a kill meets all of them at work. */
export const kinds: Record<string, Kind> = {
  /** Windows by cursor, page numbers of unknown order, offset. */
  pages: {
    fixture: kuaishou,
    sandbox: { rows: 6_000, latencyMs: 50 },
    options: {},
    streams: ['orders', 'deleted_items', 'items', 'comments'],
    lists: ['orders', 'items', 'comments'],
  },
  /** Id by id from a parent table. */
  ids: {
    fixture: kuaishou,
    sandbox: { rows: 200 },
    options: {},
    streams: ['orders', 'order_details'],
    lists: ['orders'],
  },
  /** A tree, and a list for each of its nodes. */
  tree: {
    fixture: dingtalk,
    sandbox: { rows: 1_000, latencyMs: 20 },
    options: {},
    streams: ['departments', 'users'],
    lists: ['departments', 'people'],
    // No list of departments shows the root, so that people who sit there alone are read by no stream.
    prepare: ({ lists: { people } }) => {
      for (const id of people?.ids().slice(0, 20) ?? []) people?.update(id, { departments: ['400000002'] }, longAgo());
    },
  },
  /** Row versions; five requests a second are all that the platform allows. */
  versions: {
    fixture: jushuitan,
    sandbox: { rows: 1_200 },
    options: {},
    streams: ['orders'],
    lists: ['orders'],
  },
  /** A foreign table by keyset. */
  keyset: {
    fixture: taobao,
    sandbox: { rows: 8_000 },
    options: { parallel: 1 },
    streams: ['push_trades'],
    lists: ['trades'],
    keeps: true,
  },
};

/** A source with its copy, and how often it was asked. */
export interface Place {
  kind: Kind;
  shop: Shop;
  /** Questions since it was opened, those of tokens too. */
  asked(): Promise<number>;
  /** Of those, asked before. For a foreign table nobody can tell; then null. */
  repeated(): number | null;
  /** Changes, creates and removes records, the same for the same seed. */
  change(seed: number): Promise<void>;
}

/** Opens a fresh source of a kind; there is one of a foreign table at a time. */
export async function openPlace(ground: Ground, kind: Kind): Promise<Place> {
  const { fixture, sandbox, options, streams } = kind;
  const url = fixture.tables && ground.servers.databaseUrl;
  const shop = await openShop(ground, fixture, sandbox, { streams, ...options }, url);
  kind.prepare?.(shop.source);
  const push = fixture.tables && (() => pushed(ground.pool, fixture, shop.source));
  if (push) await ground.pool.query('DROP SCHEMA IF EXISTS sys_info CASCADE');
  await push?.();
  const questions = push && (await questionsOf(ground));
  const before = questions?.() ?? 0;
  return {
    kind,
    shop,
    asked: async () => (questions ? questions() - before : shop.source.requests.total),
    repeated: () => (push ? null : shop.source.requests.repeated),
    async change(seed) {
      for (const name of kind.lists) changeList(shop.source, name, seed, kind.keeps !== true);
      await push?.();
    },
  };
}

/** Older than every lag, so that the next run must see it. */
const longAgo = () => Date.now() - 120_000;

function changeList({ lists }: PlatformSandbox, name: string, seed: number, removes: boolean): void {
  const list = lists[name];
  if (!list) throw new Error(`chaos: the sandbox has no list ${name}`);
  const at = longAgo();
  const ids = list.ids();
  const every = (share: number, from: number) => ids.filter((_, i) => i > 0 && i % share === (seed + from) % share);
  for (const id of every(40, 0)) list.update(id, {}, at);
  if (removes && name !== 'departments') for (const id of every(200, 7)) list.remove(id, at);
  for (let i = 0; i < 5; i++) list.create({}, at);
}

/** Brings the foreign table to what the sandbox holds; every question to it is counted and takes a tenth of a second. */
async function pushed(pool: Pool, fixture: Fixture, source: PlatformSandbox): Promise<void> {
  const { rows } = await pool.query(`SELECT to_regclass('sys_info.kept_trades') IS NOT NULL AS kept`);
  if (rows[0].kept)
    await pool.query('DROP VIEW sys_info.jdp_tb_trade; ALTER TABLE sys_info.kept_trades RENAME TO jdp_tb_trade');
  for (const { text, values } of fixture.tables?.(source.account('main')) ?? []) await pool.query(text, values);
  await pool.query(`
    CREATE OR REPLACE FUNCTION sys_info.asked() RETURNS boolean LANGUAGE sql VOLATILE AS
      $$ SELECT pg_notify('sys_info_asked', ''), pg_sleep(0.1); SELECT true $$;
    ALTER TABLE sys_info.jdp_tb_trade RENAME TO kept_trades;
    CREATE VIEW sys_info.jdp_tb_trade AS SELECT * FROM sys_info.kept_trades WHERE (SELECT sys_info.asked())`);
}

const counters = new WeakMap<Ground, Promise<() => number>>();

/** Counts what the foreign table is asked. Sources are read in read-only sessions, which may tell others and write nothing. */
function questionsOf(ground: Ground): Promise<() => number> {
  const known = counters.get(ground) ?? listen(ground);
  counters.set(ground, known);
  return known;
}

async function listen(ground: Ground): Promise<() => number> {
  const client = new pg.Client({ connectionString: ground.servers.databaseUrl });
  // A server that crashes takes the listener along; the next source that is opened gets another one.
  client.on('error', () => counters.delete(ground));
  await client.connect();
  ground.onClose(() => client.end());
  let asked = 0;
  client.on('notification', () => {
    asked += 1;
  });
  await client.query('LISTEN sys_info_asked');
  return () => asked;
}
