import { claimRows, type GrantScope, readPlanned, type Shard } from '../../db/audience/deliveries.ts';
import type { Pool } from '../../db/client.ts';
import { type CheckedCampaign, render } from './open.ts';
import { isZone, quietUntil } from './quiet.ts';
import { alikeMost, type Ending, type Settlement } from './settlement.ts';
import type { Envelope } from './transport.ts';

/** A recipient that was claimed, with the message. */
export interface Ready extends Envelope {
  attempt: number;
  tokenTries: number;
  /** The user's own time zone; null where the campaign's counts. */
  zone: string | null;
}

/** Recipients read and claimed at once: one statement each, about 30 ms. */
const chunkRows = 1_000;

type Refusal = { no: number; reason: string; state: 'refused' | 'skipped' };

/** Reads a shard ahead of the sender: fills and checks each message before its recipient is claimed. */
export class Ahead {
  /** Everybody of the range was looked at once. */
  exhausted = false;
  /** No message can be made for anybody, for the same reason. */
  stop: Ending | null = null;
  /** A message could be made for somebody. */
  private made = false;
  private readonly pool: Pool;
  private readonly shard: Shard;
  private readonly checked: CheckedCampaign;
  private readonly campaign: { id: string; no: number };
  private readonly settlement: Pick<Settlement, 'reached'>;
  private cursor: number;

  constructor(
    pool: Pool,
    shard: Shard,
    checked: CheckedCampaign,
    campaign: { id: string; no: number },
    settlement: Pick<Settlement, 'reached'>,
  ) {
    this.pool = pool;
    this.shard = shard;
    this.checked = checked;
    this.campaign = campaign;
    this.settlement = settlement;
    this.cursor = shard.from - 1;
  }

  /** The next recipients that may be sent to. Who cannot be is written down; who has quiet hours waits for their end. */
  async next(grants: GrantScope | null): Promise<Ready[]> {
    const { pool, shard, checked, campaign } = this;
    const rows = await readPlanned(pool, shard, checked.people.connection, this.cursor, chunkRows);
    this.exhausted = rows.length < chunkRows;
    this.cursor = rows.at(-1)?.no ?? shard.to;
    if (rows.length === 0) return [];
    const filled = new Map<number, Ready>();
    let refuse: Refusal[] = [];
    const defer: { no: number; dueMs: number }[] = [];
    for (const row of rows) {
      const { no, user, address, attempt } = row;
      const made = render(checked, row);
      const zone = this.zoneOf(row.data);
      const dueMs = this.quietUntil(zone);
      if ('reason' in made)
        refuse.push({ no, reason: made.reason, state: made.reason === 'user_gone' ? 'skipped' : 'refused' });
      else if (dueMs !== null) defer.push({ no, dueMs });
      else
        filled.set(no, {
          no,
          user,
          address,
          attempt,
          tokenTries: 0,
          zone,
          key: keyOf(campaign, no),
          message: made.message,
        });
    }
    this.made ||= filled.size + defer.length > 0;
    if (!this.made && !this.settlement.reached) refuse = this.untilAlike(refuse);
    const claimed = await claimRows(pool, shard, { claim: [...filled.keys()], refuse, defer }, grants);
    return claimed.map((no) => filled.get(no) as Ready);
  }

  /**
   * Refusals up to the fiftieth that is like others; who comes behind stays planned. Asked only of a whole chunk without one
   * message: fifty who lack a value among many who have it are wrong for themselves.
   */
  private untilAlike(refuse: Refusal[]): Refusal[] {
    const counts = new Map<string, number>();
    for (const [i, { reason: code, state }] of refuse.entries()) {
      if (state === 'skipped') continue;
      const count = (counts.get(code) ?? 0) + 1;
      counts.set(code, count);
      if (count < alikeMost) continue;
      this.stop = { kind: 'stop', code, hint: undefined, own: true };
      return refuse.slice(0, i + 1);
    }
    return refuse;
  }

  /** End of the quiet hours that are on for a user, by the user's own zone; null when none are. */
  quietUntil(zone: string | null): number | null {
    const { definition, zoneColumn } = this.checked;
    if (!definition.quiet || zoneColumn === null) return null;
    return quietUntil(zone === null ? definition.quiet : { ...definition.quiet, timeZone: zone }, Date.now());
  }

  private zoneOf(data: Record<string, unknown> | null): string | null {
    const { zoneColumn } = this.checked;
    const zone = zoneColumn === null ? null : data?.[zoneColumn];
    return isZone(zone) ? zone : null;
  }
}

/** Names a message towards its receiver; callbacks find it by the last two parts. */
export const keyOf = ({ id, no }: { id: string; no: number }, row: number) => `${id}.${no}.${row}`;
