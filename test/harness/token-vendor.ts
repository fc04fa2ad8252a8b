import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Connector, VerdictRule } from '../../connectors/shape.ts';
import type { World } from './world.ts';

/** A platform that changes both tokens with each refresh and kills the old pair with its answer; closed with the world. */
export async function startVendor(world: World) {
  let pair = 0;
  let consents = 0;
  const state = {
    url: '',
    /** Refresh token of the first consent. */
    refreshToken: 'refresh-0-0',
    /** Calls for a token that gave one, and those that were refused. */
    given: 0,
    refused: 0,
    lists: 0,
    /** Life of an access token, seconds. */
    life: 3600,
    /** True: an old refresh token gives another pair. */
    forgiving: false,
    /** Awaited after the pair has changed and before the answer leaves. */
    beforeAnswer: async (_response: ServerResponse): Promise<void> => undefined,
    /** Awaited before a refusal leaves. */
    beforeRefusal: async (): Promise<void> => undefined,
    /** Awaited when a list is asked for with a token. */
    onList: async (_token: string): Promise<void> => undefined,
    /** Answers a list call instead of the list. */
    list: undefined as ((response: ServerResponse) => void) | undefined,
    consent: () => {
      consents += 1;
      pair = 0;
      return `refresh-${consents}-0`;
    },
    /** The current access token ends early. */
    expire: () => {
      expired = pair;
    },
  };
  let expired = -1;
  const access = () => `access-${consents}-${pair}`;

  async function token(body: URLSearchParams, response: ServerResponse) {
    const refresh = body.get('refresh_token');
    const obtained = refresh === null && body.get('secret') === 'app-secret';
    const rotated = refresh === `refresh-${consents}-${pair}` || (state.forgiving && refresh !== null);
    if (!obtained && !rotated) {
      state.refused += 1;
      await state.beforeRefusal();
      return reply(response, { code: 100200102, msg: `refreshToken.discarded ${refresh}` });
    }
    pair += 1;
    state.given += 1;
    const answer = { access: access(), refresh: `refresh-${consents}-${pair}`, life: state.life };
    await state.beforeAnswer(response);
    if (!response.destroyed) reply(response, answer);
  }

  async function list(query: URLSearchParams, response: ServerResponse) {
    state.lists += 1;
    const token = query.get('access_token') ?? '';
    if (token !== access() || expired === pair) return reply(response, { code: 27, msg: `invalid ${token}` });
    await state.onList(token);
    if (state.list) return state.list(response);
    reply(response, { code: 0, data: { rows: [{ id: 1 }] } });
  }

  const server = createServer(async (request, response) => {
    const url = new URL(request.url!, 'http://x');
    if (url.pathname === '/token') await token(new URLSearchParams(await bodyOf(request)), response);
    else await list(url.searchParams, response);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  state.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  world.onClose(async () => {
    server.closeAllConnections();
    server.close();
  });
  return state;
}

export type Vendor = Awaited<ReturnType<typeof startVendor>>;

async function bodyOf(request: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of request) text += chunk;
  return text;
}

export function reply(
  response: ServerResponse,
  body: unknown,
  status = 200,
  headers: Record<string, string> = {},
): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
}

const rules: VerdictRule[] = [
  { code: [100200102], verdict: 'consent', hint: 'Ask the merchant.' },
  { code: [27], verdict: 'token' },
  { code: [7], verdict: 'retry-after', waitMs: 1_500, level: 'endpoint' },
  { code: [8], verdict: 'quota', until: 'midnight', level: 'platform' },
  { code: [9], verdict: 'busy', waitMs: 700 },
  { code: [11], verdict: 'permission' },
  { code: [12], verdict: 'consent' },
  { code: [13], verdict: 'empty' },
  { code: [14], verdict: 'too-big' },
];

const answer = { access: 'access', refresh: 'refresh', expires: { path: 'life', unit: 's' }, lifeSeconds: 60 } as const;

export const byConsent: Connector = {
  platform: 'vendor',
  title: 'Vendor',
  baseUrl: 'https://vendor.example.com',
  settings: { refreshToken: { secret: true, about: 'From the consent.' } },
  auth: {
    kind: 'token',
    refresh: { method: 'POST', path: '/token', in: 'form', params: { refresh_token: { token: 'refresh' } }, answer },
  },
  gateway: {
    path: '/{api}',
    method: 'GET',
    system: { in: 'query', params: { access_token: { token: 'access' } } },
    business: { in: 'query' },
  },
  envelope: { shapes: [{ ok: { path: 'code', is: [0] }, code: ['code'], text: ['msg'], data: 'data' }], rules },
  limits: { connection: [{ requests: 10, perMs: 1000 }] },
  streams: {},
  unconfirmed: [],
};

export const bySecret: Connector = {
  ...byConsent,
  settings: { appSecret: { secret: true, about: 'Secret of the app.' } },
  auth: {
    kind: 'token',
    obtain: { method: 'POST', path: '/token', in: 'form', params: { secret: { secret: 'appSecret' } }, answer },
  },
};
