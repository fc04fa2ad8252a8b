import { connectorOf } from '../../../connectors/index.ts';
import type { Connector, CustomPage, Stream, VerdictRule } from '../../../connectors/shape.ts';

/** A good connector with one thing wrong, as somebody might write it. It passes the check at load. */
export interface Spoiled {
  /** The check that must find it. */
  check: string;
  /** What the check says then. */
  found: string;
  /** What is wrong. */
  wrong: string;
  connector: Connector;
  /** The stream that shows it. */
  stream: string;
}

/** What each check says of the connector that it finds. */
const foundBy: Readonly<Record<string, string>> = {
  'a first page that is the only one': '3 at the source, 1 read',
  'pages up to the last one': '35 at the source, 10 read',
  'an empty list': "reading 'commentId'",
  'exactly one full page, and one row more': 'refused the call for coupons',
  'windows that the platform takes, as far back as it serves': 'took for wrong',
  'a window that the platform refuses as too wide': 'windows that were split: expected +0 to be 1',
  'a window deeper than the platform serves': 'took for wrong',
  'a row on two pages': '35 at the source, 20 read',
  'a row that moves between pages': 'rows lost in silence',
  'a row that is removed between pages': 'rows lost in silence',
  'pages beyond the end that are the first page again': 'page 7 came before',
  'a token that ends in the middle': 'its connector does not know',
  'HTTP 401 in the middle': 'calls for a token',
  'HTTP 429 with Retry-After': 'waits: expected []',
  "the platform's own refusal of too many calls": 'not with a wait',
  'a cursor that ended, or that the platform does not know':
    "expected [ 'BadAnswer' ] to deeply equal [ 'ChainBroken' ]",
  'an error with HTTP 200: the platform is busy': 'waits and tries: expected +0',
  'an error with HTTP 200 that is no empty list': 'should have failed, and ended with 0 rows',
  'a success without its list is no empty list': 'should have failed, and ended with 0 rows',
  'a permission that is missing parks the stream, and others go on': "expected 'BadAnswer' to be 'Forbidden'",
  'a body that is cut on the wire': "expected [] to deeply equal [ 'Unavailable' ]",
  'JSON that is cut': "expected [] to deeply equal [ 'BadAnswer' ]",
  'HTML with HTTP 200': "expected [] to deeply equal [ 'BadAnswer' ]",
  'a cursor or a page that does not advance': 'should have failed, and ended with 20 rows',
  'a second reading writes nothing': 'the second reading: expected',
};

function spoil(
  check: string,
  wrong: string,
  at: string,
  change: (stream: Stream, connector: Connector) => object,
): Spoiled {
  const [platform = '', stream = ''] = at.split('.');
  const good = connectorOf(platform);
  const changed = { ...good.streams[stream]!, ...change(good.streams[stream]!, good) };
  return {
    check,
    wrong,
    found: foundBy[check]!,
    stream,
    connector: { ...good, streams: { ...good.streams, [stream]: changed } },
  };
}

function spoilRules(
  check: string,
  wrong: string,
  at: string,
  change: (rules: VerdictRule[]) => VerdictRule[],
): Spoiled {
  const [platform = '', stream = ''] = at.split('.');
  const good = connectorOf(platform);
  const envelope = { ...good.envelope, rules: change([...good.envelope.rules]) };
  return { check, wrong, found: foundBy[check]!, stream, connector: { ...good, envelope } };
}

function looksAtHttp(one: Spoiled): Spoiled {
  const envelope = { ...one.connector.envelope, shapes: [{ ok: { absent: 'error' }, data: 'data' }] };
  return { ...one, connector: { ...one.connector, envelope } };
}

const without = (verdict: VerdictRule['verdict']) => (rules: VerdictRule[]) =>
  rules.filter((rule) => rule.verdict !== verdict);
const first = (rule: VerdictRule) => (rules: VerdictRule[]) => [rule, ...rules];
const paging =
  (change: object) =>
  ({ paging }: Stream) => ({ paging: { ...paging, ...change } });

/** Comments by offset in steps of its own, until `isLast` says so. */
const byOwnSteps = (isLast: (page: CustomPage) => boolean) => (): Partial<Stream> => ({
  deletes: { kind: 'none', why: 'a strategy of its own proves nothing' },
  paging: {
    kind: 'custom',
    size: { param: 'limit', rows: 10 },
    step(seen) {
      if (seen !== null && isLast(seen)) return null;
      const offset = seen === null ? 0 : (seen.state as number) + seen.rows;
      return { params: { offset }, state: offset };
    },
  },
});

/** Orders by cursor, ended by the word or by a cursor that stands still. */
const untilItStands = (): Partial<Stream> => ({
  paging: {
    kind: 'custom',
    size: { param: 'pageSize', rows: 10 },
    step(seen) {
      if (seen === null) return { params: { cursor: '' }, state: '' };
      const { cursor } = seen.data as { cursor: string };
      return cursor === 'nomore' || cursor === seen.state ? null : { params: { cursor }, state: cursor };
    },
  },
});

const upwards = paging({ order: 'fixed', total: undefined });

