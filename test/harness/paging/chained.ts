import { byId, type Family, list, newest, type Order, oldest, pageRows, size } from './family.ts';
import type { Query } from './server.ts';
import type { MovingSource, Row } from './source.ts';

/** A cursor that holds the place of the last row, as platforms do that keep their word. */
function keyset(order: Order): (source: MovingSource, query: Query) => { rows: Row[]; next: string; more: boolean } {
  return (source, query) => {
    const after = query.cursor ? (JSON.parse(atob(query.cursor)) as Row) : null;
    const rest = list(source, query, order).filter((row) => after === null || order(row, after) > 0);
    const rows = rest.slice(0, pageRows);
    return { rows, next: btoa(JSON.stringify(rows.at(-1) ?? after)), more: rest.length > pageRows };
  };
}

const cursor = { kind: 'cursor', param: 'cursor', size, next: 'next' } as const;

function snapshot(source: MovingSource, memory: Map<string, Row[]>): Row[] {
  const rows = memory.get('snapshot') ?? source.sorted(byId);
  memory.set('snapshot', rows);
  return rows;
}

/** Lists in one answer, by cursor, by link, by row version, by file, and by a connector's own steps. */
export const chainedFamilies: Family[] = [
  {
    name: 'whole',
    paging: { kind: 'whole' },
    window: null,
    sure: true,
    serve: (s, q) => ({ body: { rows: list(s, q, byId) } }),
  },
  {
    name: 'cursor, sentinel, page number beside it',
    paging: { ...cursor, first: '', sentinel: 'nomore', pageParam: 'page' },
    window: 'modified',
    sure: true,
    serve: (source, query) => {
      const { rows, next, more } = keyset(oldest)(source, query);
      return { body: { rows, next: more ? next : 'nomore' } };
    },
  },
  {
    name: 'cursor, flag',
    paging: { ...cursor, more: 'more', total: 'total' },
    window: null,
    sure: true,
    serve: (source, query) => ({ body: { ...keyset(byId)(source, query), total: source.rows.size } }),
  },
  {
    name: 'cursor, empty one ends, empty pages between',
    paging: cursor,
    window: 'modified',
    sure: true,
    serve: (source, query) => {
      const { rows, next, more } = keyset(newest)(source, query);
      if (source.random() < 0.2 && query.cursor) return { body: { rows: [], next: `${query.cursor} ` } };
      return { body: { rows, next: more ? next : '' } };
    },
  },
  {
    name: 'cursor, scroll',
    paging: { ...cursor, livesMs: 10_000 },
    window: null,
    sure: true,
    serve: (source, query, memory) => {
      const rows = snapshot(source, memory);
      const start = Number(query.cursor ?? 0);
      const end = start + pageRows;
      return { body: { rows: rows.slice(start, end), ...(end < rows.length && { next: String(end) }) } };
    },
  },
  {
    name: 'link in the header',
    paging: { kind: 'link', at: { header: 'link' }, size },
    window: 'modified',
    sure: true,
    serve: (source, query) => {
      const { rows, next, more } = keyset(oldest)(source, query);
      const self = new URLSearchParams(query);
      const link = `<http://${query.host}/list?${self}>; rel="self"`;
      self.set('cursor', next);
      const headers = { link: more ? `${link}, <http://${query.host}/list?${self}>; rel="next"` : link };
      return { body: { rows }, headers };
    },
  },
  {
    name: 'link in the body',
    paging: { kind: 'link', at: { path: 'next' }, size },
    window: null,
    sure: true,
    serve: (source, query) => {
      const { rows, next, more } = keyset(byId)(source, query);
      const self = new URLSearchParams({ ...query, cursor: next });
      return { body: { rows, ...(more && { next: `http://${query.host}/list?${self}` }) } };
    },
  },
  ...(['at least', 'above'] as const).map(
    (sent): Family => ({
      name: `row version, ${sent} the one sent`,
      paging: { kind: 'version', param: 'since', path: 'version', size },
      window: null,
      sure: true,
      serve: (source, { since }) => {
        const from = Number(since) + (sent === 'above' ? 1 : 0);
        return {
          body: {
            rows: source
              .sorted(
                (a, b) => a.version - b.version,
                (row) => row.version >= from,
              )
              .slice(0, pageRows),
          },
        };
      },
    }),
  ),
  {
    name: 'custom',
    paging: {
      kind: 'custom',
      size,
      step: (seen) => {
        if (seen === null) return { params: { after: 0 }, state: 0 };
        const last = ((seen.data as { rows: Row[] }).rows.at(-1)?.id ?? 0) as number;
        return seen.rows === 0 ? null : { params: { after: last }, state: last };
      },
    },
    window: null,
    sure: true,
    serve: (source, { after }) => ({
      body: { rows: source.sorted(byId, ({ id }) => id > Number(after)).slice(0, pageRows) },
    }),
  },
  {
    name: 'export',
    paging: {
      kind: 'export',
      job: 'job',
      poll: { api: 'ready', params: {}, param: 'job', everyMs: 0, done: { path: 'done', is: [true] }, url: 'url' },
      format: 'jsonl',
    },
    window: null,
    sure: true,
    serve: (source, query, memory) => {
      const rows = snapshot(source, memory);
      if (query.file) return { body: rows.map((row) => JSON.stringify(row)).join('\n') };
      if (!query.job) return { body: { job: 'j1' } };
      const done = source.random() < 0.5;
      return { body: { done, url: done ? `http://${query.host}/file?file=1` : '' } };
    },
  },
];
