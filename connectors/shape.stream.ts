import type { Paging } from './shape.paging.ts';
import type { Path, Rate, TimeFormat, Value } from './shape.ts';

/** One list of a platform that lands in one table. */
export interface Stream {
  title: string;
  /** What somebody would look for here and the list does not have, for people. */
  lacks?: string;
  /** HTTP call; a SQL source has `sql` instead. */
  call?: ApiCall;
  sql?: SqlCall;
  /** Rows, from the payload. One object instead of a list counts as one row. */
  rows: Path;
  /**
   * Of a platform that leaves an empty list out, or writes null for it: what its answer has even then, e.g. `has_more`; from
   * the payload, as `rows`. `''`: nothing, any success without a list is an empty one. Default: an answer with neither the
   * list nor a total of 0 is a BadAnswer, since maintenance looks the same. Say it only where a source or an answer shows it.
   */
  emptyHas?: Path;
  /**
   * Source id: one path or several joined by `/`; of several a part that holds `/` or `\` has a `\` before each. `$over` is
   * the id the call was made for.
   */
  key: Path | readonly Path[];
  /** When the source last changed the row: the newer wins. Absent: the moment the request began. */
  time?: { path: Path; format: TimeFormat };
  paging: Paging;
  window?: Window;
  over?: Over;
  /**
   * Another way to the same rows, gone to the end of a pass whose list the platform calls too big (`too-big`): level by level,
   * with these parameters in place of the call's. Not where there is a window, which is split.
   */
  instead?: { params: Record<string, Value>; over: Extract<Over, { kind: 'tree' }> };
  /** How the platform shows that a row is gone. */
  deletes: Deletes;
  /** Typed columns beside `data`. A new one fills from `data` without a call. */
  columns: Record<string, Column>;
  /** Fields that hold JSON as text; they are opened before landing. */
  jsonText?: readonly Path[];
  /** Limits of this API alone, for one connection. */
  limits?: readonly Rate[];
  /**
   * Limits of this API alone, over all connections of the app (`limits.app` of the connector). A connection may say with
   * the option `apiRequestsPerSecond` that its app was granted another one.
   */
  appLimits?: readonly Rate[];
}

export interface ApiCall {
  /**
   * Name, e.g. `open.order.cursor.list`; a path where the gateway says `{api}`. `{name}` inside a path stands for the
   * parameter of that name, which is then sent nowhere else, e.g. `contact/v3/departments/{department_id}/children`.
   */
  api: string;
  version?: string;
  method?: 'GET' | 'POST';
  /** Parameters besides those of paging, window and over. */
  params: Record<string, Value | readonly Value[]>;
}

/** A table of a foreign database, read by keyset. Never an OFFSET. */
export interface SqlCall {
  /** Absent: the scheme of the address tells (credential field `databaseUrl`), postgres:// or mysql://. */
  dialect?: 'postgres' | 'mysql';
  /** Time zone of columns that have none, e.g. `Asia/Shanghai`. Default `UTC`. */
  zone?: string;
  /** Table or view, as the source names it. */
  from: string;
  /** Columns to read; the row object has them as keys. */
  select: readonly string[];
  /** Columns of the keyset, ascending: of a stream with a window the time first, then what makes ties unique. */
  keyset: readonly [string, ...string[]];
  /**
   * Column that grows with each change: an incremental pass reads (column, keyset) from the watermark on, `overlapMs` earlier.
   * A full pass reads by the keyset alone, so that rows without a time come too.
   */
  changed?: { column: string; overlapMs: number };
  /** Columns compared with options of the connection, e.g. the shop. */
  where?: Record<string, Value>;
  /**
   * True: the rows of a window are counted before it is read, and a dense one is cut. Worth it where an index begins with
   * the columns of `where` and the time. Default false: a window is read as it was cut by its cap.
   */
  count?: boolean;
}

