import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

/**
 * A plain HTTP API as fast as Node serves one: rows ready as text, windows by update time, pages of 100 by cursor, a total,
 * an optional limit. What a benchmark reads. In a process of its own: `node sandbox/rows.js '{"rows":200000}'`.
 */
export interface RowsOptions {
  rows: number;
  /** `clustered`: 99 % of the rows in 1 % of the time. */
  spread: 'even' | 'clustered';
  latencyMs: number;
  /** Requests a second, counted by a token bucket with one second's burst; null: no limit. */
  rps: number | null;
}

const pageRows = 100;
/** Rows of 695 bytes, as in facts/postgres-landing. */
const padding = 'x'.repeat(505);
const spanMs = 30 * 86_400_000;

interface Stored {
  at: number;
  text: string;
}

function rowText(id: number, at: number, version: number): string {
  return JSON.stringify({
    id: `o${String(id).padStart(9, '0')}`,
    updated: at,
    status: version % 7,
    version,
    amount: `${(id % 10_000) / 100}`,
    buyer: `buyer ${id % 9_973}`,
    title: `item ${id % 499}`,
    note: padding,
  });
}

class Rows {
  readonly endMs = Math.floor(Date.now() / 1_000) * 1_000 - 60_000;
  readonly counts = { requests: 0, refused: 0 };
  private rows: Stored[];
  private tokens: number;
  private refilled = performance.now();
  private readonly options: RowsOptions;

  constructor(options: RowsOptions) {
    this.options = options;
    this.tokens = options.rps ?? 0;
    const hotFrom = this.endMs - spanMs * 0.5;
    this.rows = Array.from({ length: options.rows }, (_, i) => {
      const share = (i + 0.5) / options.rows;
      const hot = options.spread === 'clustered' && i % 100 !== 0;
      const at = Math.floor(hot ? hotFrom + share * spanMs * 0.01 : this.endMs - spanMs + share * spanMs);
      return { at, text: rowText(i, at, 0) };
    }).sort((a, b) => a.at - b.at);
  }

  /** One row in a hundred changes, at a moment of the last minute. */
  change(): number {
    const moved: Stored[] = [];
    const kept: Stored[] = [];
    for (const [i, row] of this.rows.entries()) {
      if (i % 100 !== 50) kept.push(row);
      else moved.push(row);
    }
    const at = Math.floor(Date.now() / 1_000) * 1_000 - 1_000;
    for (const row of moved) {
      const { id } = JSON.parse(row.text) as { id: string };
      row.at = at;
      row.text = rowText(Number(id.slice(1)), at, 1);
    }
    this.rows = [...kept, ...moved];
    return moved.length;
  }

  async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.counts.requests += 1;
    if (!this.allowed()) {
      this.counts.refused += 1;
      response.writeHead(429, { 'content-type': 'application/json', 'retry-after': '1' });
      response.end('{"code":429}');
      return;
    }
    if (this.options.latencyMs > 0) await delay(this.options.latencyMs);
    const query = new URL(request.url ?? '/', 'http://localhost').searchParams;
    const first = this.firstAt(Number(query.get('from') ?? 0));
    const end = this.firstAt(Number(query.get('to') ?? Number.MAX_SAFE_INTEGER));
    const start = first + Number(query.get('cursor') || 0);
    const stop = Math.min(end, start + pageRows);
    const texts: string[] = [];
    for (let i = start; i < stop; i++) texts.push((this.rows[i] as Stored).text);
    const next = stop < end ? `"${stop - first}"` : 'null';
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(`{"code":0,"data":{"items":[${texts.join(',')}],"next":${next},"total":${end - first}}}`);
  }

  private allowed(): boolean {
    const { rps } = this.options;
    if (rps === null) return true;
    const now = performance.now();
    this.tokens = Math.min(rps, this.tokens + ((now - this.refilled) * rps) / 1_000);
    this.refilled = now;
    if (this.tokens < 1) return false;
    this.tokens -= 1;
    return true;
  }

  private firstAt(ms: number): number {
    let [low, high] = [0, this.rows.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.rows[middle] as Stored).at < ms) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** Commands on standard input, a line each: `change`, `counts`; the answer is a line of JSON. Ends when the input closes. */
async function main(options: RowsOptions): Promise<void> {
  const rows = new Rows(options);
  const server = createServer((request, response) => void rows.answer(request, response));
  server.keepAliveTimeout = 60_000;
  await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready));
  const say = (answer: object) => process.stdout.write(`${JSON.stringify(answer)}\n`);
  say({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` });
  for await (const line of createInterface({ input: process.stdin }))
    say(line === 'change' ? { changed: rows.change() } : rows.counts);
  server.closeAllConnections();
  server.close();
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main(JSON.parse(process.argv[2] ?? '{}') as RowsOptions);
