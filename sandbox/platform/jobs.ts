import { Refusal } from './refusal.ts';

/** Files that were ordered: ready when they were asked for twice. */
export class Jobs {
  readonly #jobs = new Map<string, { text: string; asked: number }>();

  /** Orders a file; returns the job's id. */
  order(rows: readonly unknown[]): string {
    const id = `job-${this.#jobs.size + 1}`;
    this.#jobs.set(id, { text: rows.map((row) => `${JSON.stringify(row)}\n`).join(''), asked: 0 });
    return id;
  }

  /** Whether the file is ready. @throws Refusal `gone` for an unknown job */
  ready(id: unknown): boolean {
    const job = this.#find(id);
    job.asked += 1;
    return job.asked >= 2;
  }

  /** The file, JSON lines. @throws Refusal `gone` for an unknown job */
  file(id: unknown): string {
    return this.#find(id).text;
  }

  #find(id: unknown): { text: string; asked: number } {
    const job = this.#jobs.get(String(id));
    if (!job) throw new Refusal('gone', 'job');
    return job;
  }
}
