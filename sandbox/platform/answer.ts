import type { Due } from './faults.ts';
import type { Api, Call, Incoming } from './fixture.ts';
import type { List, Row } from './list.ts';
import { type Found, find, pagingOf } from './page.ts';
import type { Served } from './served.ts';

/** Where the engine serves files that an export job made. */
export const filesPath = '/sandbox-files/';

/** The payload of a data call, and how many records it carries. @throws Refusal */
export function answerCall(
  served: Served,
  api: Api,
  call: Call,
  request: Incoming,
  due: Due,
): { payload: unknown; rows: number } {
  const account = served.account(call.account);
  api.check?.(call.params, account.lists);
  const list = account.lists[api.list]!;
  const bends = { stuck: due.get('stuck') !== undefined, wrap: due.get('wrap') !== undefined };
  const found = find(api, list, call, served.now(), bends);
  const shown = bend(found, due);
  const render = (row: Row) => api.render?.(row, account.lists, call.params) ?? list.render(row);
  const next = nextOf(served, api, call, request, shown, render);
  const { before: _before, rows, ...page } = shown;
  const payload = api.answer({ ...page, rows: rows.map(render), next }, call.params, account.lists);
  disturb(list, found.rows, due, api);
  return { payload, rows: rows.length };
}

function bend(found: Found, due: Due): Found {
  const total = due.get('total')?.total ?? found.total;
  if (due.get('empty')) return { ...found, total, rows: [], more: false };
  const rows = found.before && due.get('twice') ? [found.before, ...found.rows] : found.rows;
  return { ...found, total, rows };
}

/** Links, jobs and files get their addresses here; cursors are ready. */
function nextOf(
  served: Served,
  api: Api,
  call: Call,
  request: Incoming,
  found: Found,
  render: (row: Row) => unknown,
): string | null {
  const paging = pagingOf(api, call.params);
  if (paging.kind === 'export') return served.jobs.order(found.rows.map(render));
  if (paging.kind === 'poll') {
    const job = call.params[paging.param];
    return served.jobs.ready(job) ? `${served.url}${filesPath}${String(job)}` : null;
  }
  if (paging.kind !== 'link' || found.next === null) return found.next;
  const query = new URLSearchParams({ ...request.query, [paging.param]: found.next });
  return `${served.url}${request.path}?${query}`;
}

/** The source moves on while it is read: the faults `moved` and `removed`, after the answer was made. */
function disturb(list: List, rows: readonly Row[], due: Due, api: Api): void {
  if (api.of === 'gone') return;
  const moved = due.get('moved');
  for (const { id } of rows.slice(0, moved ? (moved.rows ?? 1) : 0)) list.update(id);
  const removed = list.spec.removed === 'never' ? undefined : due.get('removed');
  for (const row of rows.slice(0, removed ? (removed.rows ?? 1) : 0)) if (row.gone === null) list.remove(row.id);
}
