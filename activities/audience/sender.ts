import { ruleOf } from '../../connectors/channel.ts';
import { type GrantScope, giveBack, type Shard } from '../../db/audience/deliveries.ts';
import type { ExchangeScope, Outcome } from '../../db/audience/outcomes.ts';
import type { Pool } from '../../db/client.ts';
import type { BudgetUse, Throttle } from '../http/throttle.ts';
import { Ahead, type Ready } from './ahead.ts';
import type { CheckedCampaign } from './open.ts';
import { Permits } from './permits.ts';
import { quietUntil } from './quiet.ts';
import { type Ending, Settlement } from './settlement.ts';
import type { Sent, Transport } from './transport.ts';
import { Turns } from './turns.ts';

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
  /** The attempt before failed, perhaps because the receiver is broken: one message at a time until one has a certain end. */
  careful: boolean;
  /** Aborted when the call is cancelled or the worker goes down: what is on its way is still stored. */
  signal: AbortSignal;
  /** End of the call, ms since 1970. */
  untilMs: number;
  report(counters: Record<string, number>): void;
}

/** Ready recipients below which more are read ahead. */
const readyLeast = 500;
/** Looked at between groups: a deadline, quiet hours, the end of the call. */
const lookMs = 200;
const broken =
  'the receiver leaves open whether it took the messages (no answer, or one of a gateway): waiting until it answers again; look at its log';

/**
 * Sends to the recipients of one shard. Each turn of its loop is one commit that stores the outcomes that came in since the
 * last one, and marks the next group `sending` before its first byte leaves. So an outcome waits for one turn (5-30 ms), groups
 * are as large as the load makes them, and a place in flight is taken from the mark to the stored outcome: after a kill at most
 * `inFlight` rows stand as `sending`.
 */
export class Sender {
  private readonly o: SenderOptions;
  private readonly settlement: Settlement;
  private readonly scope: ExchangeScope;
  private ready: Ready[] = [];
  private readonly turns: Turns;
  private readonly permits: Permits;
  private readonly ahead: Ahead;
  private ending: Ending | null = null;
  private fault: unknown;
  private reading: Promise<void> | null = null;
  /** Whose own quiet hours began while they waited for their turn. */
  private readonly late: Ready[] = [];
  private wakeUp: () => void = () => undefined;
  private lookedAt = 0;
  private soughtAt = 0;

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
    this.turns = new Turns(options.pool, options.shard, this.scope);
    this.settlement = new Settlement(checked.definition, options.reached);
    const { throttle, use, perSecond, inFlight, signal } = options;
    this.permits = new Permits({ throttle, use, perSecond, inFlight, signal, wake: () => this.wakeUp() });
    this.ahead = new Ahead(options.pool, options.shard, checked, options.campaign, this.settlement);
  }

  /** @returns null when nobody of the shard is left to be sent to now @throws what the account cannot be used for, and trouble of Postgres */
  async run(): Promise<Ending | null> {
    try {
      for (;;) {
        if (this.fault) break;
        this.look();
        if (!this.ending) this.refill();
        if (!this.ending) this.permits.ask(Math.min(this.free(), this.ready.length));
        this.putOff();
        const marks = this.ending ? [] : this.ready.splice(0, Math.min(this.permits.count, this.free()));
        this.permits.count -= marks.length;
        if (this.turns.hasOutcomes || marks.length > 0) await this.turn(marks);
        else if (this.turns.open === 0 && (this.ending || this.isWalked() || this.isBroken())) break;
        else await this.something();
      }
    } finally {
      await this.reading;
      await this.turns.drain(() => this.something());
      const left = [...this.ready, ...this.late].map(({ no }) => no);
      await giveBack(this.o.pool, this.o.shard, left);
    }
    if (this.fault) throw this.fault;
    return this.isBroken() ? { kind: 'away', message: broken } : this.ending;
  }

  /** Unknown ones keep their places until a message has a certain end: in a row there are never more of them than places. */
  private free(): number {
    return this.places() - this.turns.taken - this.settlement.unknowns;
  }

  private places(): number {
    return this.o.careful && !this.settlement.heard ? 1 : this.o.inFlight;
  }

  /** As good as away: every message of late may have been delivered, or not. Whoever is not sent to yet waits. */
  private isBroken(): boolean {
    if (this.settlement.unknowns < this.places() || this.o.signal.aborted) return false;
    return this.ending?.kind !== 'stop' && this.ending?.kind !== 'deadline' && !this.isSentToAll();
  }

  private look(): void {
    const now = Date.now();
    if (this.o.signal.aborted || now >= this.o.untilMs) this.ending ??= { kind: 'time' };
    if (this.ahead.stop) this.ending ??= this.ahead.stop;
    if (this.permits.fault) this.fail(this.permits.fault);
    if (this.permits.waitMs !== null) this.ending ??= { kind: 'wait', waitMs: this.permits.waitMs, why: 'account' };
    if (now - this.lookedAt < lookMs) return;
    this.lookedAt = now;
    const { deadline, quiet } = this.o.checked.definition;
    if (deadline !== undefined && now >= Date.parse(deadline)) this.ending ??= { kind: 'deadline' };
    const until = quiet && this.o.checked.zoneColumn === null ? quietUntil(quiet, now) : null;
    if (until !== null) this.ending ??= { kind: 'wait', waitMs: until - now, why: 'quiet' };
    this.o.report(this.turns.counters);
  }

  /** Quiet hours by the user's own zone begin at whole minutes: whoever waits is asked about at most once a second. */
  private putOff(): void {
    const second = Math.floor(Date.now() / 1_000);
    if (this.o.checked.zoneColumn === null || second === this.soughtAt) return;
    this.soughtAt = second;
    const isQuiet = new Map<string | null, boolean>();
    const still = this.ready.filter((one) => {
      const quiet = isQuiet.get(one.zone) ?? this.ahead.quietUntil(one.zone) !== null;
      isQuiet.set(one.zone, quiet);
      if (quiet) this.late.push(one);
      return !quiet;
    });
    this.ready.splice(0, this.ready.length, ...still);
  }

  /** Everybody of the range was looked at, and sent to or put off. */
  private isWalked(): boolean {
    return this.ahead.exhausted && this.reading === null && this.ready.length === 0;
  }

  private isSentToAll(): boolean {
    return this.ending === null && this.isWalked();
  }

  /** Reads ahead beside the turns. Neither holds its connection while it waits for another one. */
  private refill(): void {
    if (this.ahead.exhausted || this.reading || this.ready.length >= Math.max(this.o.inFlight, readyLeast)) return;
    this.reading = this.ahead
      .next(this.scope.grants)
      .then(
        (more) => void this.ready.push(...more),
        (error: unknown) => this.fail(error),
      )
      .finally(() => {
        this.reading = null;
        this.wakeUp();
      });
  }

  private fail(error: unknown): void {
    this.fault ??= error;
    this.ending ??= { kind: 'time' };
  }

  private async turn(marks: readonly Ready[]): Promise<void> {
    try {
      const leaving = await this.turns.turn(marks.map(({ no }) => no));
      for (const one of marks) if (leaving.has(one.no)) this.leave(one);
    } catch (error) {
      this.fail(error);
    }
  }

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
    this.turns.push(outcome);
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
}
