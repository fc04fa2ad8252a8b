import { RetryLater, SyncError } from '../../../activities/errors.ts';
import { type PlatformClient, Refused } from '../../../activities/http/client.ts';
import { type Cursor, type Page, paginate } from '../../../activities/http/paginate.ts';
import { extract, type Faulty } from '../../../activities/platform/extract.ts';
import { splitWindow, windowParams } from '../../../activities/platform/windows.ts';
import type { Stream } from '../../../connectors/shape.ts';
import type { LandRow } from '../../../db/land.ts';
import type { Range } from '../../../db/slices.ts';

/** What reading a stream brought, and what happened on the way. */
export class Reading {
  /** Rows by id, the latest that came. */
  readonly rows = new Map<string, LandRow>();
  /** Every row in the order it came. */
  readonly all: LandRow[] = [];
  readonly rejected: Faulty[] = [];
  readonly doubts: string[] = [];
  /** What the platform asked to wait, ms. */
  readonly waits: number[] = [];
  /** Types of the failures after which the read went on. */
  readonly troubles: string[] = [];
  splits = 0;
}

/** Tries of a page that fails, and readings of a list that disagrees with its total: those of the product. */
const triesMost = 3;
const rereadsMost = 2;
/** More waits than this in one reading are no trouble on the way but its end. */
const waitsMost = 20;

/** Reads the lists of one stream: windows, or answers for an id. */
export class ListRead {
  readonly reading: Reading;
  private readonly name: string;
  private readonly stream: Stream;
  /** Null: waits are thrown. */
  private readonly afterWait: (() => void) | null;

  constructor(name: string, stream: Stream, reading: Reading, afterWait: (() => void) | null) {
    this.name = name;
    this.stream = stream;
    this.reading = reading;
    this.afterWait = afterWait;
  }

  /** A window, split where the platform refuses it. */
  async readRange(client: PlatformClient, range: Range, signal: AbortSignal): Promise<void> {
    try {
      await this.readPages(client, windowParams(this.stream, range), undefined, rereadsMost, signal);
    } catch (error) {
      if (!(error instanceof Refused && (error.verdict === 'too-big' || error.verdict === 'too-deep'))) throw error;
      const parts = this.stream.window && splitWindow(this.stream.window, range, Number.POSITIVE_INFINITY, {});
      if (!parts) throw error;
      this.reading.splits += 1;
      for (const part of parts) await this.readRange(client, part, signal);
    }
  }

  /** The answers for one id. One that the platform does not know brings no row. */
  async readId(
    client: PlatformClient,
    params: Record<string, unknown>,
    over: string | undefined,
    signal: AbortSignal,
  ): Promise<void> {
    try {
      await this.readPages(client, params, over, 0, signal);
    } catch (error) {
      if (!(error instanceof Refused && error.verdict === 'gone')) throw error;
    }
  }

  private async readPages(
    client: PlatformClient,
    params: Record<string, unknown>,
    over: string | undefined,
    rereads: number,
    signal: AbortSignal,
  ): Promise<void> {
    let left = { tries: triesMost, rereads };
    let cursor: Cursor | null = null;
    const seen = new Set<string>();
    for (;;) {
      try {
        for await (const page of paginate(client, this.name, this.stream, { params, cursor, signal })) {
          for (const id of this.take(page, over)) seen.add(id);
          cursor = page.cursor;
          if (!page.ended) continue;
          const { doubt, again, owed } = page.ended;
          if (doubt === null || (owed !== null && seen.size >= owed)) return;
          if (!again || left.rereads === 0) {
            this.reading.doubts.push(doubt);
            return;
          }
          left = { ...left, rereads: left.rereads - 1 };
          cursor = null;
        }
      } catch (error) {
        if (!(error instanceof RetryLater)) left = { ...left, tries: left.tries - 1 };
        if (!this.goesOn(error, left.tries)) throw error;
        if (error instanceof SyncError && error.type === 'ChainBroken') cursor = null;
      }
    }
  }

  /** Notes a failure after which the core tries again. */
  private goesOn(error: unknown, tries: number): boolean {
    if (error instanceof RetryLater) {
      this.reading.waits.push(error.waitMs);
      this.afterWait?.();
      return this.afterWait !== null && this.reading.waits.length <= waitsMost;
    }
    if (!(error instanceof SyncError) || error instanceof Refused || tries <= 0) return false;
    if (!['Unavailable', 'BadAnswer', 'ChainBroken'].includes(error.type)) return false;
    this.reading.troubles.push(error.type);
    return true;
  }

  private take(page: Page, over: string | undefined): string[] {
    return page.rows.flatMap((record, index) => {
      const position = `${page.position} row ${index + 1}`;
      const made = extract(this.stream, record, {
        readMs: page.requestedAt,
        position,
        ...(over !== undefined && { over }),
      });
      if ('fault' in made) {
        this.reading.rejected.push(made.fault);
        return made.fault.keyed ? [made.fault.id] : [];
      }
      this.reading.all.push(made.row);
      this.reading.rows.set(made.row.id, made.row);
      return [made.row.id];
    });
  }
}
