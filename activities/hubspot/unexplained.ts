import type { Ledger } from './ledger.ts';
import { type Outgoing, parked } from './outgoing.ts';
import type { Tally } from './tally.ts';
import { nothingTaken } from './troubles.ts';

export interface UnexplainedOptions {
  ledger: Ledger;
  tally: Tally;
  connection: string;
  /** A person has looked: rows are set aside without further proof. */
  accepted: boolean;
}

/**
 * Rows that HubSpot refused alone, with a code and no word of a row or a property. No such answer tells a bad row from an
 * account that takes nothing at all. So one is set aside once HubSpot took another row behind its first refusal, and when a
 * whole pass took none the run ends as for any trouble of the account: nobody is set aside, and everybody is still marked.
 * What was taken before proves nothing: of 10,009 rows 500 went through, then every call was refused, and 221 rows that
 * nothing was wrong with were set aside. A single one is taken for bad all the same: else one bad row at the end of each run would fail it.
 */
export class Unexplained {
  private readonly options: UnexplainedOptions;
  private readonly waiting: { one: Outgoing; code: string; takenBefore: number }[] = [];

  constructor(options: UnexplainedOptions) {
    this.options = options;
  }

  /** @param takenBefore rows that HubSpot had taken when it refused the row for the first time */
  add(one: Outgoing, code: string, call: number, takenBefore: number): void {
    this.waiting.push({ one, code, takenBefore });
    // It stays marked until it is judged.
    this.options.ledger.settle([], [call]);
  }

  /** @param whole the pass met everybody; else a later slice tries them again */
  judge(whole: boolean): void {
    const { ledger, tally, connection, accepted } = this.options;
    const rows = this.waiting.splice(0);
    const proven = rows.filter(
      ({ one, takenBefore }) => accepted || tally.taken(one.kind) > (rows.length === 1 ? 0 : takenBefore),
    );
    for (const { one } of proven) tally.refused('refusedThere', one.row);
    ledger.settle(proven.map(({ one, code }) => parked(one.row, code, null)));
    const [other] = rows.filter((row) => !proven.includes(row));
    if (other && whole) tally.end({ kind: 'failure', error: nothingTaken(other.code, connection) });
  }
}
