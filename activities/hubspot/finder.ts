import { type RowOutcome, readBatch, type SentRow } from '../../connectors/hubspot/answers.ts';
import { isObject, listOf } from '../../connectors/hubspot/json.ts';
import { paths } from '../../connectors/hubspot.ts';
import { RetryLater, SyncError } from '../errors.ts';
import type { HubspotClient } from './client.ts';
import { lookUpOf, type Outgoing } from './outgoing.ts';
import type { Tally } from './tally.ts';
import { accountFailure } from './troubles.ts';

export interface FinderOptions {
  client: HubspotClient;
  tally: Tally;
  idProperty: string;
  /** Contacts that have the mail address of a row and no id of ours become its own. */
  adopts: boolean;
  connection: string;
  signal: AbortSignal;
}

/** Which contacts are asked for. */
interface LookUp {
  /** Property that holds the ids of the rows. */
  idProperty: string;
  rows: readonly SentRow[];
  /** Only contacts that have no value of this one. */
  without?: string;
}

/** Asks HubSpot which contacts there are, where the answer to a call does not tell. */
export class Finder {
  private readonly options: FinderOptions;

  constructor(options: FinderOptions) {
    this.options = options;
  }

  /** Which of the rows have a contact of their own, by their places. Null where nobody answers. */
  async find(rows: readonly SentRow[]): Promise<Map<number, string> | null> {
    const { idProperty, tally } = this.options;
    const found = await this.ask({ idProperty, rows });
    if (found instanceof Map) return found;
    if (found !== null && found.type !== 'Unavailable') tally.end({ kind: 'failure', error: found });
    else if (found !== null) tally.silence(found);
    return null;
  }

  /**
   * A creation that finds a contact in its way finds the row's own, or another one that has its mail address. Whose it is the
   * answer does not say: it is the row's where it has the row's id, else it stands in the way as it does for an upsert.
   * @returns the outcomes; of rows that nobody answers for null
   */
  async proven(rows: readonly Outgoing[], outcomes: readonly RowOutcome[]): Promise<(RowOutcome | null)[]> {
    const there = rows.filter((_, at) => outcomes[at]!.kind === 'present');
    if (there.length === 0) return [...outcomes];
    const found = await this.find(there);
    let place = 0;
    return outcomes.map((one) => {
      if (one.kind !== 'present') return one;
      const own = found?.get(place++);
      if (own !== undefined) return { kind: 'present', hubspotId: own };
      if (found === null) return null;
      return { kind: 'bad', code: 'conflict', property: null, ...(one.contact && { contact: one.contact }) };
    });
  }

  /**
   * Looks for contacts that have the mail address of a row and no id of ours: they were there before us, and belong to none
   * of our users. @returns record ids by row; none where the question is not answered
   */
  async unowned(rows: readonly Outgoing[]): Promise<ReadonlyMap<Outgoing, string>> {
    const { adopts, idProperty, tally } = this.options;
    if (!adopts || rows[0]?.kind !== 'upsert') return new Map();
    // Of two users with one address the first has it; an address asked for twice would refuse the question.
    const asked = new Map<string, Outgoing>();
    for (const one of rows) {
      const mail = one.values.email?.toLowerCase() ?? '';
      if (mail !== '' && !asked.has(mail)) asked.set(mail, one);
    }
    if (asked.size === 0) return new Map();
    const sent = [...asked].map(([id]) => ({ id, values: {} }));
    const found = await this.ask({ idProperty: 'email', rows: sent, without: idProperty });
    const all = [...asked.values()];
    if (found instanceof Map) return new Map([...found].map(([at, hubspotId]) => [all[at]!, hubspotId]));
    if (found !== null && found.type !== 'Unavailable') tally.end({ kind: 'failure', error: found });
    return new Map();
  }

  /** Record ids by place; why not, where the question is not answered; null for a wait. */
  private async ask({ idProperty, rows, without }: LookUp): Promise<Map<number, string> | SyncError | null> {
    const { client, connection, signal } = this.options;
    try {
      const permit = await client.permit(signal);
      const answer = await client.send(permit, 'POST', paths.read, lookUpOf(rows, idProperty, without));
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
}

function idsWith(property: string, body: unknown): Set<unknown> {
  const results = isObject(body) ? listOf(body.results) : [];
  return new Set(
    results.filter(({ properties }) => isObject(properties) && Boolean(properties[property])).map(({ id }) => id),
  );
}
