import { SyncError } from '../errors.ts';

/**
 * - `too-big`: the window holds too much or is too long
 * - `too-deep`: pages beyond the platform's depth
 * - `bad-request`: the call is wrong, or one id of it is
 * - `gone`: the one record asked for does not exist
 */
export type RefusedVerdict = 'too-big' | 'too-deep' | 'bad-request' | 'gone';

/** The platform refuses this very call; who made it may split the window or set the record aside. Uncaught: BadAnswer. */
export class Refused extends SyncError {
  override name = 'Refused';
  readonly verdict: RefusedVerdict;
  /** The platform's code, never its text. */
  readonly code: string;
  constructor(verdict: RefusedVerdict, code: string, message: string) {
    super('BadAnswer', message);
    this.verdict = verdict;
    this.code = code;
  }
}
