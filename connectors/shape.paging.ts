import type { ApiCall } from './shape.stream.ts';
import type { Path, Value } from './shape.ts';

export interface PageSize {
  /** Parameter; absent where the platform fixes the size. */
  param?: string;
  /** Rows asked for: the largest the platform gives. */
  rows: number;
}

/** One strategy a family. Each stops on a cursor that does not advance and on a page seen before. */
export type Paging =
  /** The whole list in one answer. */
  | { kind: 'whole' }
  /** Opaque cursor. */
  | {
      kind: 'cursor';
      param: string;
      size: PageSize;
      /** Where the next one stands. Paths of paging start at the payload, as `rows` does. */
      next: Path;
      /** Sent first; absent: nothing is sent. */
      first?: string | number;
      /** Path of a flag that says whether there is more; or the word that ends; absent: an empty or missing cursor ends. */
      more?: Path;
      sentinel?: string;
      total?: Path;
      /** Page number sent beside the cursor. */
      pageParam?: string;
      /** Milliseconds a cursor lives (server-side scroll): one that may be dead restarts its window. */
      livesMs?: number;
    }
  /** Page number. */
  | {
      kind: 'page';
      param: string;
      first: 0 | 1;
      size: PageSize;
      /** Count of all rows; needed where `order` is not `fixed`. */
      total?: Path;
      more?: Path;
      /**
       * `ascending`: rows that change leave or move to the end. `descending`: newest first. `unknown`: anything may move.
       * `fixed`: rows do not move (by id, append only). All are read last page first, which survives rows that leave;
       * `fixed` goes on at the end for rows that came meanwhile where a total is known. Where none is, the last page is
       * looked for page by page until an empty one comes, which doubles the requests.
       */
      order: 'ascending' | 'descending' | 'unknown' | 'fixed';
      /** Deepest page and deepest row (page × size) the platform serves; beyond, the window is split. */
      deepest?: { page?: number; rows?: number };
    }
  /** Row offset. */
  | {
      kind: 'offset';
      param: string;
      first: 0 | 1;
      size: PageSize;
      total?: Path;
      more?: Path;
      order: 'unknown' | 'fixed';
    }
  /** Address of the next page, in the `Link` header or the body. */
  | { kind: 'link'; at: { header: 'link' } | { path: Path }; size: PageSize }
  /** Row version: send the largest seen, until nothing larger comes. Loss-free. */
  | {
      kind: 'version';
      param: string;
      path: Path;
      size: PageSize;
      params?: Record<string, Value>;
      /**
       * An incremental pass begins behind the versions of the last whole pass, but for rows that changed so many ms before
       * its end (by `time`, which it needs): a version is given before its row is committed, so a row may come late with a
       * lower one. Absent: each pass reads everything. Not with a window or `over`.
       */
      overlapMs?: number;
    }
  /** Keyset of a SQL source. Loss-free. */
  | { kind: 'keyset'; size: PageSize }
  /** Order a file, ask until it is ready, fetch it. */
  | {
      kind: 'export';
      /** Path of the job's id in the answer of `call`. */
      job: Path;
      poll: ApiCall & {
        param: string;
        everyMs: number;
        done: { path: Path; is: readonly (string | number | boolean)[] };
        url: Path;
      };
      format: 'json' | 'jsonl' | 'csv';
    }
  /** Escape hatch: the same interface as the strategies (activities/http/paginate.ts). */
  | { kind: 'custom'; size: PageSize; step(seen: CustomPage | null): CustomNext | null };

/** What a custom strategy sees of the page before, and what it asks for next; null ends. Both are plain JSON. */
export interface CustomPage {
  data: unknown;
  rows: number;
  state: unknown;
}
export interface CustomNext {
  params: Record<string, string | number | boolean>;
  state: unknown;
}
