/** Why a platform refuses a call. A fixture writes each in its platform's words. */
export const refusals = [
  /** Signature wrong or missing. */
  'signature',
  /** Timestamp too far from the platform's clock. */
  'clock',
  /** No token, or one that was never issued. */
  'token',
  /** A token that was good once. */
  'expired',
  /** Refresh token used up or withdrawn: a person must consent again. */
  'consent',
  /** Right to this API missing. */
  'permission',
  /** No such API. */
  'api',
  'missing',
  'invalid',
  /** Time window too wide. */
  'window',
  /** Window ends before it begins. */
  'backward',
  /** Window begins before the history that is kept. */
  'old',
  /** More rows a page, or ids a call, than allowed. */
  'size',
  /** Page deeper than served. */
  'deep',
  /** Cursor unknown or expired. */
  'cursor',
  /** Too many requests. */
  'rate',
  /** The day's or month's quota is used up. */
  'quota',
  /** The platform's own trouble. */
  'busy',
  /** The one record asked for does not exist. */
  'gone',
] as const;

export type RefusalKind = (typeof refusals)[number];

/** Thrown by fixtures and engine; becomes the platform's own error. */
export class Refusal extends Error {
  override name = 'Refusal';
  readonly kind: RefusalKind;
  /** What it is about: a parameter, a limit's name, a token call's reason. */
  readonly about: string;
  /** For `rate`: when the next call is welcome, ms. */
  readonly waitMs: number;
  /** For `rate`: which level refused. */
  readonly level: 'platform' | 'connection' | 'endpoint';

  constructor(
    kind: RefusalKind,
    about = '',
    limit: { waitMs?: number; level?: 'platform' | 'connection' | 'endpoint' } = {},
  ) {
    super(`${kind}${about ? `: ${about}` : ''}`);
    this.kind = kind;
    this.about = about;
    this.waitMs = limit.waitMs ?? 0;
    this.level = limit.level ?? 'connection';
  }
}
