import type { Directory } from './directory.ts';

/** Where and how often a fault happens. Without any of these it happens always and everywhere. */
export interface FaultLimits {
  /** Only below this path. */
  path?: '/Users' | '/Groups' | '/ServiceProviderConfig' | '/ResourceTypes' | '/Schemas';
  /** Only lists (`/Users?…`), or only single resources (`/Users/:id`). Default: both. */
  only?: 'list' | 'one';
  /** How often it happens, at least 1. Default: without end; `between` and `shrinkWhileReading`: once. */
  times?: number;
  /** Happens only after this many list requests to `path`, counted from the moment the fault is set. Default 0. */
  afterRequests?: number;
}

/** Faults that stand in for the whole answer, or spoil its way. */
export type AnswerFault =
  /** Answers with any status. Without `body` a SCIM error body is sent; `scimType` stands in it. */
  | { type: 'status'; status: number; retryAfterSeconds?: number; scimType?: string; body?: string | object }
  /** The content ends in the middle while HTTP is in order: the length in the header is the length sent. */
  | { type: 'truncatedJson' }
  /** The header promises the whole body, half of it comes, then the socket is destroyed. */
  | { type: 'cutConnection' }
  /** 200 with a login page, as a proxy or an expired session gives it. */
  | { type: 'html' }
  /** 200 `{}`: what one server answers when the connection was deactivated. */
  | { type: 'emptyObject' }
  /** Refuses a list request that carries the parameter in question: 400 with this scimType, or 501 for `notImplemented`. */
  | { type: 'cursorError'; scimType: 'expiredCursor' | 'invalidCursor' | 'invalidCount' | 'notImplemented' }
  /** Waits before the answer, in milliseconds. */
  | { type: 'latency'; ms: number }
  /** A token bucket that holds one second's requests. Too fast: 429 with Retry-After, in seconds (default) or as a date. */
  | { type: 'rateLimit'; perSecond: number; retryAfter?: 'seconds' | 'date' }
  /** Never answers; the socket stays open until the client or `stop()` closes it. */
  | { type: 'hang' }
  /** A resource that is not there answers 404 with this body, empty or not, instead of a SCIM error. */
  | { type: 'notFoundBody'; body: string; contentType?: string }
  /** Error bodies carry this in `status` instead of the text form of the code. Default: the code as a number. */
  | { type: 'wrongStatusString'; value?: string | number };

/** Faults of a list: which rows, in which order, with which totals. */
export type ListFault =
  /** 200, `totalResults` 0, no rows. */
  | { type: 'emptyList' }
  /** 200, the true `totalResults`, no rows: an account that may count but not read. */
  | { type: 'noPermission' }
  /** Every `startIndex` and every cursor returns the first page. */
  | { type: 'repeatPage' }
  /** A `startIndex` beyond the end returns the first page again. */
  | { type: 'wrapAround' }
  /** `totalResults` is this number, whatever is true. */
  | { type: 'totalLies'; total: number }
  /** `totalResults` is left out, as a server with cursors may. */
  | { type: 'totalAbsent' }
  /** `itemsPerPage` repeats the `count` asked for, however many rows came. */
  | { type: 'itemsPerPageEchoesCount' }
  /** After page `afterPage` of `/Users` these users (`ids`), or the first `first` ones, leave the directory: pages shift. */
  | { type: 'shrinkWhileReading'; afterPage: number; ids?: string[]; first?: number }
  /** After page `page` of a list (of `path`, or any), `run` changes the directory. Not available over a process boundary. */
  | { type: 'between'; page: number; run: (directory: Directory) => void }
  /** Newest first without a stable order: a user created between two pages pushes another onto both. */
  | { type: 'newestFirst' }
  /** At most this many rows a page, whatever was asked. */
  | { type: 'pageCap'; rows: number }
  /** The first `groups` groups whatever page is asked, and `totalResults` says that this is all. */
  | { type: 'groupsCapped'; groups: number }
  /** A filter (on this attribute, or any) is ignored: the unfiltered list comes with 200. */
  | { type: 'filterIgnored'; attribute?: string }
  /** A filter (on this attribute, or any) is refused: 400 `invalidFilter`. */
  | { type: 'filterRefused'; attribute?: string };

/** Faults of single rows, in lists and when read by id. */
export type RowFault =
  /** Groups come without the attribute `members`. */
  | { type: 'membersMissing' }
  /** Groups come with `members: []`. */
  | { type: 'membersEmpty' }
  /** This attribute (`title`, `name.givenName`, `urn:…:User:department`) is left out of every row, or of these ids. */
  | { type: 'attributeAbsent'; attribute: string; ids?: string[] }
  /** This attribute is `null` in every row, or in these ids. */
  | { type: 'attributeNull'; attribute: string; ids?: string[] }
  /** `active` is the text `"True"` or `"False"` instead of a boolean. */
  | { type: 'activeAsString' }
  /** The row with this id is replaced by this text, put into the answer as it is: it need not even be JSON. */
  | { type: 'raw'; id: string; json: string }
  /** The row with this id is shown once more at the end of page `page` (default 2). */
  | { type: 'duplicateRow'; id: string; page?: number };

/** One way in which a server misbehaves, or merely differs. Several can be set at once. */
export type Fault = (AnswerFault | ListFault | RowFault) & FaultLimits;

/** The fault with a given `type`. */
export type FaultOf<T extends Fault['type']> = Extract<Fault, { type: T }>;
