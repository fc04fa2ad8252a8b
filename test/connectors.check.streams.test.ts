import { describe, test } from 'vitest';
import { refused, type WrongPart } from './harness/sound-connector.ts';

const dayMs = 86_400_000;
const streams: WrongPart[] = [
  ['nothing to read', 'streams.gone.call', undefined, 'got nothing, accepted a call, or sql'],
  [
    'two things to read',
    'streams.pushed.call',
    { api: 'x', version: '1', params: {} },
    '~streams.pushed.sql: got an object, accepted nothing, since call is there',
  ],
  [
    'SQL without keyset',
    'streams.pushed.paging',
    { kind: 'whole' },
    '~streams.pushed.paging.kind: got "whole", accepted keyset, since sql is read',
  ],
  [
    'a keyset without SQL',
    'streams.gone.paging',
    { kind: 'keyset', size: { rows: 1 } },
    '~streams.gone.paging.kind: got "keyset", accepted another kind: keyset reads sql alone',
  ],
  [
    'an answer of SQL',
    'streams.pushed.emptyHas',
    'more',
    '~streams.pushed.emptyHas: got "more", accepted nothing, since sql is read: a table is there or not',
  ],
  [
    'SQL without database',
    'settings.databaseUrl',
    undefined,
    '~streams.pushed.sql: got an object, accepted nothing, unless settings has the secret databaseUrl',
  ],
  [
    'a keyset that is not read',
    'streams.pushed.sql.keyset',
    ['created'],
    '~streams.pushed.sql.keyset.0: got "created", accepted a column of select: tid, jdp_modified',
  ],
  [
    'a name that is no SQL name',
    'streams.pushed.sql.from',
    'trades; DROP',
    'got "trades; DROP", accepted a name without spaces and quotes',
  ],
  [
    '$over without over',
    'streams.orders.key',
    '$over',
    'got "$over", accepted a path of the row, or $over where the stream has over',
  ],
  [
    'a key twice',
    'streams.details.key',
    ['no', 'no'],
    '~streams.details.key.1: got "no", accepted a path that does not stand there twice',
  ],
  [
    'a key of the whole row and more',
    'streams.details.key',
    ['no', ''],
    `~streams.details.key.1: got '', accepted a path inside the row, since there are several`,
  ],
  ['no key', 'streams.details.key', [], 'got a list of 0, accepted a path or a list of paths'],
  ['a time that is the row', 'streams.orders.time.path', '', 'got "", accepted a path inside the row'],
  [
    'a column outside of the row',
    'streams.details.columns.order_id',
    { path: '$over', type: 'text' },
    '~streams.details.columns.order_id.path: got "$over", accepted a path inside the row: columns fill from data',
  ],
  [
    'a format for no moment',
    'streams.orders.columns.paid.type',
    'bigint',
    '~streams.orders.columns.paid.format: got "local", accepted nothing, since type is bigint',
  ],
  [
    'a text that is the row',
    'streams.orders.jsonText',
    [''],
    '~streams.orders.jsonText.0: got "", accepted a path inside the row',
  ],
  ['a status that is the row', 'streams.details.deletes.path', '', 'got "", accepted a path inside the row'],
  [
    'moving pages without a count',
    'streams.orders.paging.total',
    undefined,
    'got nothing, accepted a path: order descending is read last page first, which needs the count of all rows; or order fixed',
  ],
  [
    'an overlap of row versions without a time',
    'streams.gone.paging',
    { kind: 'version', param: 'since', path: 'ts', size: { rows: 50 }, overlapMs: 60_000 },
    '~streams.gone.paging.overlapMs: got 60000, accepted nothing, unless time says when a row changed',
  ],
  [
    'an overlap of row versions in a window',
    'streams.orders.paging',
    { kind: 'version', param: 'since', path: 'ts', size: { rows: 50 }, overlapMs: 60_000 },
    '~streams.orders.paging.overlapMs: got 60000, accepted nothing, since window is there',
  ],
  ['a depth of less than a page', 'streams.orders.paging.deepest.rows', 99, 'got 99, accepted at least one page: 100'],
  [
    'a window of one parameter',
    'streams.orders.window.to',
    'from',
    'got "from", accepted another parameter than window.from',
  ],
  [
    'a window shorter than its least part',
    'streams.orders.window.capMs',
    999,
    'got 999, accepted at least window.leastMs: 1000',
  ],
  [
    'a part that the format cannot say',
    'streams.orders.window.format',
    'day',
    '~streams.orders.window.leastMs: got 1000, accepted at least 86400000: format day says nothing shorter',
  ],
  [
    'a count beside a total',
    'streams.orders.window.count',
    { total: 'n' },
    'got an object, accepted nothing: the first page tells the total that paging.total names',
  ],
  [
    'a count of a table by a call',
    'streams.pushed.window',
    { from: 'a', to: 'b', format: 'iso', capMs: dayMs, overlapMs: 0, lagMs: 0, count: { total: 'n' } },
    '~streams.pushed.window.count: got an object, accepted nothing, since sql is read: sql.count counts',
  ],
  [
    'a count of no window',
    'streams.pushed.sql.count',
    true,
    'got true, accepted false: without a window nothing is cut',
  ],
  [
    'a zone that is none',
    'streams.pushed.sql.zone',
    'Asia/Shangri-La',
    'got "Asia/Shangri-La", accepted a time zone such as Asia/Shanghai',
  ],
  [
    'a sweep over windows',
    'streams.orders.deletes',
    { kind: 'sweep' },
    '~streams.orders.deletes.kind: got "sweep", accepted status, listed or none, since window is there: a row that changes during a pass leaves its windows and would be taken for gone',
  ],
  [
    'a parameter set twice',
    'streams.orders.window.from',
    'page',
    'got "page", accepted another parameter than that of paging.param',
  ],
  [
    'deletions listed by nobody',
    'streams.orders.deletes.by',
    'goon',
    'got "goon", accepted another stream: details, gone, pushed',
  ],
  [
    'deletions listed by itself',
    'streams.gone.deletes',
    { kind: 'listed', by: 'gone' },
    '~streams.gone.deletes.by: got "gone", accepted another stream: orders, details, pushed',
  ],
  [
    'ids that may or may not have a record',
    'streams.details.key',
    'no',
    '~streams.details.over.brings: got nothing, accepted one, where key is the id that is asked for, or several: the records that belong to an id',
  ],
  [
    'records an id said twice',
    'streams.details.over.brings',
    'one',
    'got "one", accepted nothing, since key tells it: several',
  ],
  ['ids by the batch in a key', 'streams.details.over.batch', 2, 'got 2, accepted 1, since key names $over'],
  [
    'another way where a window is split',
    'streams.orders.instead',
    { params: {}, over: { kind: 'tree', root: '0', param: 'below' } },
    '~streams.orders.instead: got an object, accepted nothing, since the stream has window, which is split',
  ],
  [
    'ids of no stream',
    'streams.details.over.stream',
    'order',
    'got "order", accepted another stream: orders, gone, pushed',
  ],
  [
    'ids that go in a circle',
    'streams.orders.over',
    { kind: 'each', stream: 'details', param: 'd', batch: 1, when: 'all', brings: 'one' },
    '~streams.orders.over.stream: got "details" (orders is read over details is read over orders), accepted a stream that is not itself read over this one',
  ],
];

describe('checkConnector, inside a stream', () => {
  test.each(streams)('refuses %s', refused);
});
