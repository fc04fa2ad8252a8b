import type { Account } from './account.ts';
import type { Rate } from './limits.ts';
import type { List, Row } from './list.ts';
import type { Refusal } from './refusal.ts';
import type { TokenDesk, TokenRules } from './tokens.ts';

/**
 * One simulated platform. The engine (sandbox/platform/) has the lists, windows, paging, tokens, limits and faults; a fixture
 * says how this platform reads a request, checks its signature, and writes answers and refusals. It knows the platform from
 * its documentation and imports neither the connector nor the code that signs, so that both must be right to meet.
 */
export interface Fixture {
  /** Same name as the connector. */
  platform: string;
  /** Finest step in which the platform writes times, ms: 1 or 1000. */
  resolutionMs: number;
  lists: Record<string, ListSpec>;
  /** Streams of the connector, and what the source holds for each. */
  streams: Record<string, StreamSpec>;
  /** By the name that counts and faults use; `read` finds it in the request. */
  apis: Record<string, Api>;
  /** Absent: no tokens are issued. */
  tokens?: TokenRules;
  limits: SandboxLimits;
  /**
   * Statements that create the tables of streams read by SQL in a Postgres database and bring them to what an account
   * holds; they may be run again after records changed. Whoever runs them gives the database's address to the connection
   * as the field `databaseUrl` of the credential.
   */
  tables?(account: Account): Statement[];
  /** What a connection of this account must say: fields of the credential, options. May issue its first token. */
  connect(account: string, tokens: TokenDesk): { credential: Record<string, string>; options: Record<string, string> };
  /** Paths of calls that are about tokens, and what they answer. @throws Refusal */
  tokenPaths?: readonly string[];
  tokenCall?(request: Incoming, tokens: TokenDesk): Reply;
  /** Checks signature, clock and token, and finds API, account and parameters. @throws Refusal */
  read(request: Incoming, tokens: TokenDesk): Call;
  /** The body of a success around what the API answered. */
  write(payload: unknown, call: Call): unknown;
  /** The platform's own error for a refusal; `call` is missing where the request could not be read. */
  refuse(refusal: Refusal, call: Call | undefined): Reply;
}

export interface Statement {
  text: string;
  values: unknown[];
}

/** A request as it came in, decoded. */
export interface Incoming {
  method: string;
  path: string;
  query: Record<string, string>;
  /** Of a form-urlencoded body. */
  form: Record<string, string>;
  /** Of a JSON body; undefined where there is none. */
  json: unknown;
  /** The exact body, '' where there is none. */
  body: string;
  headers: Record<string, string | string[] | undefined>;
  /** The platform's clock, ms since 1970. */
  now: number;
}

/** A request understood. */
export interface Call {
  api: string;
  account: string;
  /** Business parameters. */
  params: Record<string, unknown>;
  /** The token it came with, which the fault `expire` ends. */
  token?: string;
  version?: string;
}

/** An answer; a body that is no text is written as JSON. */
export interface Reply {
  status: number;
  headers?: Record<string, string>;
  body: unknown;
}

/** One kind of record of an account. */
export interface ListSpec {
  /** Records for the option `rows`. Default: as many. */
  rows?: (rows: number) => number;
  /** True: an account is never without its record, which is no list at the platform. Default false. */
  single?: boolean;
  /** Source id of the n-th record, n from 1. Default: the number as text. */
  id?: (serial: number) => string;
  /** States a record is born in, in turn. */
  statuses?: readonly (string | number)[];
  /** How the platform writes a record. The same row gives the same object. */
  render(row: Row, lists: Lists): Record<string, unknown>;
  /**
   * What `remove` does: the record leaves its list (and stands in `of: 'gone'`), gets this status, or cannot be removed.
   * `kept`: the status does not count as removed (a disabled article).
   */
  removed: 'leaves' | 'never' | { status: string | number; kept?: boolean };
  /** Ways to ask for a part without a look at every record, e.g. people of a department: keys a record stands under. */
  groups?: Record<string, (row: Row, lists: Lists) => readonly string[]>;
}

/** Lists of one account by name. */
export type Lists = Record<string, List>;

/** What the source holds for a stream. */
export interface StreamSpec {
  /** API that serves it; its list and its rendering are the truth. Absent for a stream without HTTP. */
  api?: string;
  /** Where no API names it. */
  list?: string;
  /** How the source writes a record, where no API does. */
  write?(row: Row, lists: Lists): unknown;
  /** When the source last changed a record, ms, where it is not the record's own time. */
  changed?(row: Row): number;
  /** Key as the connector builds it. Default: the row's id. */
  key?(row: Row, lists: Lists): string;
  /** True: records that left their list stay in the stream as they were, not marked as removed. Default false. */
  keeps?: boolean;
  /** Records of the list that belong to the stream. Default: all. */
  has?(row: Row, lists: Lists): boolean;
}

