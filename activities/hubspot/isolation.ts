import type { BatchVerdict } from '../../connectors/hubspot/answers.ts';
import type { Outgoing } from './outgoing.ts';

export type Refused = Extract<BatchVerdict, { kind: 'refused' }>;

/** It names neither a row nor a property, nor a contact that has a value: it may be about the account. */
export const isUnexplained = ({ code, property, named }: Refused) =>
  property === null && named.size === 0 && code !== 'conflict';

/** A refusal for people: its code, and the number of the call. */
export const toldOf = ({ code, correlationId }: Refused) =>
  correlationId === undefined ? code : `${code}, correlation id ${correlationId}`;

/** What is done with a batch that was refused as a whole. */
export interface Isolation {
  /** Rows that are bad for certain. */
  bad: { one: Outgoing; code: string; property: string | null }[];
  /** The others, in the parts in which they are sent again. */
  parts: Outgoing[][];
}

/**
 * The cheapest way to the bad rows: those whom the answer names are known, and the rest costs one call. Those it may mean
 * are tried apart from the others. Else the batch is halved; one bad row in 100 is found by 14 calls.
 */
export function isolate(rows: readonly Outgoing[], { named, suspects }: Refused): Isolation {
  const bad = [...named].map(([at, fault]) => ({ one: rows[at]!, ...fault }));
  if (bad.length > 0) return { bad, parts: [rows.filter((_, at) => !named.has(at))] };
  const suspected = new Set(suspects);
  if (suspected.size === 0) return { bad, parts: halves(rows) };
  return {
    bad,
    parts: [rows.filter((_, at) => suspected.has(at)), rows.filter((_, at) => !suspected.has(at))],
  };
}

export function halves<T>(rows: readonly T[]): T[][] {
  const middle = Math.ceil(rows.length / 2);
  return [rows.slice(0, middle), rows.slice(middle)];
}
