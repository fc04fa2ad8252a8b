import { setCurrentDetails } from '@temporalio/workflow';

/** One line of work as people see it. */
export interface Bar {
  name: string;
  done: number;
  /** Null while nobody knows how many there are. */
  total: number | null;
  state: 'waiting' | 'running' | 'done' | 'skipped';
}

const width = 20;

/** `████████░░░░ 62 %`, or the count alone where no total is known; `none` where there is nothing to do. */
export function drawBar({ done, total, state }: Bar): string {
  if (state === 'skipped') return 'skipped';
  if (total === 0 && done === 0 && state !== 'waiting') return 'none';
  if (state === 'waiting') return total === null ? '·' : `${total.toLocaleString('en')} planned`;
  // A step that counts nothing, such as checkLimits.
  if (state === 'done' && done === 0) return 'done';
  const share = state === 'done' ? 1 : total ? Math.min(done / total, 0.99) : null;
  if (share === null) return `${done.toLocaleString('en')} so far`;
  const count =
    total === null || state === 'done'
      ? done.toLocaleString('en')
      : `${done.toLocaleString('en')} of ${total.toLocaleString('en')}`;
  return `${drawShare(share)} (${count})`;
}

/** `████████░░░░ 62 %` of a share from 0 to 1. */
export function drawShare(share: number): string {
  const filled = Math.round(share * width);
  return `${'█'.repeat(filled)}${'░'.repeat(width - filled)} ${Math.round(share * 100)} %`;
}

/** Sets what the Temporal UI shows under "current details" (markdown, no history events). */
export function showDetails(title: string, bars: readonly Bar[], notes: readonly string[]): void {
  const rows = bars.map((bar) => `| ${bar.name} | ${drawBar(bar)} |`);
  setCurrentDetails(
    [`**${title}**`, '', '| step | |', '| --- | --- |', ...rows, '', ...notes.map((n) => `- ${n}`)].join('\n'),
  );
}
