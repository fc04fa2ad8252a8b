import type { Connector, Stream, TimeFormat } from '../shape.ts';
import type { Problem } from './rules.ts';

export const quoted = (value: unknown) => JSON.stringify(value);
export const none = 'nothing';

/** What contradicts itself inside a stream, or between it and others. */
export function* streamProblems(connector: Connector, name: string): Generator<Problem> {
  const stream = connector.streams[name] as Stream;
  const found = [
    ...sourceProblems(connector, stream),
    ...rowProblems(stream),
    ...pagingProblems(stream),
    ...windowProblems(stream),
    ...parameterProblems(stream),
    ...insteadProblems(stream),
    ...idProblems(stream),
    ...neighbourProblems(connector, name, stream),
  ];
  for (const problem of found) yield { ...problem, at: `streams.${name}.${problem.at}` };
}

function* sourceProblems({ settings }: Connector, { call, sql, paging, emptyHas }: Stream): Generator<Problem> {
  if (!call && !sql) yield { at: 'call', got: none, accepted: 'a call, or sql' };
  if (call && sql) yield { at: 'sql', got: 'an object', accepted: 'nothing, since call is there' };
  if (sql && paging.kind !== 'keyset')
    yield { at: 'paging.kind', got: quoted(paging.kind), accepted: 'keyset, since sql is read' };
  if (!sql && paging.kind === 'keyset')
    yield { at: 'paging.kind', got: '"keyset"', accepted: 'another kind: keyset reads sql alone' };
  if (!sql) return;
  if (emptyHas !== undefined)
    yield { at: 'emptyHas', got: quoted(emptyHas), accepted: 'nothing, since sql is read: a table is there or not' };
  if (!settings.databaseUrl?.secret)
    yield {
      at: 'sql',
      got: 'an object',
      accepted: 'nothing, unless settings has the secret databaseUrl, the address of the source',
    };
  for (const [i, column] of sql.keyset.entries())
    if (!sql.select.includes(column))
      yield { at: `sql.keyset.${i}`, got: quoted(column), accepted: `a column of select: ${sql.select.join(', ')}` };
}

function* rowProblems({ key, time, over, columns, jsonText, deletes, paging }: Stream): Generator<Problem> {
  if (paging.kind === 'custom' && deletes.kind === 'sweep')
    yield {
      at: 'deletes.kind',
      got: '"sweep"',
      accepted: 'status, listed or none: a strategy of your own proves nothing about who is missing',
    };
  const keys = [key].flat();
  for (const [i, path] of keys.entries()) {
    const at = Array.isArray(key) ? `key.${i}` : 'key';
    if (path === '$over' ? !over : path.startsWith('$'))
      yield { at, got: quoted(path), accepted: 'a path of the row, or $over where the stream has over' };
    if (path === '' && keys.length > 1)
      yield { at, got: "''", accepted: 'a path inside the row, since there are several' };
    if (keys.indexOf(path) < i) yield { at, got: quoted(path), accepted: 'a path that does not stand there twice' };
  }
  const inside = 'a path inside the row';
  if (time && isOutside(time.path)) yield { at: 'time.path', got: quoted(time.path), accepted: inside };
  for (const [name, { path, type, format }] of Object.entries(columns)) {
    if (path.startsWith('$'))
      yield { at: `columns.${name}.path`, got: quoted(path), accepted: `${inside}: columns fill from data` };
    if (format && type !== 'timestamptz')
      yield { at: `columns.${name}.format`, got: quoted(format), accepted: `nothing, since type is ${type}` };
  }
  for (const [i, path] of (jsonText ?? []).entries())
    if (isOutside(path)) yield { at: `jsonText.${i}`, got: quoted(path), accepted: inside };
  if (deletes.kind === 'status' && isOutside(deletes.path))
    yield { at: 'deletes.path', got: quoted(deletes.path), accepted: inside };
}

const isOutside = (path: string) => path === '' || path.startsWith('$');

function* pagingProblems({ paging, time, window, over }: Stream): Generator<Problem> {
  if (paging.kind === 'version' && paging.overlapMs !== undefined) {
    const at = 'paging.overlapMs';
    const got = String(paging.overlapMs);
    if (!time) yield { at, got, accepted: 'nothing, unless time says when a row changed' };
    if (window || over) yield { at, got, accepted: `nothing, since ${window ? 'window' : 'over'} is there` };
  }
  if (paging.kind !== 'page') return;
  const { order, total, deepest, size } = paging;
  if (order !== 'fixed' && total === undefined)
    yield {
      at: 'paging.total',
      got: none,
      accepted: `a path: order ${order} is read last page first, which needs the count of all rows; or order fixed`,
    };
  if (deepest?.rows !== undefined && deepest.rows < size.rows)
    yield { at: 'paging.deepest.rows', got: String(deepest.rows), accepted: `at least one page: ${size.rows}` };
}

