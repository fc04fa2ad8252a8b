import { expect } from 'vitest';
import type { Connector } from '../../../connectors/shape.ts';
import type { Lists } from '../../../sandbox/platform/fixture.ts';
import type { Account, Fixture } from '../../../sandbox/platform.ts';
import { openShop, resultOf } from '../platforms.ts';
import type { World } from '../world.ts';

const day = 86_400_000;
/** Two pages of nearly every list. */
const rows = 130;

/**
 * One whole platformSync through Temporal, with the connector's own pages, windows and limits: every stream agrees with the
 * source row by row, nothing was refused, and a second full run writes nothing.
 */
export async function proveWhole(world: World, connector: Connector, fixture: Fixture): Promise<void> {
  const since = new Date(Date.now() - 2 * day).toISOString().slice(0, 10);
  const shop = await openShop(world, pushing(world, fixture), { rows, spanMs: day }, { since });
  removeOneOfEach(shop.source.lists);
  await push(world, fixture, shop.source.account('main'));
  const streams = Object.keys(connector.streams);

  const first = await shop.sync();
  expect(first, shown(first)).toMatchObject({ outcome: 'whole' });
  expect(first.streams.map(({ stream }) => stream).sort()).toEqual([...streams].sort());
  for (const stream of streams) await shop.expectSame(stream);

  const second = await shop.sync({ mode: 'full' });
  const written = streams.map((stream) => ({ stream, written: resultOf(second, stream).written }));
  expect(written).toEqual(streams.map((stream) => ({ stream, written: 0 })));
  const { wrong, failed, refused } = shop.source.requests;
  expect({ wrong, failed, refused }, 'calls that the platform did not serve').toEqual({
    wrong: 0,
    failed: 0,
    refused: 0,
  });
}

/** Some are gone before the first run, the way the platform shows it, and longer ago than any list lags. */
function removeOneOfEach(lists: Lists): void {
  for (const list of Object.values(lists)) {
    const last = list.ids().at(-1);
    if (list.spec.removed !== 'never' && last !== undefined) list.remove(last, Date.now() - 120_000);
  }
}

const shown = (result: { streams: unknown }) => JSON.stringify(result.streams).slice(0, 2_000);

/** The fixture, with the address of its database in the credential where streams are read by SQL. */
function pushing(world: World, fixture: Fixture): Fixture {
  if (!fixture.tables) return fixture;
  return {
    ...fixture,
    connect(account, tokens) {
      const { credential, options } = fixture.connect(account, tokens);
      return { credential: { ...credential, databaseUrl: world.servers.databaseUrl }, options };
    },
  };
}

async function push(world: World, fixture: Fixture, account: Account): Promise<void> {
  for (const { text, values } of fixture.tables?.(account) ?? []) await world.pool.query(text, values);
}
