export type * from './shape.paging.ts';
export type * from './shape.stream.ts';
export type * from './shape.wire.ts';

import type { Stream } from './shape.stream.ts';
import type { Auth, Envelope, Gateway } from './shape.wire.ts';

/**
 * The description of an open platform: data and pure functions. One file a platform exports one `Connector`;
 * `connectors/check.ts` proves it when it is loaded, `connectors/index.ts` names it.
 */
export interface Connector {
  /** Name in `connect --platform`, schema of its tables, e.g. `kuaishou`. a-z, 0-9 and _. */
  platform: string;
  /** Schema of its tables, where it is not named after the platform. */
  schema?: string;
  /** Name people know, e.g. `Kuaishou e-commerce`. */
  title: string;
  /** Address that answers when the connection names none; https. */
  baseUrl: string;
  /** What a connection must or may say; everything a `Value` names stands here. */
  settings: Record<string, Setting>;
  auth: Auth;
  gateway: Gateway;
  envelope: Envelope;
  limits: Limits;
  streams: Record<string, Stream>;
  /** Facts that no source confirmed: listed by `npx syncline connectors --unconfirmed`. */
  unconfirmed: readonly Unconfirmed[];
}

/** One option of a connection, or one field of its credential. */
export interface Setting {
  /** True: a field of the sealed credential (a JSON object), never shown. False: an option. */
  secret: boolean;
  /** What it is and where people find it. */
  about: string;
  /** Value when none is given; absent = must be given. */
  default?: string;
}

export interface Unconfirmed {
  /** Where in the connector it is used, e.g. `streams.orders.paging.size.max`. */
  at: string;
  what: string;
}

/** A value of a request, resolved for each call. A plain one stands for itself. */
export type Value =
  | string
  | number
  | boolean
  /** An option of the connection. */
  | { option: string }
  /** A field of the credential. */
  | { secret: string }
  /** The moment of the call. */
  | { now: TimeFormat }
  /** Letters and digits, fresh for each call. */
  | { random: number }
  /** Name or version of the API that is called. */
  | { api: 'name' | 'version' }
  /** The access token, or the refresh token inside `auth.refresh`. */
  | { token: 'access' | 'refresh' };

/**
 * How a platform writes moments. `ms` and `s` count from 1970; `iso` is RFC 3339; `local` is `yyyy-MM-dd HH:mm:ss` in
 * Beijing time (GMT+8) without a zone; `day` is `yyyy-MM-dd` in Beijing time. The empty dates of .NET and MySQL
 * (`0001-01-01`, `0000-00-00`, with 00:00:00 behind them or without) are none, like empty text; any other moment outside
 * of the years 1 to 9999 does not fit, and its record stands aside.
 */
export type TimeFormat = 'ms' | 's' | 'iso' | 'local' | 'day';

/** Keys separated by dots, from the object in question; '' is the object itself. */
export type Path = string;

/** Where a value of a call stands. */
export type Place = { in: 'query' | 'form' | 'json' | 'header'; name: string; prefix?: string };

/** Requests in a span. Simulated as a token bucket with one second's burst unless `burst` says otherwise. */
export interface Rate {
  requests: number;
  perMs: number;
  burst?: number;
  /** True: counted in a window of `perMs` that moves along, so that what gathers and what follows must fit into it together. */
  rolling?: boolean;
}

export interface Limits {
  /**
   * Option that names the app whose limits these are, e.g. `appKey`: connections that give it the same value share
   * `platform` and the streams' `appLimits`, those of another app have their own. Absent: all connections share them,
   * as where the platform counts by address.
   */
  app?: string;
  /** Over all connections of an app. */
  platform?: readonly Rate[];
  /** Of one connection; a connection may set its own with the option `requestsPerSecond`. */
  connection?: readonly Rate[];
}
