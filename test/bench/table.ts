import { writeFileSync } from 'node:fs';

/** One measured figure. `met` is null where nothing was promised. */
export interface Figure {
  case: string;
  metric: string;
  value: number;
  unit: string;
  goal: string | null;
  met: boolean | null;
}

/** Figures of a benchmark as they come, printed at once and as one table at the end. */
export class Figures {
  readonly all: Figure[] = [];

  /** @param atLeast or atMost the goal; leave both out where nothing was promised */
  add(
    name: string,
    metric: string,
    value: number,
    unit: string,
    goal: { atLeast?: number; atMost?: number } = {},
  ): void {
    const { atLeast, atMost } = goal;
    const met = atLeast !== undefined ? value >= atLeast : atMost !== undefined ? value <= atMost : null;
    const text = atLeast !== undefined ? `>= ${atLeast}` : atMost !== undefined ? `<= ${atMost}` : null;
    this.all.push({ case: name, metric, value, unit, goal: text, met });
    process.stdout.write(
      `${name}  ${metric} = ${show(value)} ${unit}${text ? ` (goal ${text}: ${met ? 'met' : 'MISSED'})` : ''}\n`,
    );
  }

  /** Markdown: a row a metric, a column a case. */
  table(): string {
    const cases = [...new Set(this.all.map((f) => f.case))];
    const metrics = [...new Set(this.all.map((f) => f.metric))];
    const cell = (metric: string, name: string) => {
      const f = this.all.find((x) => x.metric === metric && x.case === name);
      return f ? `${show(f.value)} ${f.unit}${f.met === false ? ' ✗' : ''}`.trim() : '';
    };
    const goalOf = (metric: string) => this.all.find((f) => f.metric === metric && f.goal)?.goal ?? '';
    return [
      `| metric | goal | ${cases.join(' | ')} |`,
      `| --- | --- |${' ---: |'.repeat(cases.length)}`,
      ...metrics.map((m) => `| ${m} | ${goalOf(m)} | ${cases.map((c) => cell(m, c)).join(' | ')} |`),
    ].join('\n');
  }

  writeJson(file: string): void {
    writeFileSync(file, `${JSON.stringify(this.all, null, 2)}\n`);
  }
}

function show(value: number): string {
  if (value >= 1000) return Math.round(value).toLocaleString('en');
  return value >= 10 ? value.toFixed(1) : value.toFixed(2);
}
