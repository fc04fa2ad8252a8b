import { randomBytes } from 'node:crypto';
import { WorkflowFailedError, type WorkflowHandle } from '@temporalio/client';
import { expect } from 'vitest';
import {
  type Fixture,
  type PlatformSandbox,
  type PlatformSandboxOptions,
  startPlatformSandbox,
} from '../../sandbox/platform.ts';
import { platformSync, replayWindow } from '../../workflows/index.ts';
import type { StreamResult } from '../../workflows/platform.stream.ts';
import type { PlatformSyncResult, StreamOutcome } from '../../workflows/platform.ts';
import type { World } from './world.ts';

/** What a shop stands on: a world, or a ground whose servers may be crashed. */
export type ShopGround = Pick<World, 'pool' | 'client' | 'connect' | 'onClose'> & {
  config: Pick<World['config'], 'taskQueue'>;
};

export interface Shop {
  name: string;
  source: PlatformSandbox;
  start(input?: Record<string, unknown>): Promise<WorkflowHandle<typeof platformSync>>;
  sync(input?: Record<string, unknown>): Promise<PlatformSyncResult>;
  replay(input: Record<string, unknown>): ReturnType<typeof replayWindow>;
  /** Rows that live in the copy, by id: the record. */
  copy(stream: string): Promise<Map<string, unknown>>;
  /** Living records of a stream that differ from the source, at most a few of each kind; empty lists when none does. */
  difference(stream: string): Promise<{ missing: string[]; extra: string[]; other: string[] }>;
  /** Compares every living record of a stream with the source, and fails with the first that differ. */
  expectSame(stream: string): Promise<void>;
}

/** Starts a simulated platform and connects it; the tables of a SQL source are made in `databaseUrl`. */
export async function openShop(
  world: ShopGround,
  fixture: Fixture,
  sandbox: PlatformSandboxOptions = {},
  options: Record<string, unknown> = {},
  databaseUrl?: string,
): Promise<Shop> {
  const source = await startPlatformSandbox(fixture, sandbox);
  world.onClose(() => source.stop());
  const { platform, baseUrl, options: own, credential: given } = source.connection();
  const credential = { ...given, ...(databaseUrl !== undefined && { databaseUrl }) };
  const name = await world.connect({
    platform,
    baseUrl,
    credential: JSON.stringify(credential),
    options: { ...own, ...options },
  });
  return shopOf(world, name, source);
}

function shopOf(world: ShopGround, name: string, source: PlatformSandbox): Shop {
  const id = () => `test-${randomBytes(8).toString('hex')}`;
  const shop: Shop = {
    name,
    source,
    start: (input = {}) =>
      world.client.workflow.start(platformSync, {
        args: [{ connection: name, ...input }],
        taskQueue: world.config.taskQueue,
        workflowId: id(),
      }),
    sync: async (input) => (await shop.start(input)).result(),
    replay: async (input) =>
      world.client.workflow.execute(replayWindow, {
        args: [{ connection: name, ...input }],
        taskQueue: world.config.taskQueue,
        workflowId: id(),
      }),
    async copy(stream) {
      const { platform } = source.connection();
      const { rows } = await world.pool.query(
        `SELECT id, data FROM ${platform}.${stream} WHERE connection_id = $1 AND deleted_at IS NULL`,
        [name],
      );
      return new Map(rows.map((row) => [row.id, row.data]));
    },
    async difference(stream) {
      const copy = await shop.copy(stream);
      const truth = new Map([...source.truth(stream)].filter(([, one]) => !one.removed));
      const missing = [...truth.keys()].filter((key) => !copy.has(key));
      const extra = [...copy.keys()].filter((key) => !truth.has(key));
      const other = [...truth].filter(([key, { data }]) => copy.has(key) && !same(data, copy.get(key)));
      return { missing: missing.slice(0, 5), extra: extra.slice(0, 5), other: other.slice(0, 3).map(([key]) => key) };
    },
    async expectSame(stream) {
      expect(await shop.difference(stream), stream).toEqual({ missing: [], extra: [], other: [] });
    },
  };
  return shop;
}

const same = (a: unknown, b: unknown) => JSON.stringify(sorted(a)) === JSON.stringify(sorted(b));

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, inner]) => [key, sorted(inner)]),
  );
}

/** The result of one stream of a run; fails the test with its reason when the stream was not read. */
export function resultOf(result: PlatformSyncResult, stream: string): StreamResult {
  const found = result.streams.find((one) => one.stream === stream);
  if (!found || 'reason' in found) expect.fail(`${stream} ended as ${JSON.stringify(found)}`);
  return found;
}

export function reasonOf(result: PlatformSyncResult, stream: string): StreamOutcome {
  return result.streams.find((one) => one.stream === stream) ?? expect.fail(`no stream ${stream}`);
}

/** The failure a run must end with. */
export async function failureOfRun(run: Promise<unknown>): Promise<{ message: string; type: string | undefined }> {
  const error = await run.then(
    () => expect.fail('the run should have failed'),
    (e: unknown) => e,
  );
  if (!(error instanceof WorkflowFailedError)) throw error;
  const cause = error.cause as (Error & { type?: string }) | undefined;
  return { message: cause?.message ?? '', type: cause?.type };
}
