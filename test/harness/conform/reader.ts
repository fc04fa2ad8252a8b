import type { Tokens } from '../../../activities/http/auth.ts';
import { openClient, type PlatformClient } from '../../../activities/http/client.ts';
import type { Throttle } from '../../../activities/http/throttle.ts';
import { resolveValue, valueAt } from '../../../activities/http/values.ts';
import { cutWindows, spanOf } from '../../../activities/platform/windows.ts';
import type { Connector, Stream } from '../../../connectors/shape.ts';
import type { Connection } from '../../../db/connections.ts';
import type { LandRow } from '../../../db/land.ts';
import type { Range } from '../../../db/slices.ts';
import { ListRead, Reading } from './reading.ts';

export interface ReaderTools {
  tokens: Tokens;
  throttle: Throttle;
}

/**
 * Reads streams with the product's client, paging and extraction, and answers failures as the core does, but keeps the rows
 * in memory: no workflow, no pass, no table. A wait is noted and not waited for: the budget behind it is left for a fresh one.
 */
export class Reader {
  private readonly tools: ReaderTools;
  readonly connection: Connection;
  private readonly connector: Connector;
  /** Oldest moment that is read, ms; null: as far back as the platform serves. */
  private readonly sinceMs: number | null;
  private readonly scope: string;
  private scopes = 0;
  private client: PlatformClient;
  private readonly signal = new AbortController().signal;

  constructor(tools: ReaderTools, connection: Connection, connector: Connector, sinceMs: number | null) {
    this.tools = tools;
    this.connection = connection;
    this.connector = connector;
    this.sinceMs = sinceMs;
    // Waits of one check must not hold up the others of the same platform.
    this.scope = `${connector.platform} ${connection.id}`;
    this.client = this.open();
  }

  /** Leaves the budget that waits, as time would. */
  renew(): void {
    this.scopes += 1;
    this.client = this.open();
  }

  /** Reads a stream whole. `patient: false`: a wait is thrown instead of noted. @throws what ends the stream in the product */
  async read(name: string, { patient = true } = {}): Promise<Reading> {
    const stream = this.connector.streams[name];
    if (!stream) throw new Error(`${this.connector.platform} has no stream ${name}`);
    const reading = new Reading();
    const list = new ListRead(name, stream, reading, patient ? () => this.renew() : null);
    const client: PlatformClient = { call: (request) => this.client.call(request) };
    if (stream.over?.kind === 'tree') await this.readTree(client, list, stream.over);
    else if (stream.over?.kind === 'each') await this.readEach(client, list, stream.over);
    else for (const range of this.ranges(stream)) await list.readRange(client, range, this.signal);
    return reading;
  }

  private open(): PlatformClient {
    const platform = `${this.scope} ${this.scopes}`;
    return openClient(this.tools, this.connection, { ...this.connector, platform });
  }

  private ranges({ window }: Stream): Range[] {
    if (!window) return [{}];
    const nothing = { watermarkMs: null, coveredFromMs: null, scopeChanged: false };
    const { fromMs, toMs } = spanOf(window, 'full', nothing, this.sinceMs, Date.now());
    return cutWindows(window, fromMs, toMs);
  }

  private async readEach(client: PlatformClient, list: ListRead, over: Extract<Stream['over'], { kind: 'each' }>) {
    const parents = await this.read(over.stream);
    const found = [...parents.rows.values()].flatMap((row) => idsOf(row, over.path));
    const ids = [...new Set([...found, ...(over.also ?? [])])].sort();
    for (let at = 0; at < ids.length; at += over.batch) {
      const batch = ids.slice(at, at + over.batch);
      const one = over.batch === 1 ? batch[0] : undefined;
      await list.readId(client, { [over.param]: one ?? batch }, one, this.signal);
    }
  }

  private async readTree(client: PlatformClient, list: ListRead, over: Extract<Stream['over'], { kind: 'tree' }>) {
    const root = resolveValue(over.root, { options: this.connection.options, secrets: {}, nowMs: Date.now() });
    const queue = [String(root)];
    for (const node of queue) {
      const param = /^\d{1,15}$/.test(node) ? Number(node) : node;
      const before = new Set(list.reading.rows.keys());
      await list.readId(client, { [over.param]: param }, node, this.signal);
      for (const id of list.reading.rows.keys()) if (!before.has(id) && !queue.includes(id)) queue.push(id);
    }
  }
}

function idsOf({ id, data }: LandRow, path: string | undefined): string[] {
  if (path === undefined) return [id];
  const found = [valueAt(JSON.parse(data), path)].flat();
  return found.flatMap((one) => (one === null || one === undefined || one === '' ? [] : [String(one)]));
}
