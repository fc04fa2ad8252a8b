import type { RowOutcome } from '../../connectors/hubspot/answers.ts';
import type { Settled } from '../../db/hubspot/settle.ts';
import { SyncError } from '../errors.ts';
import type { Batch } from './feed.ts';
import type { Unknown } from './finder.ts';
import type { Ledger } from './ledger.ts';
import { type Outgoing, parked, settled } from './outgoing.ts';
import type { Tally } from './tally.ts';

export interface RecorderOptions {
  ledger: Ledger;
  tally: Tally;
  /** A call that ended without an answer may still be applied for so long, ms. */
  settleMs: number;
}

/** Writes down what became of the rows of a call. */
export class Recorder {
  private readonly options: RecorderOptions;

  constructor(options: RecorderOptions) {
    this.options = options;
  }

  /** Writes down the outcome of each row. What the answer leaves out is neither written nor refused: it is sent again later. */
  record({ rows, call }: Batch, outcomes: readonly RowOutcome[], place: string): void {
    const { tally, ledger, settleMs } = this.options;
    const left = outcomes.filter(({ kind }) => kind === 'unaccounted').length;
    if (left === rows.length)
      tally.strangeness(
        new SyncError('BadAnswer', `${place} took a batch and says nothing of any of its ${left} rows`),
      );
    else tally.answered();
    const settles = rows.map((one, at) => {
      const outcome = outcomes[at]!;
      if (outcome.kind === 'unaccounted') return this.unanswered(one, settleMs, left < rows.length);
      const taken = outcome.kind === 'bad' && outcome.code === 'conflict';
      // Where nobody is changed no value becomes free.
      const holdMs = taken && one.kind !== 'create' ? tally.conflictWait(one.row.tries, settleMs) : null;
      if (holdMs !== null) {
        tally.counts.again += 1;
        return settled(one.row, { kind: 'held', holdMs, counts: true, doubt: null });
      }
      if (outcome.kind === 'bad') {
        tally.refused('refusedThere', one.row);
        return parked(one.row, outcome.code, outcome.property, outcome.contact);
      }
      // Somebody deleted it: it is made anew, by its id.
      if (outcome.kind === 'absent' && one.byRecord && one.row.scope === 'in') return this.located(one, null);
      if (one.leaves && one.kind !== 'archive') tally.counts.toldLeft += 1;
      tally.counts[outcome.kind !== 'ok' ? 'passed' : one.kind === 'archive' ? 'archived' : 'written'] += 1;
      return this.confirmed(one, outcome);
    });
    ledger.settle(settles, [call]);
  }

  /**
   * Of an answer that ends the run: whom it confirms has what was sent, of whom it leaves out nobody knows, and the others go
   * back as they were. Given back as well, one whose values went back was skipped as sent, and HubSpot kept what was written.
   */
  salvage(batch: Batch, outcomes: readonly RowOutcome[], place: string): void {
    const counts = outcomes.some(({ kind }) => kind === 'ok') ? ['ok', 'unaccounted'] : [];
    const rows = batch.rows.filter((_, at) => counts.includes(outcomes[at]?.kind ?? ''));
    if (rows.length === 0) return void this.giveBack(batch);
    const told = outcomes.filter(({ kind }) => counts.includes(kind));
    this.record({ ...batch, rows }, told, place);
  }

  /** Of a contact that mode `update` did not find, or `insert` found there, HubSpot has confirmed no value. */
  confirmed(one: Outgoing, outcome: Extract<RowOutcome, { kind: 'ok' | 'absent' | 'present' }>): Settled {
    if (one.kind === 'archive') return settled(one.row, { kind: 'archived' });
    const hubspotId = outcome.kind === 'absent' ? null : outcome.hubspotId;
    const left = one.row.scope !== 'in';
    const confirmed = settled(one.row, { kind: 'confirmed', hubspotId, remoteId: one.row.remote, left });
    if (outcome.kind !== 'ok') confirmed.hash = outcome.kind === 'absent' ? null : '';
    return confirmed;
  }

  /** Looked for: it stays marked, and its next pass knows the contact, or that there is none. */
  located({ row }: Outgoing, hubspotId: string | null): Settled {
    this.options.tally.located += 1;
    return settled(row, { kind: 'located', hubspotId });
  }

  private unanswered({ kind, row }: Outgoing, holdMs: number, counts: boolean, wrote = true) {
    this.options.tally.counts.unanswered += 1;
    // A question writes nothing, and an archive gives nobody an id.
    const doubt = kind === 'read' || !wrote ? null : { id: kind === 'archive' ? null : row.remote };
    return settled(row, { kind: 'held', holdMs, counts, doubt });
  }

  /** Nothing of it left: the rows stay dirty and free. */
  giveBack({ call }: Batch): null {
    this.options.ledger.settle([], [call]);
    return null;
  }

  /** What was to be known of the rows first was not answered. Nothing of them was written. */
  unknown(batch: Batch, rows: readonly Outgoing[], why: Unknown): void {
    if (why === 'lost') this.hold(batch, rows, false);
    else this.giveBack(batch);
  }

  /** It may still land: its rows wait until it no longer can. @param wrote false: it was a question, asked again then */
  hold(batch: Batch, rows: readonly Outgoing[], wrote = true): void {
    const { ledger, tally, settleMs } = this.options;
    const counts = tally.answeredAt > 0 && Date.now() - tally.answeredAt < settleMs;
    ledger.settle(
      rows.map((one) => this.unanswered(one, settleMs, counts, wrote)),
      [batch.call],
    );
  }
}
