import { type RowOutcome, readBatch, type SentRow } from '../../connectors/hubspot/answers.ts';
import { isObject, listOf } from '../../connectors/hubspot/json.ts';
import { paths } from '../../connectors/hubspot.ts';
import { RetryLater, SyncError } from '../errors.ts';
import { type HubspotAnswer, type HubspotClient, NeverLeft, Unanswered } from './client.ts';
import { lookUpOf, type Outgoing } from './outgoing.ts';
import { waitOf } from './tally.ts';
import { accountFailure } from './troubles.ts';
import { heedWait, type WaitOptions } from './waits.ts';

export interface FinderOptions extends WaitOptions {
  client: HubspotClient;
  idProperty: string;
  /** Contacts that have the mail address of a row and no id of ours become its own. */
  adopts: boolean;
  connection: string;
  signal: AbortSignal;
  /** True once nothing more should leave. */
  shouldEnd: () => boolean;
}

/** Why a question has no answer. `refused`: it did not leave, or HubSpot did not take it. `lost`: it left, and nobody answered. */
export type Unknown = 'refused' | 'lost';

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

  /** Which of the rows have a contact of their own, by their places. */
  async find(rows: readonly SentRow[]): Promise<Map<number, string> | Unknown> {
    return this.ask({ idProperty: this.options.idProperty, rows });
  }

  /**
   * A creation that finds a contact in its way finds the row's own, or another one that has its mail address. Whose it is the
   * answer does not say: it is the row's where it has the row's id, else it stands in the way as it does for an upsert.
   * @returns the outcomes; of rows that nobody answers for why
   */
  async proven(rows: readonly Outgoing[], outcomes: readonly RowOutcome[]): Promise<(RowOutcome | Unknown)[]> {
    const there = rows.filter((_, at) => outcomes[at]!.kind === 'present');
    if (there.length === 0) return [...outcomes];
    const found = await this.find(there);
    let place = 0;
    return outcomes.map((one) => {
      if (one.kind !== 'present') return one;
      if (typeof found === 'string') return found;
      const own = found.get(place++);
      if (own !== undefined) return { kind: 'present', hubspotId: own };
      return { kind: 'bad', code: 'conflict', property: null, ...(one.contact && { contact: one.contact }) };
    });
  }

  /**
   * Looks for contacts that have the mail address of a row and no id of ours: they were there before us, and belong to none
   * of our users. @returns record ids by row
   */
  async unowned(rows: readonly Outgoing[]): Promise<ReadonlyMap<Outgoing, string> | Unknown> {
    const { adopts, idProperty } = this.options;
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
    if (typeof found === 'string') return found;
    return new Map([...found].map(([at, hubspotId]) => [all[at]!, hubspotId]));
  }

  /** Record ids by place. What a question meets ends or delays the slice as it does for calls that write. */
  private async ask(lookUp: LookUp): Promise<Map<number, string> | Unknown> {
    const { tally, timeZone, signal } = this.options;
    try {
      return await this.follow(lookUp);
    } catch (error) {
      if (error instanceof RetryLater) tally.end(waitOf(error.waitMs, timeZone));
      else if (error instanceof NeverLeft || error instanceof Unanswered) tally.silence(error);
      else if (error instanceof SyncError) tally.end({ kind: 'failure', error });
      else if (!signal.aborted) throw error;
      return error instanceof Unanswered ? 'lost' : 'refused';
    }
  }

  private async follow({ idProperty, rows, without }: LookUp): Promise<Map<number, string> | Unknown> {
    const { client, tally, connection, signal, shouldEnd } = this.options;
    const body = lookUpOf(rows, idProperty, without);
    for (let renewed = false; tally.stop === null && !shouldEnd(); ) {
      const permit = await client.permit(signal);
      const answer = await client.send(permit, 'POST', paths.read, body);
      const verdict = readBatch('read', idProperty, rows, answer);
      if (verdict.kind === 'rows') return idsOf(verdict.outcomes, answer, without);
      if (verdict.kind === 'wait') await heedWait(verdict, this.options);
      else if (verdict.kind === 'token' && !renewed && (await client.renew(permit, signal))) renewed = true;
      else if (verdict.kind === 'unknown')
        throw new Unanswered(new SyncError('Unavailable', `${answer.place} answered ${answer.status}`));
      else throw accountFailure(verdict, answer.place, connection);
    }
    return 'refused';
  }
}

function idsOf(outcomes: readonly RowOutcome[], { body }: HubspotAnswer, without?: string): Map<number, string> {
  const owned = without === undefined ? new Set() : idsWith(without, body);
  const found = outcomes.map((one, at) =>
    one.kind === 'ok' && one.hubspotId !== null && !owned.has(one.hubspotId) ? [[at, one.hubspotId] as const] : [],
  );
  return new Map(found.flat());
}

function idsWith(property: string, body: unknown): Set<unknown> {
  const results = isObject(body) ? listOf(body.results) : [];
  return new Set(
    results.filter(({ properties }) => isObject(properties) && Boolean(properties[property])).map(({ id }) => id),
  );
}
