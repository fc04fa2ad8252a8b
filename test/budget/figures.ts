import type { Limits } from './platform.ts';
import type { Measured, Rig, Work } from './rig.ts';

/** The case: 300 connections, 10 requests a second each and some 100, 600 over all. */
export const limits: Limits = { platform: 600, connection: 10, fast: 100 };
const connections = 300;
const fast = 30;
const name = (i: number) => (i < fast ? `fast${i}` : `c${i}`);

const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0);

/** Jain's index of fairness: 1 when all have the same, 1/n when one has all. */
export const jain = (values: readonly number[]) => sum(values) ** 2 / (values.length * sum(values.map((v) => v * v)));

export interface Figures {
  accepted: number;
  refused: number;
  /** Share of the requests that were refused. */
  refusedShare: number;
  /** Share of the platform's limit that was used. */
  use: number;
  later: number;
  workerCpuMs: number;
  stoodMs: number;
  seconds: number;
}

function figuresOf({ counts, stopped, stoodMs }: Measured): Figures {
  const accepted = sum(Object.values(counts.accepted));
  const refused = counts.refused.platform + counts.refused.connection;
  const seconds = counts.ms / 1000;
  return {
    accepted,
    refused,
    refusedShare: refused / (accepted + refused),
    use: accepted / seconds / limits.platform,
    later: sum(stopped.map((s) => s.later)),
    workerCpuMs: sum(stopped.map((s) => s.cpuMs)),
    stoodMs,
    seconds,
  };
}

/** All connections have work without end, one of them four times the loops of another. */
export async function everyoneBusy(rig: Rig, ms: number): Promise<Figures & { fairness: number; served: number }> {
  const work = Array.from({ length: connections }, (_, i) => ({
    connection: name(i),
    loops: 1 + (i % 4),
    requests: null,
  }));
  const measured = await rig.measure(work, { warmUpMs: 1000, ms });
  const each = Object.values(measured.counts.accepted);
  return { ...figuresOf(measured), fairness: jain(each), served: each.length };
}

/** Twenty connections reach their own limit; ten fast ones share what is left of the platform's. */
export async function ownLimits(
  rig: Rig,
  ms: number,
): Promise<Figures & { slowUse: number; fastUse: number; fairness: number }> {
  const work = Array.from({ length: 30 }, (_, i) => ({
    connection: i < 10 ? `fast${i}` : `c${i}`,
    loops: 8,
    requests: null,
  }));
  const measured = await rig.measure(work, { warmUpMs: 1000, ms });
  const figures = figuresOf(measured);
  const rateOf = (kind: string) =>
    Object.entries(measured.counts.accepted)
      .filter(([connection]) => connection.startsWith(kind))
      .map(([, count]) => count / figures.seconds);
  const slow = rateOf('c');
  const quick = rateOf('fast');
  return {
    ...figures,
    slowUse: sum(slow) / (20 * limits.connection),
    fastUse: sum(quick) / (limits.platform - 20 * limits.connection),
    fairness: jain(quick),
  };
}

/**
 * 299 connections have `requests` each; one more has a hundred times that, 80 at once, and may do 100 a second.
 * Gives how long the others take: the last of them, and the mean.
 */
export async function othersBeside(
  rig: Rig,
  requests: number,
  hot: boolean,
): Promise<Figures & { lastMs: number; meanMs: number }> {
  const work: Work[] = Array.from({ length: connections - 1 }, (_, i) => ({
    connection: name(i + 1),
    loops: 2,
    requests,
  }));
  // A hundred times as much is not done when the others are: to go on without end is the same to them.
  if (hot) work.unshift({ connection: name(0), loops: 80, requests: null });
  const measured = await rig.measure(work, { warmUpMs: 0, ms: 0 });
  const ended = Object.values(measured.endedMs);
  return { ...figuresOf(measured), lastMs: Math.max(...ended), meanMs: sum(ended) / ended.length };
}
