import { type BatchVerdict, readBatch, type SentRow } from '../../connectors/hubspot/answers.ts';
import { isObject, listOf } from '../../connectors/hubspot/json.ts';
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

/** Which contacts are asked for. */
export interface LookUp {
  /** Property that holds the ids of the rows. */
  idProperty: string;
  rows: readonly SentRow[];
  /** Only contacts that have no value of this one. */
  without?: string;
}

/**
 * Looks for contacts that have the mail address of a row and no id of ours: they were there before us, and belong to none
 * of our users. @returns record ids by row; why not, where the question is not answered; null for a wait
 */
export async function unowned(
  client: HubspotClient,
  idProperty: string,
  rows: readonly Outgoing[],
  connection: string,
  signal: AbortSignal,
): Promise<Map<Outgoing, string> | SyncError | null> {
  // Of two users with one address the first has it; an address asked for twice would refuse the question.
  const asked = new Map<string, Outgoing>();
  for (const one of rows) {
    const mail = one.values.email?.toLowerCase() ?? '';
    if (mail !== '' && !asked.has(mail)) asked.set(mail, one);
  }
  if (asked.size === 0) return new Map();
  const sent = [...asked].map(([id]) => ({ id, values: {} }));
  const found = await existing(client, { idProperty: 'email', rows: sent, without: idProperty }, connection, signal);
  if (!(found instanceof Map)) return found;
  const all = [...asked.values()];
  return new Map([...found].map(([at, hubspotId]) => [all[at]!, hubspotId]));
}

function idsWith(property: string, body: unknown): Set<unknown> {
  const results = isObject(body) ? listOf(body.results) : [];
  return new Set(
    results.filter(({ properties }) => isObject(properties) && Boolean(properties[property])).map(({ id }) => id),
  );
}

/** Asks which of the rows have a contact, by their places. @returns why not, where the question is not answered; null for a wait */
export async function existing(
  client: HubspotClient,
  { idProperty, rows, without }: LookUp,
  connection: string,
  signal: AbortSignal,
): Promise<Map<number, string> | SyncError | null> {
  try {
    await client.permit(signal);
    const answer = await client.send('POST', paths.read, lookUpOf(rows, idProperty, without));
    const verdict = readBatch('read', idProperty, rows, answer);
    if (verdict.kind === 'wait') return null;
    if (verdict.kind === 'unknown') return new SyncError('Unavailable', `${answer.place} answered ${answer.status}`);
    if (verdict.kind !== 'rows') return accountFailure(verdict, answer.place, connection);
    const owned = without === undefined ? new Set() : idsWith(without, answer.body);
    const found = verdict.outcomes.map((one, at) =>
      one.kind === 'ok' && one.hubspotId !== null && !owned.has(one.hubspotId) ? [[at, one.hubspotId] as const] : [],
    );
    return new Map(found.flat());
  } catch (error) {
    if (error instanceof RetryLater) return null;
    if (error instanceof SyncError) return error;
    throw error;
  }
}
