import { expect, test } from 'vitest';
import { kuaishou } from '../sandbox/kuaishou.ts';
import type { PlatformSandbox } from '../sandbox/platform.ts';
import { randomOf } from './chaos/kills.ts';
import { openShop, resultOf } from './harness/platforms.ts';
import { type Caller, callers } from './harness/shop-calls.ts';
import { until } from './harness/until.ts';
import { openWorld } from './harness/world.ts';

const world = await openWorld();
/** The platform's clock, beside the computer's. */
const clock = { ms: -120_000 };
/** Longer than rows count as just changed. */
const quietMs = 60_000;
/** 600 items by page numbers, 600 comments by offset, 6,000 orders by cursor. */
const sandbox = {
  rows: 6_000,
  latencyMs: 20,
  // Behind the lag of every stream: what changes while it is read counts as late, and the next run must see it.
  now: () => Date.now() + clock.ms,
};
const lists = ['items', 'comments', 'orders'] as const;
const seed = Math.floor(Date.now() / 1000) % 1_000_000;

interface Mover {
  changes: number;
  /** Records that were there before the first change and live. */
  kept(list: string): string[];
  stop(): Promise<void>;
}

/** For each request a record of every list is changed, one is made and one is removed, until it is stopped. */
function move({ requests, lists: all }: PlatformSandbox, names: readonly string[]): Mover {
  const random = randomOf(seed);
  const first = new Map(names.map((name) => [name, all[name]?.ids() ?? []]));
  let [stopped, last] = [false, requests.total];
  const any = (name: string) => {
    const ids = all[name]?.ids() ?? [];
    return ids[Math.floor(random() * ids.length)] as string;
  };
  const mover: Mover = {
    changes: 0,
    kept: (list) => (first.get(list) ?? []).filter((id) => all[list]?.get(id)?.gone === null),
    async stop() {
      stopped = true;
      await moving;
    },
  };
  const step = (name: string) => {
    const list = all[name];
    list?.update(any(name), { note: mover.changes });
    list?.create();
    // A closed order stays closed.
    const id = any(name);
    if (list?.get(id)?.gone === null) list.remove(id);
    mover.changes += 3;
  };
  const moving = (async () => {
    while (!stopped) {
      await until('another request', async () => stopped || requests.total > last);
      for (const name of names) step(name);
      last = requests.total;
    }
  })();
  return mover;
}

test('records that change, come and go while they are read are not lost', async () => {
  const shop = await openShop(world, kuaishou, sandbox);
  const streams = ['deleted_items', 'items', 'comments', 'orders'];
  const mover = move(shop.source, lists);
  const busy = await shop.sync({ streams });
  await mover.stop();
  expect(mover.changes, `seed ${seed}`).toBeGreaterThan(300);
  // An order that changes leaves its window for one that the next run reads.
  for (const stream of ['items', 'comments']) {
    const copy = await shop.copy(stream);
    const lost = mover.kept(stream).filter((id) => !copy.has(id));
    // What a busy list cannot prove it says.
    if (resultOf(busy, stream).doubt === null) expect(lost, `seed ${seed}: ${stream} whole and lost`).toEqual([]);
  }
  clock.ms += quietMs;
  const calm = await shop.sync({ streams });
  expect(resultOf(calm, 'orders').kind).toBe('incremental');
  for (const stream of lists) {
    expect(resultOf(calm, stream), `seed ${seed}`).toMatchObject({ outcome: 'whole', doubt: null });
    await shop.expectSame(stream);
  }
});

test('the same movement makes a reader that only counts up lose records: the control', async () => {
  const shop = await openShop(world, kuaishou, sandbox);
  const caller = (await callers.kuaishou?.(shop.source)) as Caller;
  const mover = move(shop.source, ['comments', 'items']);
  const seen = new Set<string>();
  for (let offset = 0; ; offset += 20) {
    const { data } = await caller.call('open.comment.list.get', { offset, limit: 20 });
    for (const { commentId } of data.rootComment) seen.add(String(commentId));
    if (data.rootComment.length === 0) break;
  }
  for (let pageNumber = 1; ; pageNumber += 1) {
    const { data } = await caller.call('open.item.list.get', { pageNumber, pageSize: 20 });
    for (const { kwaiItemId } of data.items) seen.add(String(kwaiItemId));
    if (data.items.length === 0) break;
  }
  await mover.stop();
  for (const list of ['comments', 'items']) {
    const kept = mover.kept(list);
    const lost = kept.filter((id) => !seen.has(id));
    expect(lost.length / kept.length, `seed ${seed}: share of ${list} that a naive reader lost`).toBeGreaterThan(0.005);
  }
});
