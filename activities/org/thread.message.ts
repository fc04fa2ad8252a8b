import { type FailureType, RetryLater, SyncError } from '../errors.ts';
import type { ReadPage } from './pages.ts';

/** What the thread says on the port of a read. An error loses its class on the way, so its class is said. */
export type Told =
  | { kind: 'page'; read: ReadPage }
  | { kind: 'end' }
  | {
      kind: 'error';
      error: { type: FailureType; message: string } | { waitMs: number } | { name: string; stack: string };
    };

/** The error as the thread says it. */
export function tell(error: unknown): Told {
  if (error instanceof SyncError) return { kind: 'error', error: { type: error.type, message: error.message } };
  if (error instanceof RetryLater) return { kind: 'error', error: { waitMs: error.waitMs } };
  const { name, stack = '' } = error instanceof Error ? error : new Error('no error was thrown');
  return { kind: 'error', error: { name, stack } };
}

/** The error as it was thrown there. */
export function thrown({ error }: Extract<Told, { kind: 'error' }>): Error {
  if ('waitMs' in error) return new RetryLater(error.waitMs);
  if ('type' in error) return new SyncError(error.type, error.message);
  return Object.assign(new Error('in the thread that reads pages'), error);
}
