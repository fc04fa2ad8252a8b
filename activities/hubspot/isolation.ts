import { type BatchVerdict, readBatch } from '../../connectors/hubspot/answers.ts';
import { paths } from '../../connectors/hubspot.ts';
import { RetryLater, SyncError } from '../errors.ts';
import type { HubspotClient } from './client.ts';
import { lookUpOf, type Outgoing } from './outgoing.ts';
import { accountFailure } from './troubles.ts';

export type Refused = Extract<BatchVerdict, { kind: 'refused' }>;

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

/** Asks which of the rows have a contact, by their places. @returns why not, where the question is not answered; null for a wait */
export async function existing(
  client: HubspotClient,
  idProperty: string,
  rows: readonly Outgoing[],
  connection: string,
  signal: AbortSignal,
): Promise<Map<number, string> | SyncError | null> {
  try {
    await client.permit(signal);
    const answer = await client.send('POST', paths.read, lookUpOf(rows, idProperty));
    const verdict = readBatch('read', idProperty, rows, answer);
    if (verdict.kind === 'wait') return null;
    if (verdict.kind === 'unknown') return new SyncError('Unavailable', `${answer.place} answered ${answer.status}`);
    if (verdict.kind !== 'rows') return accountFailure(verdict, answer.place, connection);
    const found = verdict.outcomes.map((one, at) =>
      one.kind === 'ok' && one.hubspotId !== null ? [[at, one.hubspotId] as const] : [],
    );
    return new Map(found.flat());
  } catch (error) {
    if (error instanceof RetryLater) return null;
    if (error instanceof SyncError) return error;
    throw error;
  }
}
