import type { Message } from '../../connectors/channel.ts';

/** How one request ended, before it is judged. */
export type Sent =
  /** An answer, or what is as good as one; `code` is matched against the channel's outcomes. */
  | { code: string; providerId?: string; retryAfterMs?: number; tokenVersion?: number }
  /** Certainly nothing left: the receiver was not reached. `why` may be shown. */
  | { neverLeft: string }
  /** Bytes left and no answer came. */
  | { noAnswer: string };

/** One message to one recipient. */
export interface Envelope {
  no: number;
  user: string;
  address: string;
  key: string;
  message: Message;
}

/** What carries messages of one account while an activity call lasts. */
export interface Transport {
  /** Never throws for what the receiver does; @throws SyncError when the account cannot be used (credential, token) */
  send(envelope: Envelope): Promise<Sent>;
  /** The token of that version was refused: the next send uses another one. */
  refresh?(version: number): void;
  close(): Promise<void>;
}
