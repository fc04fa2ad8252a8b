import type { Api, Call, Clock } from './fixture.ts';
import type { List, Row } from './list.ts';
import { Sorted } from './sorted.ts';
import { readWindow } from './window.ts';

/** Records that a call asks for, before paging: positions `low` to `high` of an order. */
export interface View {
  sorted: Sorted;
  low: number;
  high: number;
  /** Number a record stands at in this order. */
  of(row: Row): number;
  descending: boolean;
}

const clocks: Record<Clock, (row: Row) => number> = {
  created: (row) => row.created,
  updated: (row) => row.updated,
  serial: (row) => row.serial,
  version: (row) => row.version,
};

interface Kept {
  revision: number;
  key: string;
  sorted: Sorted;
}

/** Filtered views of a list that were asked for last: pages of one query find theirs ready. */
const kept = new WeakMap<List, Kept[]>();
const keptViews = 8;

/** What a call asks for. @throws Refusal for a window that the platform does not serve */
export function view(api: Api, list: List, call: Call, now: number, byVersion = false): View {
  const { params } = call;
  const asked = byVersion ? null : readWindow(api, params, now);
  const clock = byVersion ? 'version' : (asked?.clock ?? api.clock ?? 'serial');
  const order = typeof api.order === 'function' ? api.order(params) : api.order;
  const descending = !byVersion && order === 'descending';
  const group = api.group?.(params);
  const select = api.select?.(params);
  if (api.of === 'gone') return whole(list.sorted('gone'), (row) => row.gone ?? 0, asked, descending);
  if (!group && !select) return whole(list.sorted(clock), clocks[clock], asked, descending);
  const key = JSON.stringify([call.api, clock, group, params]);
  const views = kept.get(list) ?? [];
  kept.set(list, views);
  let found = views.find((one) => one.key === key && one.revision === list.revision);
  if (!found) {
    const rows = group ? list.group(group.by, group.key) : list.sorted(clock).rows;
    found = {
      key,
      revision: list.revision,
      sorted: new Sorted(clocks[clock], select ? rows.filter(select) : [...rows]),
    };
    views.unshift(found);
    views.length = Math.min(views.length, keptViews);
  }
  return whole(found.sorted, clocks[clock], asked, descending);
}

function whole(
  sorted: Sorted,
  of: (row: Row) => number,
  asked: { from: number; to: number } | null,
  descending: boolean,
): View {
  const low = asked ? sorted.find(asked.from) : 0;
  const high = asked ? sorted.find(asked.to + 1) : sorted.length;
  return { sorted, low, high: Math.max(low, high), of, descending };
}

/** Records of a view from position `start` on, in its order. */
export function slice({ sorted, low, high, descending }: View, start: number, count: number): Row[] {
  if (!descending) return sorted.rows.slice(Math.min(high, low + start), Math.min(high, low + start + count));
  return sorted.rows.slice(Math.max(low, high - start - count), Math.max(low, high - start)).reverse();
}
