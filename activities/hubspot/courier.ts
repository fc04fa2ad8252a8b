import { type BatchVerdict, type RowOutcome, readBatch } from '../../connectors/hubspot/answers.ts';
import { paths } from '../../connectors/hubspot.ts';
import { RetryLater, SyncError } from '../errors.ts';
import { type HubspotAnswer, NeverLeft, type Permit, Unanswered } from './client.ts';
import type { Batch } from './feed.ts';
import { Finder, type FinderOptions, type Unknown } from './finder.ts';
import { halves, isolate, isUnexplained, type Refused, toldOf } from './isolation.ts';
import type { Ledger } from './ledger.ts';
import { bodyOf, flyingOf, Outgoing, parked, settled } from './outgoing.ts';
import { Recorder } from './recorder.ts';
import { waitOf } from './tally.ts';
import { accountFailure, strangeAnswer } from './troubles.ts';
import type { Unexplained } from './unexplained.ts';
import { heedWait } from './waits.ts';

export interface CourierOptions extends FinderOptions {
  ledger: Ledger;
  unexplained: Unexplained;
  /** A call that ended without an answer may still be applied for so long, ms. */
  settleMs: number;
  /** A call leaves within this time after it was opened, or is opened anew, ms. */
  leaveMs: number;
}

const isTaken = (one: RowOutcome | Unknown) => typeof one !== 'string' && one.kind === 'bad' && one.code === 'conflict';

/** Makes the call of a batch and follows its answer until every row has an outcome: parts of a refused batch, waits, a new token. */
export class Courier {
  private readonly options: CourierOptions;
  private readonly recorder: Recorder;
  private readonly finder: Finder;

  constructor(options: CourierOptions) {
    this.options = options;
    this.recorder = new Recorder(options);
    this.finder = new Finder(options);
  }

  async deliver(batch: Batch): Promise<void> {
    if (batch.rows.some(({ kind, byRecord }) => ['archive', 'read'].includes(kind) && !byRecord))
      return this.lookUp(batch);
    for (let renewed = false; ; ) {
      const exchanged = await this.exchange(batch);
      if (exchanged === null) return;
      const { permit, answer } = exchanged;
      const { rows } = batch;
      const kind = rows[0]!.kind;
      const verdict = readBatch(kind, this.options.idProperty, rows, answer);
      if (verdict.kind === 'wait') {
        await heedWait(verdict, this.options);
        continue;
      }
      if (verdict.kind === 'token' && !renewed && (await this.options.client.renew(permit, this.options.signal))) {
        renewed = true;
        continue;
      }
      return this.follow(batch, verdict, answer);
    }
  }

  /** One call; null where it did not come to an answer that can be read. */
  private async exchange(batch: Batch): Promise<{ permit: Permit; answer: HubspotAnswer } | null> {
    const { client, ledger, tally, idProperty, leaveMs, signal } = this.options;
    try {
      await ledger.leave(batch.call);
      if (tally.stop !== null || this.options.shouldEnd()) return this.recorder.giveBack(batch);
      const permit = await client.permit(signal);
      // A process that stood still must not begin a call that its successor takes for over.
      while (performance.now() - batch.openedAt > leaveMs) await this.reopen(batch);
      const path = paths[batch.rows[0]!.kind];
      tally.counts.calls += 1;
      return { permit, answer: await client.send(permit, 'POST', path, bodyOf(batch.rows, idProperty)) };
    } catch (error) {
      if (error instanceof Unanswered) {
        this.recorder.hold(batch, batch.rows);
        tally.silence(error);
        return null;
      }
      this.recorder.giveBack(batch);
      if (error instanceof RetryLater) tally.end(waitOf(error.waitMs, this.options.timeZone));
      else if (error instanceof NeverLeft) tally.silence(error);
      else if (signal.aborted) return null;
      else throw error;
      return null;
    }
  }