/** Shortest step that a format can say, ms. */
const stepsMs: Record<TimeFormat, number> = { ms: 1, s: 1_000, iso: 1, local: 1_000, day: 86_400_000 };
const usualLeastMs = 1_000;

function* windowProblems({ window, deletes, sql, paging }: Stream): Generator<Problem> {
  if (sql?.count && !window) yield { at: 'sql.count', got: 'true', accepted: 'false: without a window nothing is cut' };
  if (!window) return;
  if (window.count && sql)
    yield { at: 'window.count', got: 'an object', accepted: 'nothing, since sql is read: sql.count counts' };
  if (window.count && 'total' in paging && paging.total !== undefined)
    yield {
      at: 'window.count',
      got: 'an object',
      accepted: 'nothing: the first page tells the total that paging.total names',
    };
  if (window.beginning !== undefined && window.floorMs !== undefined)
    yield {
      at: 'window.beginning',
      got: quoted(window.beginning),
      accepted: 'nothing, since window.floorMs says how far back the platform serves',
    };
  const { format, capMs, leastMs = usualLeastMs, from, to } = window;
  if (from === to) yield { at: 'window.to', got: quoted(to), accepted: 'another parameter than window.from' };
  if (capMs < leastMs)
    yield { at: 'window.capMs', got: String(capMs), accepted: `at least window.leastMs: ${leastMs}` };
  if (leastMs < stepsMs[format])
    yield {
      at: 'window.leastMs',
      got: String(leastMs),
      accepted: `at least ${stepsMs[format]}: format ${format} says nothing shorter`,
    };
  if (deletes.kind === 'sweep')
    yield {
      at: 'deletes.kind',
      got: '"sweep"',
      accepted:
        'status, listed or none, since window is there: a row that changes during a pass leaves its windows and would be taken for gone',
    };
}

/** Parameters that the engine sets; one that is set twice would lose a value. */
function* parameterProblems({ paging, window, over }: Stream): Generator<Problem> {
  const set = new Map<string, string>();
  const size = 'size' in paging ? paging.size.param : undefined;
  const given: [string, string | undefined][] = [
    ['paging.param', 'param' in paging ? paging.param : undefined],
    ['paging.pageParam', paging.kind === 'cursor' ? paging.pageParam : undefined],
    ['paging.size.param', size],
    ['window.from', window?.from],
    ['window.to', window && window.to !== window.from ? window.to : undefined],
    ['over.param', over?.param],
  ];
  for (const [at, name] of given) {
    if (name === undefined) continue;
    const before = set.get(name);
    if (before !== undefined) yield { at, got: quoted(name), accepted: `another parameter than that of ${before}` };
    else set.set(name, at);
  }
}

function* insteadProblems({ instead, call, window, over, paging }: Stream): Generator<Problem> {
  if (!instead) return;
  const taken = window ? 'window, which is split' : over ? 'over' : call ? undefined : 'sql';
  if (taken) yield { at: 'instead', got: 'an object', accepted: `nothing, since the stream has ${taken}` };
  if ('param' in paging && paging.param === instead.over.param)
    yield { at: 'instead.over.param', got: quoted(paging.param), accepted: 'another parameter than that of paging' };
}

/** A record that did not come must be told from an id that has none. */
function* idProblems({ key, over }: Stream): Generator<Problem> {
  if (over?.kind !== 'each') return;
  const { brings, batch } = over;
  const keys = [key].flat();
  if (keys.includes('$over') && batch > 1)
    yield { at: 'over.batch', got: String(batch), accepted: '1, since key names $over' };
  const told = keys.length > 1 ? 'several' : keys[0] === '$over' ? 'one' : undefined;
  if (told && brings)
    yield { at: 'over.brings', got: quoted(brings), accepted: `nothing, since key tells it: ${told}` };
  if (!told && !brings)
    yield {
      at: 'over.brings',
      got: none,
      accepted: 'one, where key is the id that is asked for, or several: the records that belong to an id',
    };
}

function* neighbourProblems({ streams }: Connector, name: string, { over, deletes }: Stream): Generator<Problem> {
  const others = Object.keys(streams).filter((other) => other !== name);
  const accepted =
    others.length > 0 ? `another stream: ${others.join(', ')}` : 'another stream, of which there is none';
  if (deletes.kind === 'listed' && !others.includes(deletes.by))
    yield { at: 'deletes.by', got: quoted(deletes.by), accepted };
  if (over?.kind !== 'each') return;
  if (!others.includes(over.stream)) {
    yield { at: 'over.stream', got: quoted(over.stream), accepted };
    return;
  }
  const way = [name];
  for (let at: string | undefined = over.stream; at !== undefined && !way.slice(1).includes(at); ) {
    way.push(at);
    if (at === name) {
      const told = `${quoted(over.stream)} (${way.join(' is read over ')})`;
      yield { at: 'over.stream', got: told, accepted: 'a stream that is not itself read over this one' };
      return;
    }
    const next: Stream['over'] = streams[at]?.over;
    at = next?.kind === 'each' ? next.stream : undefined;
  }
}
