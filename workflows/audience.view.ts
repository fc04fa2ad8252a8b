import type { Frozen } from '../db/audience/campaigns.ts';
import type { StateCounts } from '../db/audience/deliveries.ts';
import type { Report } from '../db/audience/report.ts';
import { type Bar, showDetails } from './progress.ts';

/** Answer of the `progress` query: the numbers that the Temporal UI shows. */
export interface CampaignProgress {
  campaign: string;
  state: 'running' | 'paused' | 'done';
  /** Null before the audience is frozen. */
  audience: Frozen | null;
  /** Recipients by state, as the last slices told. */
  states: StateCounts;
  /** Recipients a second since the start. */
  perSecond: number;
  /** Seconds until everybody is sent to, at the pace so far and within the limits; null while nobody can tell, it waits, or it is paused. */
  etaSeconds: number | null;
  notes: string[];
}

/** What a campaign's run did. Who got what stands in audience.deliveries. */
export interface CampaignResult extends Report {
  campaign: string;
  /** `done`: nobody is left to be sent to. `late`: the deadline came first, the rest was left out. */
  outcome: 'done' | 'late';
  audience: Frozen;
  durationMs: number;
}

/** Counters that outlive an execution whose history got long. */
export interface CampaignShown {
  started: number;
  /** Of shards that ended. */
  ended: StateCounts;
  /** Of shards that were begun and not ended, by their number. */
  open: [no: number, states: StateCounts][];
}

/** Everything a person sees of a campaign's run; holds no decision. */
export class CampaignView {
  private readonly campaign: string;
  private readonly started: number;
  private readonly ended: StateCounts;
  private readonly open: Map<number, StateCounts>;
  private frozen: Frozen | null = null;
  private perSecond: number | null = null;
  private paused = false;
  private finished = false;
  private readonly notes = new Map<string, string>();

  constructor(campaign: string, shown: CampaignShown) {
    this.campaign = campaign;
    this.started = shown.started;
    this.ended = { ...shown.ended };
    this.open = new Map(shown.open);
    this.show();
  }

  carry(): CampaignShown {
    return { started: this.started, ended: this.ended, open: [...this.open] };
  }

  begin(frozen: Frozen, perSecond: number | null): void {
    this.frozen = frozen;
    this.perSecond = perSecond;
    this.show();
  }

  told(shard: number, states: StateCounts, done: boolean): void {
    this.open.set(shard, states);
    if (done) {
      this.open.delete(shard);
      add(this.ended, states);
    }
    this.show();
  }

  pause(paused: boolean): void {
    this.paused = paused;
    this.show();
  }

  note(about: string, text: string | null): void {
    if (text === null) this.notes.delete(about);
    else this.notes.set(about, text);
    this.show();
  }

  finish(): void {
    this.finished = true;
    this.notes.clear();
    this.show();
  }

  /** Recipients of a shard with an outcome, as far as a call has told. */
  settledOf(shard: number): number {
    return dealt(this.open.get(shard) ?? {});
  }

  states(): StateCounts {
    const sum: StateCounts = {};
    for (const states of [this.ended, ...this.open.values()]) add(sum, states);
    return sum;
  }

  progress(): CampaignProgress {
    const states = this.states();
    const seconds = Math.max(1, (Date.now() - this.started) / 1000);
    const total = this.frozen?.recipients ?? 0;
    const sofar = dealt(states);
    const pace = sofar / seconds;
    const left = Math.max(0, total - sofar);
    const stands = this.paused || this.notes.size > 0;
    const eta =
      !stands && sofar > 0 && left > 0 ? Math.ceil(Math.max(left / pace, left / (this.perSecond ?? Infinity))) : null;
    const state = this.finished ? 'done' : this.paused ? 'paused' : 'running';
    return {
      ...{ campaign: this.campaign, state, audience: this.frozen, states },
      ...{ perSecond: Math.round(pace), etaSeconds: eta, notes: [...this.notes.values()] },
    };
  }

  private show(): void {
    const { state, audience, states, perSecond, etaSeconds, notes } = this.progress();
    const total = audience?.recipients ?? null;
    const dealt = Object.entries(states).reduce((sum, [name, n]) => (waiting.includes(name) ? sum : sum + n), 0);
    const bar: Bar = { name: 'recipients', done: dealt, total, state: this.finished ? 'done' : 'running' };
    const counts = Object.entries(states).map(([name, n]) => `${name} ${n}`);
    showDetails(
      `campaign ${this.campaign} · ${state}`,
      [bar],
      [
        ...(counts.length > 0
          ? [`${counts.join(', ')} (${perSecond}/s${etaSeconds === null ? '' : `, about ${etaSeconds} s to go`})`]
          : []),
        ...(audience ? Object.entries(audience.skipped).map(([reason, n]) => `left out: ${n} ${reason}`) : []),
        ...notes,
      ],
    );
  }
}

/** Of these nobody knows yet what becomes of them. */
const waiting = ['planned', 'claimed', 'sending'];

const dealt = (states: StateCounts) =>
  Object.entries(states).reduce((sum, [state, n]) => (waiting.includes(state) ? sum : sum + n), 0);

function add(sum: StateCounts, states: StateCounts): void {
  for (const [state, n] of Object.entries(states) as [keyof StateCounts, number][]) sum[state] = (sum[state] ?? 0) + n;
}
