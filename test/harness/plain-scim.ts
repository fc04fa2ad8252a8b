import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { World } from './world.ts';

type Row = Record<string, unknown> & { id: string | number };

/** What a plain SCIM server holds and how it answers direct reads; may change between two requests. */
export interface PlainScim {
  Users: Row[];
  /** Members that are no longer there are left out. */
  Groups: (Row & { members: { value: string; type: string }[] })[];
  /** Ids that the lists leave out while a direct read finds them. */
  hidden: Set<string>;
  /** Answers a direct read instead of the record, or cuts the connection; undefined leaves it alone. */
  direct: (list: 'Users' | 'Groups', id: string) => { status: number; body?: string } | 'cut' | undefined;
  /** Answers a list instead of the page of its rows; undefined leaves it alone. */
  list: (list: 'Users' | 'Groups', asked: URLSearchParams, rows: object[]) => object | undefined;
  /** Ids asked for directly, in order. */
  asked: string[];
}

const error = 'urn:ietf:params:scim:api:messages:2.0:Error';

/** A SCIM server of ids as the test gives them, without totals, each person in the first group while there. */
export async function plainScim(world: World, ids: (string | number)[], options: Record<string, unknown> = {}) {
  const state: PlainScim = {
    Users: ids.map((id) => ({ id, userName: `user-${id}`, active: true })),
    Groups: [{ id: 'g0', displayName: 'All', members: ids.map((id) => ({ value: String(id), type: 'User' })) }],
    hidden: new Set(),
    direct: () => undefined,
    list: () => undefined,
    asked: [],
  };
  const rowsOf = (list: 'Users' | 'Groups') => {
    if (list === 'Users') return state.Users;
    const there = new Set([...state.Users, ...state.Groups].map(({ id }) => String(id)));
    return state.Groups.map((group) => ({ ...group, members: group.members.filter(({ value }) => there.has(value)) }));
  };
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? '', 'http://plain');
    const [list, id] = url.pathname.slice(1).split('/').map(decodeURIComponent) as ['Users' | 'Groups', string?];
    const send = (status: number, body: string) =>
      response.writeHead(status, { 'content-type': 'application/scim+json' }).end(body);
    if (id !== undefined) {
      state.asked.push(id);
      const instead = state.direct(list, id);
      if (instead === 'cut') return response.destroy();
      if (instead) return send(instead.status, instead.body ?? refusal(instead.status));
      const found = rowsOf(list).find((row) => String(row.id) === id);
      return found ? send(200, JSON.stringify(found)) : send(404, refusal(404));
    }
    const at = Number(url.searchParams.get('startIndex')) - 1;
    const shown = rowsOf(list).filter((row) => !state.hidden.has(String(row.id)));
    const page = { Resources: shown.slice(at, at + Number(url.searchParams.get('count'))) };
    return send(200, JSON.stringify(state.list(list, url.searchParams, shown) ?? page));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  world.onClose(async () => {
    server.closeAllConnections();
    server.close();
  });
  const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const name = await world.connect({ platform: 'scim', baseUrl, credential: 'token', options });
  return { name, baseUrl, state };
}

function refusal(status: number): string {
  return JSON.stringify({ schemas: [error], status: String(status) });
}
