import { ruleOf } from '../../connectors/channel.ts';
import { claimRows, type GrantScope, giveBack, readPlanned, type Shard } from '../../db/audience/deliveries.ts';
import { type ExchangeScope, exchange, type Outcome } from '../../db/audience/outcomes.ts';
import type { Pool } from '../../db/client.ts';
import { RetryLater, SyncError } from '../errors.ts';
import type { BudgetUse, Throttle } from '../http/throttle.ts';
import { type CheckedCampaign, render } from './open.ts';
import { quietUntil } from './quiet.ts';
import { Settlement } from './settlement.ts';
import type { Envelope, Sent, Transport } from './transport.ts';

/** Why a sender ended before its shard did. */
export type Ending =
  | { kind: 'time' }
  | { kind: 'deadline' }
  | { kind: 'wait'; waitMs: number; why: 'account' | 'quiet' }
  | { kind: 'stop'; code: string; hint: string | undefined }
  | { kind: 'away'; message: string };

export interface SenderOptions {
  pool: Pool;
  throttle: Throttle;
  use: BudgetUse;
  transport: Transport;
  campaign: { id: string; no: number };
  checked: CheckedCampaign;
  channelId: string;
  shard: Shard;
  /** Messages on their way at once: at most so many are unknown after a kill. */
  inFlight: number;
  /** Messages a second that limits allow; null without a limit. */
  perSecond: number | null;
  /** Somebody was reached already: a refusal that all have in common no longer tells of the template. */
  reached: boolean;
  /** Aborted when the call is cancelled or the worker goes down: what is on its way is still stored. */
  signal: AbortSignal;
  /** End of the call, ms since 1970. */
  untilMs: number;
  report(counters: Record<string, number>): void;
}

interface Ready extends Envelope {
  attempt: number;
  tokenTries: number;
}

/** Recipients read and claimed at once: one statement each, 30 ms. */
const chunkRows = 1_000;
/** Looked at between groups: a deadline, quiet hours, the end of the call. */
const lookMs = 200;
/** Outcomes are kept in memory while Postgres is away, at most so long; then they count as unknown. */
const storeMs = 60_000;

/**
 * Sends to the recipients of one shard. One loop alone talks to Postgres, on one connection: each turn is one commit that
 * stores the outcomes that came in since the last one, and marks the next group `sending` before its first byte leaves. So an
 * outcome waits for one turn (5-30 ms), groups are as large as the load makes them, and a place in flight is taken from the
 * mark to the stored outcome: after a kill at most `inFlight` rows stand as `sending`.
 */
export class Sender {
  private readonly o: SenderOptions;
  private readonly settlement: Settlement;
  private readonly scope: ExchangeScope;
  private ready: Ready[] = [];
  private outcomes: Outcome[] = [];
  private onTheWay = 0;
  private permits = 0;
  private asking = 0;
  private cursor: number;
  private exhausted = false;
  private ending: Ending | null = null;
  private fault: unknown;
  private wakeUp: () => void = () => undefined;
  /** No more than a second's worth: who waits longer than the budget's patience is sent away. */
  private readonly askMost: number;
  private laterMs = Number.POSITIVE_INFINITY;
  private lookedAt = 0;
  private done = 0;

  constructor(options: SenderOptions) {
    this.o = options;
    const { checked, channelId } = options;
    const { channel, people, grantTemplate } = checked;
    const grants: GrantScope | null = grantTemplate === null ? null : { channelId, template: grantTemplate };
    this.scope = {
      connection: people.connection,
      channel: channel.channel,
      channelId,
      grants,
      serial: channel.serial === true,
    };
    this.settlement = new Settlement(checked.definition, options.reached);
    this.askMost = Math.max(1, Math.ceil(options.perSecond ?? options.inFlight));
    this.cursor = options.shard.from - 1;
  }

  /** @returns null when nobody of the shard is left to be sent to now @throws what the account cannot be used for, and trouble of Postgres */
  async run(): Promise<Ending | null> {
    try {
      for (;;) {
        if (this.fault) break;
        this.look();
        if (!this.ending) await this.refill();
        this.ask();
        const marks = this.ending ? [] : this.ready.splice(0, Math.min(this.permits, this.free()));
        this.permits -= marks.length;
        if (this.outcomes.length > 0 || marks.length > 0) await this.turn(marks);
        else if (this.onTheWay === 0 && (this.ending || (this.exhausted && this.ready.length === 0))) break;
        else await this.something();
      }
    } finally {
      await this.drain();
      await giveBack(
        this.o.pool,
        this.o.shard,
        this.ready.map(({ no }) => no),
      );
    }
    if (this.fault) throw this.fault;
    return this.ending;
  }

