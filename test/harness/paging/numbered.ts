import type { Paging } from '../../../connectors/shape.ts';
import { byId, type Family, list, newest, type Order, oldest, pageRows, scattered, size } from './family.ts';

function numbered(order: Order, total = true, by?: 'created'): Family['serve'] {
  return (source, query) => {
    const rows = list(source, query, order, by);
    const start = (Number(query.page) - 1) * pageRows;
    return { body: { rows: rows.slice(start, start + pageRows), ...(total && { total: rows.length }) } };
  };
}

function shifted(order: Order, told: 'total' | 'more' | 'nothing'): Family['serve'] {
  return (source, query) => {
    const rows = list(source, query, order);
    const start = Number(query.start);
    const end = start + pageRows;
    const more = { total: { total: rows.length }, more: { more: end < rows.length }, nothing: {} };
    return { body: { rows: rows.slice(start, end), ...more[told] } };
  };
}

type ByPage = Extract<Paging, { kind: 'page' }>;
type ByOffset = Extract<Paging, { kind: 'offset' }>;

const page = (order: ByPage['order'], rest: Partial<ByPage> = { total: 'total' }): Paging => ({
  kind: 'page',
  param: 'page',
  first: 1,
  size,
  order,
  ...rest,
});
const offset = (order: ByOffset['order'], rest: Partial<ByOffset>): Paging => ({
  kind: 'offset',
  param: 'start',
  first: 0,
  size,
  order,
  ...rest,
});
const total = { total: 'total' };

/** Lists by page number and by row offset. */
export const numberedFamilies: Family[] = [
  {
    name: 'page, ascending window',
    paging: page('ascending'),
    window: 'modified',
    sure: true,
    serve: numbered(oldest),
  },
  {
    name: 'page, descending window',
    paging: page('descending'),
    window: 'modified',
    sure: true,
    serve: numbered(newest),
  },
  {
    name: 'page, window of unknown order',
    paging: page('unknown'),
    window: 'modified',
    sure: false,
    serve: numbered(scattered),
  },
  {
    name: 'page, window by creation, unknown order',
    paging: page('unknown'),
    window: 'created',
    sure: false,
    unsafe: true,
    serve: numbered(scattered, true, 'created'),
  },
  { name: 'page, ascending', paging: page('ascending'), window: null, sure: false, serve: numbered(oldest) },
  {
    name: 'page, descending',
    paging: page('descending'),
    window: null,
    sure: false,
    unsafe: true,
    serve: numbered(newest),
  },
  {
    name: 'page, unknown order',
    paging: page('unknown'),
    window: null,
    sure: false,
    unsafe: true,
    serve: numbered(scattered),
  },
  { name: 'page, fixed', paging: page('fixed'), window: null, sure: false, serve: numbered(byId) },
  {
    name: 'page, fixed, no total',
    paging: page('fixed', {}),
    window: null,
    sure: true,
    serve: numbered(byId, false),
  },
  { name: 'offset, fixed', paging: offset('fixed', total), window: null, sure: true, serve: shifted(byId, 'total') },
  {
    name: 'offset, fixed, no total',
    paging: offset('fixed', {}),
    window: null,
    sure: true,
    serve: shifted(byId, 'nothing'),
  },
  {
    name: 'offset, fixed, flag',
    paging: offset('fixed', { more: 'more' }),
    window: null,
    sure: true,
    serve: shifted(byId, 'more'),
  },
  {
    name: 'offset, window of unknown order',
    paging: offset('unknown', total),
    window: 'modified',
    sure: false,
    serve: shifted(newest, 'total'),
  },
  {
    name: 'offset, unknown order',
    paging: offset('unknown', total),
    window: null,
    sure: false,
    unsafe: true,
    serve: shifted(scattered, 'total'),
  },
];
