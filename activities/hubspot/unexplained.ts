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
 * account that takes nothing at all. So they are set aside once any row of the run was taken, and when a whole pass took none
 * the run ends as for any trouble of the account: nobody is set aside, and everybody is still marked.
 */
export class Unexplained {
  private readonly options: UnexplainedOptions;
  private readonly waiting: { one: Outgoing; code: string }[] = [];

  constructor(options: UnexplainedOptions) {
    this.options = options;
  }

  add(one: Outgoing, code: string, call: number): void {
    this.waiting.push({ one, code });
    // It stays marked until it is judged.
    this.options.ledger.settle([], [call]);
  }

  /** @param whole the pass met everybody; else a later slice tries them again */
  judge(whole: boolean): void {
    const { ledger, tally, connection, accepted } = this.options;
    const rows = this.waiting.splice(0);
    const proven = rows.filter(({ one }) => accepted || tally.takes(one.kind));
    for (const { one } of proven) tally.refused('refusedThere', one.row);
    ledger.settle(proven.map(({ one, code }) => parked(one.row, code, null)));
    const [other] = rows.filter((row) => !proven.includes(row));
    if (other && whole) tally.end({ kind: 'failure', error: nothingTaken(other.code, connection) });
  }
}