  private free(): number {
    return this.o.inFlight - this.onTheWay - this.outcomes.length;
  }

  private look(): void {
    const now = Date.now();
    if (this.o.signal.aborted || now >= this.o.untilMs) this.ending ??= { kind: 'time' };
    if (now - this.lookedAt < lookMs) return;
    this.lookedAt = now;
    const { deadline, quiet } = this.o.checked.definition;
    if (deadline !== undefined && now >= Date.parse(deadline)) this.ending ??= { kind: 'deadline' };
    const until = quiet && this.o.checked.zoneColumn === null ? quietUntil(quiet, now) : null;
    if (until !== null) this.ending ??= { kind: 'wait', waitMs: until - now, why: 'quiet' };
    this.o.report({ done: this.done, onTheWay: this.onTheWay });
  }

  /** Reads, fills, checks and claims the next recipients, so that whoever cannot be sent to never is claimed. */
  private async refill(): Promise<void> {
    if (this.exhausted || this.ready.length >= Math.max(this.o.inFlight, chunkRows / 4)) return;
    const { pool, shard, checked, campaign } = this.o;
    const rows = await readPlanned(pool, shard, checked.people.connection, this.cursor, chunkRows);
    this.exhausted = rows.length < chunkRows;
    this.cursor = rows.at(-1)?.no ?? shard.to;
    const filled = new Map<number, Ready>();
    const refuse: { no: number; reason: string; state: 'refused' | 'skipped' }[] = [];
    const defer: { no: number; dueMs: number }[] = [];
    for (const row of rows) {
      const made = render(checked, row);
      const dueMs = this.quietOf(row.data);
      if ('reason' in made)
        refuse.push({ no: row.no, reason: made.reason, state: made.reason === 'user_gone' ? 'skipped' : 'refused' });
      else if (dueMs !== null) defer.push({ no: row.no, dueMs });
      else
        filled.set(row.no, {
          ...{ no: row.no, user: row.user, address: row.address, attempt: row.attempt, tokenTries: 0 },
          ...{ key: keyOf(campaign, row.no), message: made.message },
        });
    }
    if (rows.length === 0) return;
    const claimed = await claimRows(pool, shard, { claim: [...filled.keys()], refuse, defer }, this.scope.grants);
    for (const no of claimed) this.ready.push(filled.get(no) as Ready);
  }

  private quietOf(data: Record<string, unknown> | null): number | null {
    const { definition, zoneColumn } = this.o.checked;
    if (!definition.quiet || zoneColumn === null) return null;
    const zone = data?.[zoneColumn];
    const own =
      typeof zone === 'string' && zone !== '' ? quietUntil({ ...definition.quiet, timeZone: zone }, Date.now()) : null;
    // A zone that is none falls back to the campaign's.
    return own ?? (typeof zone === 'string' && zone !== '' ? null : quietUntil(definition.quiet, Date.now()));
  }

  /** Asks the budget for as many messages as could leave. */
  private ask(): void {
    if (this.ending || this.laterMs < Number.POSITIVE_INFINITY) return;
    const wanted = Math.min(this.free(), this.ready.length, this.askMost) - this.permits - this.asking;
    for (let i = 0; i < wanted; i++) {
      this.asking++;
      this.o.throttle.take(this.o.use, this.o.signal).then(
        () => {
          this.permits++;
          this.heard();
        },
        (error: unknown) => {
          if (error instanceof RetryLater) this.laterMs = Math.min(this.laterMs, error.waitMs);
          else if (!this.o.signal.aborted) this.fail(error);
          this.heard();
        },
      );
    }
  }

  /** Some may be sent away while others get their permit: the shard waits only when the budget has sent away all that asked. */
  private heard(): void {
    this.asking--;
    if (this.asking === 0 && this.laterMs < Number.POSITIVE_INFINITY) {
      if (this.permits === 0 && this.onTheWay === 0)
        this.ending ??= { kind: 'wait', waitMs: this.laterMs, why: 'account' };
      this.laterMs = Number.POSITIVE_INFINITY;
    }
    this.wakeUp();
  }