/** Items page by page from the first one, which loses what moves or leaves behind it. */
const upwardsByOwnSteps = (): Partial<Stream> => ({
  deletes: { kind: 'none', why: 'a strategy of its own proves nothing' },
  paging: {
    kind: 'custom',
    size: { param: 'page_size', rows: 10 },
    step(seen) {
      if (seen !== null && seen.rows < 10) return null;
      const page = seen === null ? 1 : (seen.state as number) + 1;
      return { params: { page_no: page }, state: page };
    },
  },
});

/** One for each check: without them a suite that finds nothing would pass. */
export const spoiled: readonly Spoiled[] = [
  spoil('a first page that is the only one', 'it takes the first row for the list', 'kuaishou.orders', () => ({
    rows: 'orderList.0',
  })),
  spoil(
    'pages up to the last one',
    'it never finds the next cursor',
    'kuaishou.orders',
    paging({ next: 'nextCursor', sentinel: undefined }),
  ),
  spoil(
    'an empty list',
    'it counts on a first row',
    'kuaishou.comments',
    byOwnSteps(({ data, rows }) => {
      const { rootComment } = data as { rootComment: { commentId: number }[] };
      return rootComment[0]!.commentId === 0 || rows < 10;
    }),
  ),
  spoil('exactly one full page, and one row more', 'it asks for too many rows', 'kuaishou.coupons', ({ paging }) => ({
    paging: { ...paging, size: { param: 'pageSize', rows: 51 } },
  })),
  spoil(
    'windows that the platform takes, as far back as it serves',
    'its windows are too wide',
    'taobao.refunds',
    ({ window }) => ({ window: { ...window, capMs: 3 * 86_400_000 } }),
  ),
  spoilRules(
    'a window that the platform refuses as too wide',
    'it does not know that refusal',
    'kuaishou.orders',
    without('too-big'),
  ),
  spoil(
    'a window deeper than the platform serves',
    'it does not know how deep pages go',
    'youzan.trades',
    paging({ deepest: undefined }),
  ),
  spoil(
    'a row on two pages',
    'it takes a page of another length for the last',
    'kuaishou.comments',
    byOwnSteps(({ rows }) => rows !== 10),
  ),
  spoil('a row that moves between pages', 'it reads upwards what moves', 'youzan.items_onsale', upwardsByOwnSteps),
  spoil(
    'a row that is removed between pages',
    'it reads upwards what shrinks',
    'youzan.items_onsale',
    upwardsByOwnSteps,
  ),
  spoil(
    'pages beyond the end that are the first page again',
    'it reads until nothing comes',
    'kuaishou.items',
    upwards,
  ),
  spoilRules('a token that ends in the middle', 'it does not know that refusal', 'kuaishou.orders', without('token')),
  spoilRules(
    'HTTP 401 in the middle',
    'it takes that for its own mistake',
    'kuaishou.orders',
    first({ status: [401], verdict: 'bad-request' }),
  ),
  spoilRules(
    'HTTP 429 with Retry-After',
    'it takes that for an empty page',
    'kuaishou.orders',
    first({ status: [429], verdict: 'empty' }),
  ),
  spoilRules(
    "the platform's own refusal of too many calls",
    'it does not know that refusal',
    'kuaishou.orders',
    without('retry-after'),
  ),
  spoilRules(
    'a cursor that ended, or that the platform does not know',
    'it does not know that refusal',
    'kuaishou.orders',
    without('bad-request'),
  ),
  spoilRules(
    'an error with HTTP 200: the platform is busy',
    'it takes that for an empty page',
    'kuaishou.orders',
    (rules) =>
      rules.map(({ waitMs, ...rule }) =>
        rule.verdict === 'busy' ? { ...rule, verdict: 'empty' } : { ...rule, waitMs },
      ),
  ),
  looksAtHttp(
    spoil('an error with HTTP 200 that is no empty list', 'it looks at nothing but HTTP', 'kuaishou.orders', () => ({
      emptyHas: '',
    })),
  ),
  spoil('a success without its list is no empty list', 'it takes any success for a list', 'kuaishou.orders', () => ({
    emptyHas: '',
  })),
  spoilRules(
    'a permission that is missing parks the stream, and others go on',
    'it does not know that refusal',
    'kuaishou.orders',
    without('permission'),
  ),
  spoil(
    'a body that is cut on the wire',
    'it ends at the first page',
    'kuaishou.comments',
    byOwnSteps(() => true),
  ),
  spoilRules(
    'JSON that is cut',
    'it takes what it cannot read for an empty page',
    'kuaishou.comments',
    first({ notJson: true, verdict: 'empty' }),
  ),
  spoilRules(
    'HTML with HTTP 200',
    'it takes what it cannot read for an empty page',
    'kuaishou.orders',
    first({ notJson: true, text: 'sign in', verdict: 'empty' }),
  ),
  spoil(
    'a cursor or a page that does not advance',
    'it takes a cursor that stands for the end',
    'kuaishou.orders',
    untilItStands,
  ),
  spoil('a second reading writes nothing', 'it takes the answer for the row', 'kuaishou.orders', () => ({
    rows: '',
    key: 'cursor',
    columns: {},
  })),
];