/** Time windows: both ends are sent with each call. */
export interface Window {
  from: string;
  to: string;
  format: TimeFormat;
  /** Whether the platform counts `to` itself in. `closed` windows are cut so that no row is in two or in none. Default `open`. */
  end?: 'open' | 'closed';
  /** Longest span the platform accepts, ms. */
  capMs: number;
  /** Read again behind the watermark, ms: late rows. */
  overlapMs: number;
  /** Not read yet: rows younger than this may still be missing from the list, ms. */
  lagMs: number;
  /** Oldest moment the platform serves, counted back from the moment of the run, ms; absent: `connection option since`. */
  floorMs?: number;
  /**
   * Day of the oldest change there can be, of lists whose rows live on unchanged: goods, stock, customers. A first reading
   * goes back to it unless the option `since` says otherwise. Absent, and without a floor: 90 days.
   */
  beginning?: string;
  /** Shortest part a window is split into, ms. Default 1000. */
  leastMs?: number;
  /**
   * Parts a window is split into at most. Default: as many as its rows fill; where nobody knows how many those are, or they
   * stand in heaps, 10, or the connection's `parallel` where that is more.
   */
  parts?: number;
  /** Rows above which a window is split although the platform would page it: parts are read side by side. Default 10,000. */
  denseRows?: number;
  /**
   * Asked before the first page of a window, so that a dense one is cut before pages are paid for. It costs a request a
   * window. Absent: the first page tells the total, where `paging.total` says so; else the cap alone decides.
   */
  count?: CountCall;
}

/** A cheap call that tells how many rows a window holds. */
export interface CountCall {
  /** Absent: the stream's own call; then 0 ends the window without a page, unless rows stand beside it. */
  call?: ApiCall;
  /** Sent besides the bounds of the window, e.g. a page of one row. */
  params?: Record<string, Value>;
  /** Where the answer holds the number; from the payload, as `rows` does. */
  total: Path;
}

/** A stream that is read once for each id of another. */
export type Over =
  /** Ids from the rows of another stream: its keys, or a path of its data (foreign ids, de-duplicated). */
  | {
      kind: 'each';
      stream: string;
      /** Path in the other stream's data; lists are opened. Absent: its key. */
      path?: Path;
      /** Parameter that carries the id, or a list of `batch` ids. */
      param: string;
      batch: number;
      /** Ids read besides those of the rows: the root of a tree is nobody's child. */
      also?: readonly string[];
      /** `changed`: only ids of rows that landed since the last pass. `all`: each pass. */
      when: 'changed' | 'all';
      /**
       * Records of an id. `one`: it is the key of its record; an answer without it, or with an empty object, leaves the id
       * due, and it stands aside until its record comes. `several`: any number, none too. Said where the key is one path of
       * the row alone: `$over` means one, a key of several paths several.
       */
      brings?: 'one' | 'several';
    }
  /** A tree, one call a node, breadth first; the rows of an answer are the node's children. */
  | { kind: 'tree'; root: Value; param: string };

export type Deletes =
  /**
   * Missing from a full pass that is proven complete, under the guard; from two running of a list that is read part by
   * part, or by numbers in no fixed order (deletes.ts). Not of a list that is read window by window.
   */
  | { kind: 'sweep' }
  /** A status of the row. */
  | { kind: 'status'; path: Path; is: readonly (string | number | boolean)[] }
  /** Another stream lists the ids that are gone. */
  | { kind: 'listed'; by: string }
  /** Never, or not visible; `why` is shown. */
  | { kind: 'none'; why: string };

export interface Column {
  path: Path;
  /** Lists come as JSON lists or as texts with commas: `bigint[]` takes the whole numbers of one, `text[]` everything else. */
  type: 'text' | 'bigint' | 'numeric' | 'boolean' | 'timestamptz' | 'jsonb' | 'bigint[]' | 'text[]';
  /** For timestamptz. Default `iso`. */
  format?: TimeFormat;
}
