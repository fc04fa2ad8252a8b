import type { Path, Place, Value } from './shape.ts';

export type Auth =
  /** Nothing, or signature alone. */
  | { kind: 'none' }
  /** A key that does not change. */
  | { kind: 'static'; secret: string; place: Place }
  /**
   * A token that is asked for and ends. Kept sealed in Postgres, one refresher at a time over all workers, stored before
   * its first use: several platforms kill the old pair with the answer.
   */
  | {
      kind: 'token';
      /** Call that gives a token from what the connection knows; absent where only a person's consent gives the first one. */
      obtain?: TokenCall;
      /** Call that changes a refresh token for a new pair. The first refresh token is the credential's field `refreshToken`. */
      refresh?: TokenCall;
      /** Seconds before its end at which a token is replaced. Default 300. */
      earlySeconds?: number;
      /** Where the token stands in each call; absent where `gateway.system` carries it. */
      place?: Place;
    };

export interface TokenCall {
  method: 'GET' | 'POST';
  /** From the connection's base address, or a whole https address, whose server the option `tokenUrl` (a setting) replaces. */
  path: string;
  in: 'query' | 'form' | 'json';
  params: Record<string, Value>;
  /** True: signed as the gateway signs. Default false. */
  signed?: boolean;
  /** Where the answer holds what; paths from its whole body. */
  answer: {
    access: Path;
    refresh?: Path;
    /** How long it lives, and in which unit; `until-ms` is a moment. */
    expires?: { path: Path; unit: 's' | 'ms' | 'until-ms' };
    /** Life when the answer names none, seconds. */
    lifeSeconds: number;
  };
}

/** How a call is written. A GET has no body: what says `form` or `json` stands in its query. */
export interface Gateway {
  /** `{api}` and `{version}` stand for the stream's; with `dots: '/'` dots of the API's name become slashes. */
  path: string;
  dots?: '/';
  /** Default of streams. */
  method: 'GET' | 'POST';
  /** Parameters of every call. Empty ones are left out. */
  system: { in: 'query' | 'form'; params: Record<string, Value> };
  /** Where a stream's own parameters stand: flat, or as one JSON text under `as`. */
  business: { in: 'query' | 'form' | 'json'; as?: string };
  headers?: Record<string, Value>;
  sign?: Sign;
}

/** The five-parameter family of signatures, and everything else as a function. */
export type Sign =
  | {
      kind: 'params';
      /** Parameter that carries the signature; stands with the system parameters. */
      name: string;
      /** Which parameters are signed. `all`: system and business (as they are sent); default `system` and what `as` holds. */
      over: 'all' | 'system';
      /** Only these keys, where the platform names them. */
      only?: readonly string[];
      /** Keys that are sent and not signed. */
      except?: readonly string[];
      /** Between key and value. */
      pair: '' | '=';
      /** Between pairs. */
      joiner: '' | '&';
      /** Field of the credential, and where it stands around the pairs. `none`: only the HMAC key. */
      secret: { field: string; place: 'around' | 'front' | 'back' | 'none'; before?: string };
      digest: Digest | { option: string; digests: Record<string, Digest> };
    }
  | {
      kind: 'custom';
      /** Parameters to add to the system parameters (or headers named `header:x`). */
      sign(call: SignedCall): Record<string, string>;
    };

/** `upper` and `lower` are hex. */
export interface Digest {
  algorithm: 'md5' | 'sha1' | 'sha256' | 'hmac-md5' | 'hmac-sha256';
  encoding: 'lower' | 'upper' | 'base64';
  /** True: with this digest the secret is the key of the HMAC alone and does not stand around the pairs. Default false. */
  keyOnly?: boolean;
}

/** What a signing function gets. It does no I/O and knows no clock of its own. */
export interface SignedCall {
  /** Name of the API. */
  api: string;
  /** Parameters as they are sent, system and business. */
  params: Record<string, string>;
  /** Exact body, '' where there is none. */
  body: string;
  secret(field: string): string;
  hash(digest: Digest, text: string, key?: string): string;
  nowMs: number;
}

/**
 * What an answer means.
 * - `ok`, `empty` (no rows, which is no failure)
 * - `retry-after`: wait as long as the answer or the rule says, for the level it names
 * - `busy`: the platform is; try again soon
 * - `token`: replace the token and try again
 * - `consent`: a person must consent again; the connection stops
 * - `app`: the app, its secret, signature, clock or address is refused, whatever a call asks for; the connection stops
 * - `permission`: this stream is not allowed; others go on
 * - `too-big`: the window holds too much or is too long; split it
 * - `too-deep`: pages beyond the platform's depth; split the window
 * - `quota`: used up until the moment the rule names
 * - `bad-request`: our call is wrong, or one id of it is; never tried again. What every call would meet is `app`: else each id is set aside
 * - `gone`: the one record asked for does not exist
 * - `unknown`: tried a few times, then the stream stops
 */
export type Verdict =
  | 'ok'
  | 'empty'
  | 'retry-after'
  | 'busy'
  | 'token'
  | 'consent'
  | 'app'
  | 'permission'
  | 'too-big'
  | 'too-deep'
  | 'quota'
  | 'bad-request'
  | 'gone'
  | 'unknown';

/**
 * The level that a limit counts at: all calls of an app, its calls of one API over all connections, all calls of one
 * connection, and those of one API.
 */
export type Level = 'platform' | 'api' | 'connection' | 'endpoint';

export interface Envelope {
  /** The first whose `when` is there (or that has no `when`) tells how to read the body. */
  shapes: readonly EnvelopeShape[];
  /** Judged in order when the shape says that the call failed, or the HTTP status is 4xx or 5xx; the first that fits counts. */
  rules: readonly VerdictRule[];
}

export interface EnvelopeShape {
  /** Path that must be there for this shape. */
  when?: Path;
  /** Success: the value at the path is one of these; `absent`: nothing is there; `failure`: this shape always is one. */
  ok: { path: Path; is: readonly (string | number | boolean)[] } | { absent: Path } | 'failure';
  /** Codes of a failure, most exact first; a less exact one counts where no rule fits the more exact ones. */
  code?: readonly Path[];
  /** Texts of a failure; matched, never shown (they may quote values). */
  text?: readonly Path[];
  /** Where the payload stands; '' = the whole body. */
  data: Path;
  /** True: the payload is a JSON text inside JSON. */
  nested?: boolean;
}

export interface VerdictRule {
  /** All that are given must fit. HTTP statuses. */
  status?: readonly number[];
  /** Codes of the envelope, compared as text. */
  code?: readonly (string | number)[];
  /** Regular expression over the failure's text, case-insensitive. */
  text?: string;
  /** A header of the answer that says one of these words. */
  header?: { name: string; is: readonly string[] };
  /** True: for answers that are no JSON (the page of a ban); `text` is then matched over their first 4,096 bytes. Default false. */
  notJson?: boolean;
  verdict: Verdict;
  /** For `retry-after`, `busy`: milliseconds to wait where the answer names none. */
  waitMs?: number;
  /** Header that holds seconds to wait, besides `retry-after`. */
  waitHeader?: string;
  /**
   * Where only the failure's text tells how long: a regular expression over it, case-insensitive, whose one group holds the
   * seconds to wait, e.g. `for (\\d+) more seconds`. Bounded as those of a header: 100 ms to a day.
   */
  waitText?: string;
  /** For `quota`: when it is full again. `midnight`: next 00:00 Beijing time. */
  until?: 'midnight';
  /** Level that the wait is for. Default `connection`. */
  level?: Level;
  /** What an operator should know or do, shown with the failure. */
  hint?: string;
}
