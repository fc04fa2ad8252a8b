import type { Paging, Stream } from '../../connectors/shape.ts';
import { SyncError } from '../errors.ts';
import type { PlatformClient } from './client.ts';
import { byCursor } from './paging/cursor.ts';
import { byOwnSteps } from './paging/custom.ts';
import { drive } from './paging/drive.ts';
import { readExport } from './paging/export.ts';
import { byLink } from './paging/link.ts';
import { byOffset } from './paging/offset.ts';
import { byPage } from './paging/page.ts';
import type { Tally } from './paging/tally.ts';
import { byVersion } from './paging/version.ts';
import { whole } from './paging/whole.ts';

/** What one step of a read brought. */
export interface Page {
  /** As the platform sent them. A row may come on two pages: the newer wins. */
  rows: unknown[];
  /** Rows of a look ahead that are not handed out here, since they come again; absent where there are none. */
  ahead?: unknown[];
  /** Position behind this page; given back as `ReadAt.cursor` it goes on there. */
  cursor: Cursor;
  /** Rows that the platform says the list has, as of this page; null where it does not say. */
  total: number | null;
  /** Requests that this page took. */
  requests: number;
  /** When the request of this page left, ms. */
  requestedAt: number;
  /** Where its rows stood, e.g. `page 12`. */
  position: string;
  /** Null while there is more. */
  ended: End | null;
}

/** How a list ended, and what is known of its completeness. */
export interface End {
  /** What told the end, e.g. `the sentinel "nomore"`. */
  sign: string;
  /** Why the read may have missed rows that were there all the time; null = it cannot have. */
  doubt: string | null;
  /** True: read again at a quieter moment, the list may prove itself. False: what this platform tells never proves it. */
  again: boolean;
  /**
   * Distinct keys that lift the doubt. A read that went on from a cursor cannot know which keys came before it; who keeps
   * the keys of the whole read may compare after landing: as many or more, and the read is proven. Null: nothing lifts it.
   */
  owed: number | null;
  /** Row version with which the next read may begin; null or absent: it reads everything. */
  version?: string | number | null;
}

/** Plain JSON of about a kilobyte. It may hold the platform's own cursor and link: sealed before it is shown anywhere. */
export interface Cursor {
  family: Paging['kind'];
  /** The family's own position. */
  state: unknown;
  tally: Tally;
}

export interface ReadAt {
  /** Bounds of the window, ids of `over`: sent with every page. */
  params: Record<string, unknown>;
  /** Where to go on; null = from the start. */
  cursor: Cursor | null;
  signal: AbortSignal;
  /** Asked before each further request; true = stop after the page in hand. Never asked for a list with `livesMs`, which is read in one call. */
  shouldEnd?(): boolean;
}

/**
 * Reads a list page by page, whatever the family of its paging. The request of the next page leaves before a page is handed
 * out, in the order in which the platform must see them. The last page has `ended`, also when the list is empty.
 * @throws SyncError BadAnswer for a cursor that does not advance, a page that repeats, a total without rows, pages without rows that never end;
 * ChainBroken for a cursor that is or may be dead (read from the start); Refused and RetryLater as the client throws them,
 * and Refused `too-deep` before a page that the connector says the platform does not serve
 */
export async function* paginate(
  client: PlatformClient,
  name: string,
  stream: Stream,
  at: ReadAt,
): AsyncGenerator<Page> {
  const { paging } = stream;
  switch (paging.kind) {
    case 'whole':
      return yield* drive(client, name, stream, at, whole());
    case 'cursor':
      return yield* drive(client, name, stream, at, byCursor(name, stream, paging));
    case 'page':
      return yield* drive(client, name, stream, at, byPage(name, stream, paging, at));
    case 'offset':
      return yield* drive(client, name, stream, at, byOffset(name, stream, paging, at));
    case 'link':
      return yield* drive(client, name, stream, at, byLink(name, stream, paging));
    case 'version':
      return yield* drive(client, name, stream, at, byVersion(name, stream, paging, at));
    case 'custom':
      return yield* drive(client, name, stream, at, byOwnSteps(name, stream, paging));
    case 'export':
      return yield* readExport(client, name, stream, paging, at);
    case 'keyset':
      throw new SyncError('Defect', `${name}: paging "keyset" reads a SQL source; it has no pages over HTTP`);
  }
}
