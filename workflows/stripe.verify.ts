import {
  ApplicationFailure,
  condition,
  defineQuery,
  isCancellation,
  proxyActivities,
  setHandler,
  sleep,
} from '@temporalio/workflow';
import type { Activities } from '../activities/index.ts';
import type { ScanResult } from '../activities/stripe/verify.ts';
import { pause, resume } from './control.ts';
import { quick, slice } from './options.ts';
import { readInput } from './org.input.ts';
import { showDetails } from './progress.ts';
import { type VerifyStripeInput, verifyStripeInput } from './stripe.input.ts';
import { sentenceOf, tried, typeOf } from './tries.ts';

export const verifyStripeId = (connection: string) => `verifyStripe-${connection}`;

/** What the comparison of one resource came to. */
export interface VerifiedType {
  type: string;
  /** `skipped`: refused, as the copy found it, which has parked it. `failed`: it could be copied before, or another trouble. */
  state: 'waiting' | 'running' | 'done' | 'skipped' | 'failed';
  objects: number;
  buckets: number;
  /** Buckets that were read again: they differed, or changed while they were compared. */
  badBuckets: number;
  /** Drift: rows that are missing, hold another state, or belong to objects that are gone. */
  missing: number;
  different: number;
  extra: number;
  mended: number;
  reason: string | null;
}

export interface VerifyStripeResult {
  connection: string;
  /** `equal`: nothing had drifted. `mended`: all that had was read again. `drift`: some of it stays. `partial`: some failed; the rest was equal or mended. */
  outcome: 'equal' | 'mended' | 'drift' | 'partial';
  types: VerifiedType[];
  durationMs: number;
}

export const verifyProgress = defineQuery<VerifiedType[]>('progress');

const lanes = 4;
/** Buckets that one call reads again; all of them wait together for the feed to settle. */
const bucketsAtOnce = 50;
const example = '{"connection":"billing"}';

/** Compares a Stripe account with its copy, and reads again what has drifted. Input: {@link verifyStripeInput}. */
export async function verifyStripe(input: unknown): Promise<VerifyStripeResult> {
  const request: VerifyStripeInput = readInput(verifyStripeInput, input, example);
  return new Verification(request).run();
}

/** A resource of the copy. `whole` is missing in histories of before it was told. */
type Copied = { type: string; created: boolean; whole?: boolean };

class Verification {
  private readonly request: VerifyStripeInput;
  private readonly types = new Map<string, VerifiedType>();
  private readonly notes = new Map<string, string>();
  /** Rows of each type that were marked deleted, and those that the guard let stay. */
  private readonly buried = new Map<string, number>();
  private readonly stay = new Map<string, number>();
  private readonly slices;
  private readonly quick;
  private paused = false;

  constructor(request: VerifyStripeInput) {
    this.request = request;
    const priority = { fairnessKey: request.connection };
    this.slices = proxyActivities<Activities>({ ...slice, priority });
    this.quick = proxyActivities<Activities>({ ...quick, priority });
    setHandler(verifyProgress, () => [...this.types.values()]);
    setHandler(pause, () => this.setPaused(true));
    setHandler(resume, () => this.setPaused(false));
  }

  async run(): Promise<VerifyStripeResult> {
    const started = Date.now();
    const { connection, types } = this.request;
    const copied: Copied[] = await tried(this, 'listCopied', () => this.quick.listCopied({ connection }));
    const unknown = types?.find((type) => !copied.some((one) => one.type === type));
    if (unknown !== undefined)
      throw ApplicationFailure.nonRetryable(
        `types: got "${unknown}", accepted ${copied.map(({ type }) => type).join(', ')}`,
        'InvalidInput',
      );
    const queue = copied.filter(({ type }) => types === undefined || types.includes(type));
    for (const { type } of queue) this.types.set(type, { ...nothing, type });
    this.show();
    const lane = async () => {
      for (let one = queue.shift(); one !== undefined; one = queue.shift()) await this.outcomeOf(one);
    };
    const ends = await Promise.allSettled(Array.from({ length: lanes }, lane));
    for (const end of ends) if (end.status === 'rejected') throw end.reason;
    const all = [...this.types.values()];
    const drift = all.reduce((sum, one) => sum + one.missing + one.different + one.extra, 0);
    const mended = all.reduce((sum, one) => sum + one.mended, 0);
    const failed = all.some(({ state }) => state === 'failed');
    const outcome = mended < drift ? 'drift' : failed ? 'partial' : drift === 0 ? 'equal' : 'mended';
    return { connection, outcome, types: all, durationMs: Date.now() - started };
  }

  note(about: string, text: string | null): void {
    if (text === null) this.notes.delete(about);
    else this.notes.set(about, text);
    this.show();
  }

