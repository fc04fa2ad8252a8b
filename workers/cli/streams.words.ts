import { drawShare } from '../../workflows/progress.ts';
import type { SyncWorkflow } from '../pipelines.ts';
import { describeTrouble } from './pending.ts';
import type { StreamStatus } from './streams.ts';
import { columns, count, counted, duration } from './words.ts';

const words: Record<string, string> = {
  unattended: 'open, but no worker takes it on',
  waiting: 'waits for streams that are read before it',
  skipped: 'left to another run',
  idle: 'not read yet',
  interrupted: 'left off; the next run goes on there',
};

/** A line a stream: how much of it is read, what it does, rows, how far behind it is. */
export function describeStreams(streams: readonly StreamStatus[]): string[] {
  return columns(streams.map((one) => [one.stream, share(one), doing(one), rows(one), lag(one)]));
}

function share({ state, covered, doubt, lagMs }: StreamStatus): string {
  if (covered !== null) return drawShare(covered);
  const whole = state === 'whole' || (state === 'idle' && lagMs !== null && doubt === null);
  return whole ? drawShare(1) : '';
}

function doing({ state, progress, doubt, lagMs }: StreamStatus): string {
  if (state === 'idle' && lagMs !== null) return doubt === null ? 'whole' : 'doubtful';
  if (!progress) return state === 'running' ? 'running (no worker tells its progress)' : (words[state] ?? state);
  const eta = progress.etaSeconds === null ? '' : `, about ${duration(progress.etaSeconds * 1_000)} to go`;
  return `${progress.kind ?? 'begins'}${state === 'paused' ? ', paused' : eta}`;
}

function rows({ rows, progress }: StreamStatus): string {
  if (rows === null) return '';
  return progress ? `${counted(rows, 'row')}, ${count(progress.rowsPerSecond)}/s` : counted(rows, 'row');
}

function lag({ lagMs }: StreamStatus): string {
  return lagMs === null ? 'never read whole' : `lag ${duration(lagMs)}`;
}

/** Why a stream waits or is tried again; nothing for one that works. */
export function describeWaits({ stream, progress, run }: StreamStatus): string[] {
  const notes = [...(progress?.notes ?? []), ...(run?.pending.flatMap(describeTrouble) ?? [])];
  return notes.map((note) => `${stream}: ${note}`);
}

const atWork = ['unattended', 'waiting', 'running', 'paused'];

/** What a person should know or do about a stream, each with the command for it. */
export function advise(connection: string, one: StreamStatus, workflow: SyncWorkflow = 'platformSync'): string[] {
  const { stream, state, reason, rejects, doubt, withheld, over } = one;
  const again = `npx syncline start ${workflow} ${connection} --streams ${[...over, stream].join(',')}`;
  const idle = !atWork.includes(state);
  const lines: string[] = [];
  if (reason !== null) lines.push(`${stream} ${state}: ${reason}`);
  if (rejects > 0)
    lines.push(
      `${stream}: ${counted(rejects, 'record')} set aside: npx syncline rejects ${connection} --stream ${stream}`,
    );
  if (doubt !== null) {
    const stay = withheld > 0 ? `; ${counted(withheld, 'row')} that did not come stay` : '';
    const command = idle ? `. Read it again: ${again}${withheld > 0 ? ' --mode full' : ''} --wait` : '';
    lines.push(`${stream}: may lack rows: ${doubt}${stay}${command}`);
  } else if (withheld > 0) {
    const command = `${again} --mode full --accept-deletions --wait`;
    lines.push(
      `${stream}: ${counted(withheld, 'row')} missing at the source stay, more than may go without asking. If they are gone for good: ${command}`,
    );
  }
  return lines;
}
