import { type BatchVerdict, type RowOutcome, readBatch, untilMidnight } from '../../connectors/hubspot/answers.ts';
import { paths } from '../../connectors/hubspot.ts';
import { RetryLater, SyncError } from '../errors.ts';
import { type HubspotAnswer, type HubspotClient, NeverLeft, Unanswered } from './client.ts';
import type { Batch } from './feed.ts';
import type { Ledger } from './ledger.ts';
import { bodyOf, type Outgoing, parked, settled } from './outgoing.ts';
import type { Tally } from './tally.ts';
import { accountFailure } from './troubles.ts';

export interface CourierOptions {
  client: HubspotClient;
  ledger: Ledger;
  tally: Tally;
  idProperty: string;
  connection: string;
  /** Where the id is a mapped value: kept with the contact. */
  sharedIds: boolean;
  /** A call that ended without an answer may still be applied for so long, ms. */
  settleMs: number;
  /** A call leaves within this time after it was opened, or is opened anew, ms. */
  leaveMs: number;
  /** Zone in whose midnight the daily limit ends. */
  timeZone: string;
  signal: AbortSignal;
  /** True once nothing more should leave. */
  shouldEnd: () => boolean;
}

/** Tries after which a row that is sent alone and never answered is taken for the reason. */
const mostTries = 10;

/** Makes the call of a batch and follows its answer until every row has an outcome: parts of a refused batch, waits, a new token. */
export class Courier {
  private readonly options: CourierOptions;

  constructor(options: CourierOptions) {
    this.options = options;
  }

  async deliver(batch: Batch): Promise<void> {
    for (let renewed = false; ; ) {
      const answer = await this.exchange(batch);
      if (answer === null) return;
      const { rows } = batch;
      const kind = rows[0]!.kind;
      const sent = rows.map(({ id, values }) => ({ id, values }));
      const verdict = readBatch(kind, this.options.idProperty, sent, answer);
      if (verdict.kind === 'wait') {
        await this.wait(verdict);
        continue;
      }
      if (verdict.kind === 'token' && !renewed && (await this.renewed())) {
        renewed = true;
        continue;
      }
      return this.follow(batch, verdict, answer);
    }
  }

  /** One call; null where it did not come to an answer that can be read. */
  private async exchange(batch: Batch): Promise<HubspotAnswer | null> {
    const { client, tally, idProperty, leaveMs, signal } = this.options;
    try {
      if (tally.stop !== null || this.options.shouldEnd()) return this.giveBack(batch);
      await client.permit(signal);
      // A process that stood still must not begin a call that its successor takes for over.
      while (performance.now() - batch.openedAt > leaveMs) await this.reopen(batch);
      const path = paths[batch.rows[0]!.kind];
      tally.counts.calls += 1;
      return await client.send('POST', path, bodyOf(batch.rows, idProperty));
    } catch (error) {
      if (error instanceof Unanswered) {
        this.hold(batch, batch.rows);
        tally.silence(error);
        return null;
      }
      this.giveBack(batch);
      if (error instanceof RetryLater) tally.end({ kind: 'wait', ms: error.waitMs, daily: false });
      else if (error instanceof NeverLeft) tally.silence(error);
      else if (signal.aborted) return null;
      else throw error;
      return null;
    }
  }

  private async reopen(batch: Batch): Promise<void> {
    const before = batch.call;
    batch.openedAt = performance.now();
    const [call] = await this.options.ledger.open([batch.rows.map(({ row }) => row.key)]);
    batch.call = call!;
    this.options.ledger.settle([], [before]);
  }

  private async follow(batch: Batch, verdict: BatchVerdict, { place, status }: HubspotAnswer): Promise<void> {
    const { tally, connection } = this.options;
    switch (verdict.kind) {
      case 'rows':
        return this.record(batch, verdict.outcomes, place);
      case 'refused':
        tally.answered();
        return this.isolate(batch, verdict);
      case 'too-big':
        return this.cut(batch);
      case 'unknown':
        this.hold(batch, batch.rows);
        return tally.silence(new SyncError('Unavailable', `${place} answered ${status}`));
      case 'strange': {
        const error = new SyncError(
          'BadAnswer',
          `${place} answered ${status} with something that is no answer of HubSpot`,
        );
        if (status < 300) this.hold(batch, batch.rows);
        else this.giveBack(batch);
        return status < 300 ? tally.strangeness(error) : tally.end({ kind: 'failure', error });
      }
      default:
        this.giveBack(batch);
        tally.end({ kind: 'failure', error: accountFailure(verdict, place, connection) });
    }
  }