  /** What cannot be read is told, and the rest is compared. */
  private async outcomeOf({ type, created, whole }: Copied): Promise<void> {
    try {
      await this.verify(type, created);
    } catch (error) {
      if (isCancellation(error) || !['Forbidden', 'BadAnswer'].includes(typeOf(error))) throw error;
      const state = typeOf(error) === 'Forbidden' && whole === false ? 'skipped' : 'failed';
      this.add(type, { state, reason: sentenceOf(error) });
    }
  }

  private async verify(type: string, created: boolean): Promise<void> {
    this.add(type, { state: 'running' });
    const bad = created ? await this.scan(type) : null;
    if (bad === null) await this.mend(type, null);
    else
      for (let at = 0; at < bad.length; at += bucketsAtOnce) await this.mend(type, bad.slice(at, at + bucketsAtOnce));
    this.add(type, { state: 'done' });
  }

  private async scan(type: string): Promise<number[]> {
    const { connection, since, mend } = this.request;
    const sinceSecond = since === undefined ? null : Date.parse(since) / 1_000;
    const bad: number[] = [];
    let toSecond: number | null = null;
    for (;;) {
      await condition(() => !this.paused);
      const from = toSecond;
      const part: ScanResult = await tried(this, `${type} scan`, () =>
        this.slices.scanType({ connection, type, toSecond: from, sinceSecond, mend }),
      );
      bad.push(...part.bad);
      this.sum(type, { objects: part.objects, buckets: part.buckets, badBuckets: part.bad.length });
      // Missing in histories of before they were counted.
      if (part.extra > 0) this.sum(type, { extra: part.extra, mended: part.mended });
      if (part.waitMs > 0) await sleep(part.waitMs);
      else if (part.toSecond === null) return bad;
      toSecond = part.toSecond ?? toSecond;
    }
  }

  private async mend(type: string, buckets: number[] | null): Promise<void> {
    const { connection, mend } = this.request;
    for (;;) {
      await condition(() => !this.paused);
      const buried = this.buried.get(type) ?? 0;
      const part = await tried(this, `${type} compare`, () =>
        this.slices.mendType({ connection, type, buckets, mend, buried }),
      );
      const { missing, different, extra, mended } = part;
      this.sum(type, { missing, different, extra, mended });
      this.buried.set(type, buried + (part.buried ?? 0));
      if (part.waitMs > 0) {
        await sleep(part.waitMs);
        continue;
      }
      if (part.withheld > 0) this.withheld(type, part.withheld, part.guard);
      if (buckets === null) this.sum(type, { objects: part.objects, buckets: 1 });
      return;
    }
  }

  private withheld(type: string, rows: number, guard: number): void {
    const all = (this.stay.get(type) ?? 0) + rows;
    this.stay.set(type, all);
    const reason = `${all} rows of objects that are gone stay: the option guard.count lets ${guard} be marked deleted at once; see them through with: npx syncline connect ${this.request.connection} --option guard.count=${guard + all}`;
    this.add(type, { reason });
  }

  private sum(type: string, counts: Partial<Record<keyof typeof nothing, number>>): void {
    const before = this.types.get(type) ?? { ...nothing, type };
    const after = Object.fromEntries(
      Object.entries(counts).map(([key, n]) => [key, (before[key as keyof typeof counts] as number) + (n as number)]),
    );
    this.add(type, after);
  }

  private add(type: string, change: Partial<VerifiedType>): void {
    this.types.set(type, { ...(this.types.get(type) ?? { ...nothing, type }), ...change });
    this.show();
  }

  private setPaused(paused: boolean): string {
    this.paused = paused;
    this.show();
    return paused ? 'paused' : 'running';
  }

  private show(): void {
    const all = [...this.types.values()];
    const bars = all.map(({ type, objects, state }) => ({
      name: type,
      done: objects,
      total: null,
      state: state === 'failed' ? ('skipped' as const) : state,
    }));
    const drifted = all.filter(({ missing, different, extra }) => missing + different + extra > 0);
    showDetails(`verifyStripe ${this.request.connection} · ${this.paused ? 'paused' : 'running'}`, bars, [
      ...drifted.map(
        (one) =>
          `${one.type}: ${one.missing} missing, ${one.different} different, ${one.extra} gone, ${one.mended} mended`,
      ),
      ...this.notes.values(),
    ]);
  }
}

const nothing = {
  state: 'waiting' as VerifiedType['state'],
  objects: 0,
  buckets: 0,
  badBuckets: 0,
  missing: 0,
  different: 0,
  extra: 0,
  mended: 0,
  reason: null as string | null,
};
