import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { request } from 'undici';
import type { Answer, CallRequest, PlatformClient } from '../../../activities/http/client.ts';
import { parseJson } from '../../../activities/http/json.ts';
import { Refused } from '../../../activities/http/refused.ts';

export type Query = Record<string, string>;
export interface Served {
  body: unknown;
  status?: number;
  headers?: Record<string, string>;
}
export type Handler = (query: Query, path: string) => Served;

/** One HTTP server for a test file; each test sets what it answers. */
export class PagingServer {
  handle: Handler = () => ({ body: {} });
  url = '';
  private readonly server: Server = createServer((request, response) => {
    const url = new URL(request.url ?? '/', 'http://source');
    const { body, status = 200, headers = {} } = this.handle(Object.fromEntries(url.searchParams), url.pathname);
    response.sendDate = false;
    response.writeHead(status, { 'content-type': 'application/json', ...headers });
    response.end(typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body));
  });

  async open(): Promise<this> {
    await new Promise<void>((resolve) => this.server.listen(0, '127.0.0.1', resolve));
    this.url = `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
    return this;
  }

  async close(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  /** A client without budget, signature and envelope: a 4xx is a refusal with the code of its body. */
  client(): PlatformClient {
    return { call: (sent) => this.call(sent) };
  }

  private async call({ call, params, url, signal }: CallRequest): Promise<Answer> {
    const query = new URLSearchParams(
      Object.entries({ ...call.params, ...params }).map(([key, value]): [string, string] => [key, String(value)]),
    );
    const requestedAt = Date.now();
    const { statusCode, headers, body } = await request(url ?? `${this.url}/${call.api}?${query}`, { signal });
    const text = await body.text();
    const data = parseJson(text);
    if (statusCode >= 400) {
      const { verdict, code } = data as { verdict: Refused['verdict']; code: string };
      throw new Refused(verdict, code, `refused (${code})`);
    }
    return { data, body: data, headers, requestedAt, bytes: text.length };
  }
}