  /** Writes down the outcome of each row. What the answer leaves out is neither written nor refused: it is sent again later. */
  private record({ rows, call }: Batch, outcomes: readonly RowOutcome[], place: string): void {
    const { tally, ledger, settleMs } = this.options;
    const left = outcomes.filter(({ kind }) => kind === 'unaccounted').length;
    if (left === rows.length)
      tally.strangeness(
        new SyncError('BadAnswer', `${place} took a batch and says nothing of any of its ${left} rows`),
      );
    else tally.answered();
    const settles = rows.map((one, at) => {
      const outcome = outcomes[at]!;
      if (outcome.kind === 'unaccounted') return this.unanswered(one, rows.length, settleMs, left < rows.length);
      if (outcome.kind === 'bad') {
        tally.counts.refusedThere += 1;
        return parked(one.row, outcome.code, outcome.property);
      }
      tally.counts[outcome.kind !== 'ok' ? 'passed' : one.kind === 'archive' ? 'archived' : 'written'] += 1;
      return this.confirmed(one, outcome.kind === 'absent' ? null : outcome.hubspotId);
    });
    ledger.settle(settles, [call]);
    tally.breaker();
  }

  private confirmed({ row, kind, id, byRecord }: Outgoing, hubspotId: string | null) {
    if (kind === 'archive') return settled(row, { kind: 'archived' });
    const remoteId = this.options.sharedIds && !byRecord ? id.toLowerCase() : null;
    return settled(row, { kind: 'confirmed', hubspotId, remoteId });
  }

  /** A row that is alone, was tried often, and is the only one without an answer, is taken for the reason. */
  private unanswered({ row }: Outgoing, together: number, holdMs: number, counts: boolean) {
    const { tally } = this.options;
    if (counts && together === 1 && row.tries >= mostTries) {
      tally.counts.refusedThere += 1;
      return parked(row, 'no_answer', null);
    }
    tally.counts.unanswered += 1;
    return settled(row, { kind: 'held', holdMs, counts });
  }

  /** Nobody of the batch is written: those whom the answer names are parked, the rest is sent again, or halved. */
  private async isolate(
    batch: Batch,
    { code, named, suspects }: Extract<BatchVerdict, { kind: 'refused' }>,
  ): Promise<void> {
    const { ledger, tally } = this.options;
    const { rows, call } = batch;
    if (rows.length === 1 && named.size === 0) named.set(0, { code, property: null });
    const bad = rows.flatMap((one, at) => {
      const fault = named.get(at);
      return fault ? [parked(one.row, fault.code, fault.property)] : [];
    });
    tally.counts.refusedThere += bad.length;
    ledger.settle(bad, [call]);
    tally.breaker();
    const rest = rows.filter((_, at) => !named.has(at));
    if (rest.length === 0) return;
    const parts = named.size > 0 ? [rest] : suspects.length > 0 ? split(rows, suspects) : halves(rest);
    if (!tally.isolate(parts.length)) return;
    for (const part of parts) await this.deliver(await this.opened(part));
  }

  private async cut(batch: Batch): Promise<void> {
    const { ledger, tally } = this.options;
    const [only, ...more] = batch.rows;
    if (more.length === 0) {
      tally.counts.refusedThere += 1;
      return ledger.settle([parked(only!.row, 'too_big', null)], [batch.call]);
    }
    ledger.settle([], [batch.call]);
    if (!tally.isolate(2)) return;
    for (const part of halves(batch.rows)) await this.deliver(await this.opened(part));
  }

  private async opened(rows: Outgoing[]): Promise<Batch> {
    const openedAt = performance.now();
    const [call] = await this.options.ledger.open([rows.map(({ row }) => row.key)]);
    return { rows, call: call!, openedAt };
  }

  /** Nothing of it left: the rows stay dirty and free. */
  private giveBack({ call }: Batch): null {
    this.options.ledger.settle([], [call]);
    return null;
  }

  /** It may still land: its rows wait until it no longer can. */
  private hold(batch: Batch, rows: readonly Outgoing[]): void {
    const { ledger, tally, settleMs } = this.options;
    const counts = tally.answeredAt > 0 && Date.now() - tally.answeredAt < settleMs;
    ledger.settle(
      rows.map((one) => this.unanswered(one, rows.length, settleMs, counts)),
      [batch.call],
    );
  }

  private async wait({ why, waitMs }: Extract<BatchVerdict, { kind: 'wait' }>): Promise<void> {
    const { client, tally, timeZone } = this.options;
    tally.counts.waits += 1;
    const ms = waitMs ?? untilMidnight(timeZone, Date.now());
    await client.refused(ms);
    if (why === 'daily') tally.end({ kind: 'wait', ms, daily: true });
  }

  private async renewed(): Promise<boolean> {
    return this.options.client.renew(this.options.signal);
  }
}

function halves<T>(rows: readonly T[]): T[][] {
  const middle = Math.ceil(rows.length / 2);
  return [rows.slice(0, middle), rows.slice(middle)];
}

function split<T>(rows: readonly T[], suspects: readonly number[]): T[][] {
  const suspected = new Set(suspects);
  return [rows.filter((_, at) => suspected.has(at)), rows.filter((_, at) => !suspected.has(at))];
}
