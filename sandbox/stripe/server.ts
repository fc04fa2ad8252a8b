import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text as readText } from 'node:stream/consumers';
import { setTimeout as wait } from 'node:timers/promises';
import { type LimitOptions, Limits } from './limits.ts';
import { missing, Refusal } from './refusal.ts';
import { type Account, route } from './routes.ts';

/** Trouble on request. `path` is a prefix of the address; `after` requests of it are served first, `times` are spoiled (default all). */
export interface StripeFault {
  type: 'cut' | 'html' | 'status' | 'hang' | 'repeat' | 'revoked' | 'forbidden' | 'gone';
  path?: string;
  /** Of `status`. */
  status?: number;
  after?: number;
  times?: number;
}

export interface StripeCounts {
  total: number;
  /** 429. */
  refused: number;
  /** 4xx for what was wrong in the request itself. */
  wrong: number;
  byEndpoint: Record<string, number>;
}

export interface ServerOptions {
  key: string;
  latencyMs: number;
  limits: LimitOptions | null;
}

const page = '<!doctype html><html><body>Sign in</body></html>';

interface Written {
  status: number;
  body: string;
  headers: Record<string, string>;
}

/** The HTTP side of a simulated account: key, limits, latency, faults. */
export class StripeServer {
  private readonly account: Account;
  private readonly requests: StripeCounts;
  readonly options: ServerOptions;
  private readonly limits: Limits;
  private readonly server: Server;
  /** First answer of each address that repeats itself. */
  private readonly repeated = new Map<string, string>();
  private faults: StripeFault[] = [];

  constructor(account: Account, requests: StripeCounts, options: ServerOptions) {
    this.account = account;
    this.requests = requests;
    this.options = options;
    this.limits = new Limits(options.limits);
    this.server = createServer((request, response) => {
      this.serve(request, response).catch((error: Error) => response.destroy(error));
    });
    this.server.keepAliveTimeout = 120_000;
  }

  async listen(): Promise<number> {
    await new Promise<void>((ready, failed) => {
      this.server.once('error', failed);
      this.server.listen(0, '127.0.0.1', ready);
    });
    return (this.server.address() as AddressInfo).port;
  }

  setFaults(faults: readonly StripeFault[]): void {
    this.faults = faults.map((one) => ({ ...one }));
    this.repeated.clear();
  }

  async stop(): Promise<void> {
    const closed = new Promise<void>((done) => this.server.close(() => done()));
    this.server.closeAllConnections();
    await closed;
  }

  private faultOf(path: string): StripeFault | undefined {
    const due = this.faults.find((one) => path.startsWith(one.path ?? '') && (one.times ?? 1) > 0);
    if (!due) return undefined;
    if ((due.after ?? 0) > 0) {
      due.after = (due.after ?? 0) - 1;
      return undefined;
    }
    if (due.times !== undefined) due.times -= 1;
    return due;
  }

  private async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://127.0.0.1');
    const form = request.method === 'POST' ? await readText(request) : '';
    const query = new Map([...searchParams, ...new URLSearchParams(form)]);
    this.requests.total += 1;
    const fault = this.faultOf(pathname);
    if (fault?.type === 'hang') return;
    const { status, body, headers } = await this.write(request, pathname, query, fault);
    const common = {
      date: new Date(this.account.nowMs()).toUTCString(),
      'content-type': 'application/json',
      'request-id': `req_${this.requests.total}`,
    };
    response.writeHead(status, { ...common, ...headers });
    if (fault?.type === 'cut') response.write(body.slice(0, body.length / 2), () => response.destroy());
    else response.end(body);
  }

  private async write(
    request: IncomingMessage,
    path: string,
    query: Map<string, string>,
    fault: StripeFault | undefined,
  ): Promise<Written> {
    try {
      this.refuse(request, fault);
      const { endpoint, answer } = route(this.account, request.method ?? 'GET', path, query);
      this.requests.byEndpoint[endpoint] = (this.requests.byEndpoint[endpoint] ?? 0) + 1;
      const reason = this.limits.refuse(endpoint);
      if (reason) {
        const headers = { 'stripe-rate-limited-reason': reason, 'stripe-should-retry': 'true' };
        throw new Refusal(429, 'rate_limit', 'Too many requests', headers);
      }
      const { latencyMs } = this.options;
      if (latencyMs > 0) await wait(latencyMs / 2);
      // What is true in the middle of the request.
      let body = JSON.stringify(answer());
      if (latencyMs > 0) await wait(latencyMs / 2);
      if (fault?.type === 'html') return { status: 200, body: page, headers: { 'content-type': 'text/html' } };
      if (fault?.type === 'repeat') {
        body = this.repeated.get(path) ?? body.replace('"has_more":false', '"has_more":true');
        this.repeated.set(path, body);
      }
      return { status: 200, body, headers: {} };
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      if (error.status === 429) this.requests.refused += 1;
      if (error.code?.startsWith('parameter_')) this.requests.wrong += 1;
      return { status: error.status, body: JSON.stringify(error.body), headers: error.headers };
    }
  }

  private refuse(request: IncomingMessage, fault: StripeFault | undefined): void {
    if (request.headers.authorization !== `Bearer ${this.options.key}` || fault?.type === 'revoked')
      throw new Refusal(401, undefined, 'Invalid API Key provided: sk_test_****');
    if (fault?.type === 'forbidden')
      throw new Refusal(
        403,
        'more_permissions_required',
        'The provided key does not have the required permissions for this endpoint.',
      );
    if (fault?.type === 'gone') throw missing('object');
    if (fault?.type === 'status') throw new Refusal(fault.status ?? 500, undefined, 'Something went wrong');
  }
}