export interface SandboxLimits {
  /** Over all accounts. */
  platform?: readonly Rate[];
  /** Of one account. */
  connection?: readonly Rate[];
  /** Of accounts that were granted other limits than `connection`, by name. */
  accounts?: Readonly<Record<string, readonly Rate[]>>;
}

/** One API that lists records. */
export interface Api {
  list: string;
  /** `gone`: records that left the list, by the time they did. Default `present`. */
  of?: 'present' | 'gone';
  /** HTTP method it insists on. */
  method?: 'GET' | 'POST';
  /** Time windows it understands; the first with a bound in the parameters counts. */
  windows?: readonly ApiWindow[];
  /** True: a call without a window is refused, unless `ids` are given. */
  windowNeeded?: boolean;
  /** Refuses parameters that are wrong for this API alone, or what the account may not see. @throws Refusal */
  check?(params: Record<string, unknown>, lists: Lists): void;
  /** Asked for a part: the group's name and key; undefined: no part. */
  group?(params: Record<string, unknown>): { by: string; key: string } | undefined;
  /** Filter by parameters; undefined: none, which is much faster. */
  select?(params: Record<string, unknown>): ((row: Row) => boolean) | undefined;
  /** Order over the window's time; without a window over `clock`. Default `ascending`. */
  order?: Order | ((params: Record<string, unknown>) => Order);
  /** What orders a list without window. Default `serial`. */
  clock?: Clock;
  /** The first whose parameter is in the call counts, else the last. */
  paging: readonly ApiPaging[];
  /** How this API writes a record, where not as its list does. */
  render?(row: Row, lists: Lists, params: Record<string, unknown>): unknown;
  /** Payload of the answer. */
  answer(page: AnsweredPage, params: Record<string, unknown>, lists: Lists): unknown;
  /** Limits of this API: of all accounts together, and of one account. */
  limits?: { platform?: readonly Rate[]; connection?: readonly Rate[] };
}

export type Order = 'ascending' | 'descending';

export type Clock = 'created' | 'updated' | 'serial' | 'version';

export interface ApiWindow {
  from: string;
  to: string;
  clock: Clock | ((params: Record<string, unknown>) => Clock);
  format: 'ms' | 's' | 'iso' | 'local' | 'day';
  /** Longest span, ms; longer is refused as `window`. */
  capMs: number;
  /** How far back it may begin, ms; farther is refused as `old`. */
  keepMs?: number;
  /** Whether a record exactly at `to` is in. Default `open`: it is not. */
  end?: 'open' | 'closed';
  /** One bound alone: refused, or ignored in silence. Default `refused`. */
  single?: 'refused' | 'ignored';
}

export interface ApiSize {
  /** Absent: the platform fixes the size at `max`. */
  param?: string;
  default: number;
  /** More is refused as `size`. */
  max: number;
  min?: number;
}

export type ApiPaging =
  | { kind: 'whole' }
  /** One record by its id; a missing one is refused as `gone`. */
  | { kind: 'one'; param: string }
  /** Several by their ids (a list, or text with commas); more than `max` are refused as `size`. */
  | { kind: 'ids'; param: string; max: number }
  | { kind: 'page'; param: string; first: 0 | 1; size: ApiSize; deepest?: { page?: number; rows?: number } }
  | { kind: 'offset'; param: string; first: 0 | 1; size: ApiSize }
  /** `end` is the word that ends (absent: none is sent); `pageParam` must be sent too and grow by one. */
  | { kind: 'cursor'; param: string; size: ApiSize; end?: string; livesMs?: number; pageParam?: string }
  /** The next page's whole address. */
  | { kind: 'link'; param: string; size: ApiSize }
  /** Records of at least this version, ascending. */
  | { kind: 'version'; param: string; size: ApiSize }
  /** Orders a file; `next` is the job's id. */
  | { kind: 'export' }
  /** Asks for a job; `next` is the file's address, null until it is ready. */
  | { kind: 'poll'; param: string };

/** What an API has to answer with. */
export interface AnsweredPage {
  /** Written as the platform writes them. */
  rows: unknown[];
  /** Records of the whole query. */
  total: number;
  /** Number of the page, as it was asked for. */
  page: number;
  size: number;
  /** Pages of the query at this size. */
  pages: number;
  more: boolean;
  /** Cursor, word that ends, link, job or address. */
  next: string | null;
}