  private fail(error: unknown): void {
    this.fault ??= error;
    this.ending ??= { kind: 'time' };
  }

  private async turn(marks: readonly Ready[]): Promise<void> {
    const { pool, shard } = this.o;
    const outcomes = this.outcomes;
    // Their places stay taken until the commit.
    this.onTheWay += outcomes.length + marks.length;
    this.outcomes = [];
    try {
      const nos = marks.map(({ no }) => no);
      const { sending, busy } = await exchange(pool, shard, outcomes, nos, this.scope);
      const leaving = new Set(sending);
      this.onTheWay -= outcomes.length + marks.length - leaving.size;
      this.done += outcomes.length;
      for (const one of marks) if (leaving.has(one.no)) this.leave(one);
      if (busy.length > 0) await giveBack(pool, shard, busy, { dueInMs: 1_000 });
    } catch (error) {
      this.onTheWay -= outcomes.length + marks.length;
      this.outcomes.unshift(...outcomes);
      // Nobody heard whether the marks were committed; certainly nothing of them left.
      this.unsent.push(...marks.map(({ no }) => no));
      this.fail(error);
    }
  }

  private readonly unsent: number[] = [];

  private leave(one: Ready): void {
    this.o.transport.send(one).then(
      (sent) => this.settle(one, sent),
      (error: unknown) => {
        // The account cannot be used, e.g. gives no token: nothing was sent.
        this.push(this.settlement.unsent(one.no));
        this.fail(error);
      },
    );
  }

  private settle(one: Ready, sent: Sent): void {
    if ('neverLeft' in sent) {
      this.ending ??= { kind: 'away', message: sent.neverLeft };
      this.push(this.settlement.unsent(one.no));
      return;
    }
    if ('noAnswer' in sent) {
      this.push(this.settlement.unknown(one, sent.noAnswer));
      return;
    }
    const rule = ruleOf(this.o.checked.channel, sent.code);
    if (rule.class === 'token' && one.tokenTries === 0) {
      this.o.transport.refresh?.(sent.tokenVersion ?? 0);
      this.leave({ ...one, tokenTries: 1 });
      // It goes on under the same mark: its place stays taken.
      return;
    }
    const settled = this.settlement.answer(one, sent, rule);
    if (settled.ending?.kind === 'wait') this.block(settled.ending.waitMs);
    if (settled.ending) this.ending ??= settled.ending;
    this.push(settled.outcome);
  }

  /** The whole account waits, in all workers. */
  private block(waitMs: number): void {
    // Postgres away: this shard waits all the same, the others meet the receiver's refusal themselves.
    this.o.throttle.refused(this.o.use, 'connection', waitMs).catch(() => undefined);
  }

  private push(outcome: Outcome): void {
    this.onTheWay--;
    this.outcomes.push(outcome);
    this.wakeUp();
  }

  /** Waits for an answer, a permit, or the next look. */
  private something(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, lookMs);
      this.wakeUp = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  /** Waits for what is on its way and stores it, again and again while Postgres is away: it stands nowhere else. */
  private async drain(): Promise<void> {
    const until = Date.now() + storeMs;
    while (this.onTheWay > 0 || this.outcomes.length > 0 || this.unsent.length > 0) {
      if (this.outcomes.length === 0 && this.unsent.length === 0) {
        await this.something();
        continue;
      }
      const outcomes = this.outcomes.splice(0);
      try {
        await giveBack(this.o.pool, this.o.shard, this.unsent, { marked: true });
        this.unsent.length = 0;
        await exchange(this.o.pool, this.o.shard, outcomes, [], this.scope);
      } catch (error) {
        this.outcomes.unshift(...outcomes);
        if (Date.now() >= until)
          throw new SyncError('Unavailable', 'Postgres is away: outcomes of the last messages could not be stored', {
            cause: error,
          });
        await this.something();
      }
    }
  }
}

/** Names a message towards its receiver; callbacks find it by the last two parts. */
export const keyOf = ({ id, no }: { id: string; no: number }, row: number) => `${id}.${no}.${row}`;