  private async reopen(batch: Batch): Promise<void> {
    const before = batch.call;
    batch.openedAt = performance.now();
    const [call] = await this.options.ledger.open([flyingOf(batch.rows)]);
    batch.call = call!;
    this.options.ledger.reopened(before, batch.call);
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
        this.recorder.hold(batch, batch.rows);
        return tally.silence(new SyncError('Unavailable', `${place} answered ${status}`));
      case 'strange': {
        const error = strangeAnswer(place, status);
        if (status < 300) this.recorder.hold(batch, batch.rows);
        else this.recorder.giveBack(batch);
        return status < 300 ? tally.strangeness(error) : tally.end({ kind: 'failure', error });
      }
      default:
        this.recorder.salvage(batch, (verdict.kind === 'config' && verdict.outcomes) || [], place);
        tally.end({ kind: 'failure', error: accountFailure(verdict, place, connection) });
    }
  }

  /** Whose value another contact has, which is nobody's, is sent to that one; the others are written down. */
  private async record(batch: Batch, outcomes: readonly RowOutcome[], place: string): Promise<void> {
    const proven = await this.finder.proven(batch.rows, outcomes);
    const found = await this.finder.unowned(batch.rows.filter((_, at) => isTaken(proven[at]!)));
    // While nobody says whose the contact is, its row is no conflict.
    const ends = typeof found === 'string' ? proven.map((one) => (isTaken(one) ? found : one)) : proven;
    const adopted: ReadonlyMap<Outgoing, string> = typeof found === 'string' ? new Map() : found;
    const lost = batch.rows.filter((_, at) => ends[at] === 'lost');
    if (lost.length > 0) this.recorder.unknown(batch, lost, 'lost');
    const goes = batch.rows.map((one, at) => typeof ends[at] !== 'string' && !adopted.has(one));
    const rows = batch.rows.filter((_, at) => goes[at]);
    const told = ends.filter((one, at): one is RowOutcome => typeof one !== 'string' && goes[at]!);
    if (rows.length > 0) this.recorder.record({ ...batch, rows }, told, place);
    else this.recorder.giveBack(batch);
    await this.adopt(adopted);
  }

  private async adopt(found: ReadonlyMap<Outgoing, string>): Promise<void> {
    const rows = [...found].map(([{ row }, hubspotId]) => new Outgoing(row, 'update', hubspotId, true));
    if (rows.length > 0) await this.deliver(await this.opened(rows));
  }

  /** Nobody of the batch is written: those whom the answer names are parked, the rest is sent again in parts. */
  private async isolate(batch: Batch, verdict: Refused): Promise<void> {
    const { ledger, tally } = this.options;
    const { rows, call } = batch;
    const { takenBefore = tally.taken(rows[0]!.kind) } = batch;
    if (verdict.code === 'conflict') {
      if (rows[0]!.kind === 'create') return this.passBy(batch, verdict);
      const found = await this.finder.unowned(rows);
      if (typeof found === 'string') return this.recorder.unknown(batch, rows, found);
      if (found.size > 0) {
        ledger.settle([], [call]);
        await this.adopt(found);
        return this.again([rows.filter((one) => !found.has(one))], 1, toldOf(verdict));
      }
    }
    if (rows.length === 1) {
      if (isUnexplained(verdict)) return this.options.unexplained.add(rows[0]!, verdict.code, call, takenBefore);
      const { code, property } = verdict.named.get(0) ?? verdict;
      return this.recorder.record(batch, [{ kind: 'bad', code, property, contact: verdict.contact }], '');
    }
    const { bad, parts } = isolate(rows, verdict);
    for (const { one } of bad) tally.refused('refusedThere', one.row);
    ledger.settle(
      bad.map(({ one, code, property }) => parked(one.row, code, property)),
      [call],
    );
    return this.again(parts, parts.length, toldOf(verdict), takenBefore);
  }

  /** Some of them are there already, and the answer names one at most: those are asked for, the rest is made. */
  private async passBy(batch: Batch, verdict: Refused): Promise<void> {
    const { ledger, tally } = this.options;
    const { rows, call } = batch;
    const { contact } = verdict;
    const told = toldOf(verdict);
    if (!tally.isolate(1, told)) return void this.recorder.giveBack(batch);
    const found = await this.finder.find(rows);
    if (typeof found === 'string') return this.recorder.unknown(batch, rows, found);
    if (rows.length === 1 && found.size === 0)
      return this.recorder.record(batch, [{ kind: 'bad', code: 'conflict', property: null, contact }], '');
    tally.counts.passed += found.size;
    ledger.settle(
      [...found].map(([at, hubspotId]) => this.recorder.confirmed(rows[at]!, { kind: 'present', hubspotId })),
      [call],
    );
    // None has the id: another value is taken that must be unique.
    const rest = rows.filter((_, at) => !found.has(at));
    return found.size > 0 ? this.again([rest], 1, told) : this.again(halves(rest), 2, told);
  }

  /** Who has no record id yet is looked for; who is not there needs no archiving. Whose id is another one is decided anew. */
  private async lookUp(batch: Batch): Promise<void> {
    const { ledger } = this.options;
    const unknown = batch.rows.filter(({ byRecord }) => !byRecord);
    const found = await this.finder.find(unknown);
    if (typeof found === 'string') return this.recorder.unknown(batch, batch.rows, found);
    if (batch.rows[0]!.kind === 'read')
      return ledger.settle(
        unknown.map((one, at) => this.recorder.located(one, found.get(at) ?? null)),
        [batch.call],
      );
    const absent = unknown.filter((_, at) => !found.has(at));
    ledger.settle(
      absent.map(({ row }) => settled(row, { kind: 'archived' })),
      [batch.call],
    );
    const there = unknown.flatMap((one, at) =>
      found.has(at) ? [new Outgoing(one.row, 'archive', found.get(at)!, true)] : [],
    );
    const rest = [...batch.rows.filter(({ byRecord }) => byRecord), ...there];
    if (rest.length > 0) await this.deliver(await this.opened(rest));
  }

  /** Halved until it is small enough; a row that is too large alone is the reason. */
  private cut({ rows, call }: Batch): Promise<void> {
    const { ledger, tally } = this.options;
    const alone = rows.length === 1;
    if (alone) tally.refused('refusedThere', rows[0]!.row);
    ledger.settle(alone ? [parked(rows[0]!.row, 'too_big', null)] : [], [call]);
    return this.again(alone ? [] : halves(rows), 2, 'too_big');
  }

  private async again(parts: readonly Outgoing[][], calls: number, told: string, takenBefore?: number): Promise<void> {
    const filled = parts.filter(({ length }) => length > 0);
    if (filled.length === 0 || !this.options.tally.isolate(calls, told)) return;
    for (const part of filled) await this.deliver({ ...(await this.opened(part)), takenBefore });
  }

  private async opened(rows: Outgoing[]): Promise<Batch> {
    const openedAt = performance.now();
    const [call] = await this.options.ledger.open([flyingOf(rows)]);
    return { rows, call: call!, openedAt };
  }
}
