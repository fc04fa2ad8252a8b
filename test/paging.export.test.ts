import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { RetryLater } from '../activities/errors.ts';
import type { Cursor, Page } from '../activities/http/paginate.ts';
import { closeAgents } from '../activities/http/request.ts';
import type { Paging } from '../connectors/shape.ts';
import { carried, idsOf, open, row, rowsOf } from './harness/paging/scripted.ts';
import { PagingServer, type Served } from './harness/paging/server.ts';

const server = new PagingServer();
const asked: string[] = [];
let file: Served;
let ready: boolean[];
beforeAll(() => server.open());
beforeEach(() => {
  asked.length = 0;
  ready = [true];
  server.handle = ({ task }, path) => {
    asked.push(task === undefined ? path : `${path} ${task}`);
    if (path === '/list') return { body: { job: { id: 'j1' } } };
    if (path === '/file') return file;
    return ready.shift() ? { body: { state: 'DONE', file: `${server.url}/file` } } : { body: { state: 'RUNNING' } };
  };
});
afterAll(async () => {
  await closeAgents();
  await server.close();
});

type ByExport = Extract<Paging, { kind: 'export' }>;
function byExport(format: ByExport['format'], everyMs = 1): Paging {
  const done = { path: 'state', is: ['DONE'] };
  return {
    kind: 'export',
    job: 'job.id',
    format,
    poll: { api: 'check', params: {}, param: 'task', everyMs, done, url: 'file' },
  };
}

async function readFile(paging: Paging, cursor: Cursor | null = null, shouldEnd = () => false): Promise<Page[]> {
  const pages: Page[] = [];
  for await (const page of open(paging, server.client(), { at: { cursor, shouldEnd } })) pages.push(page);
  return pages;
}
const rowsIn = (pages: Page[]) => pages.flatMap(({ rows }) => rows);

describe('export', () => {
  it('orders, asks until it is ready, fetches', async () => {
    ready = [false, false, true];
    file = { body: '{"id":1}\n\n{"id":12345678901234567890}\r\n' };
    const pages = await readFile(byExport('jsonl'));
    expect(asked).toEqual(['/list', '/check j1', '/check j1', '/check j1', '/file']);
    expect(rowsIn(pages), 'long numbers stay whole').toEqual([{ id: 1 }, { id: '12345678901234567890' }]);
    expect(pages.at(-1)).toMatchObject({
      ended: { sign: 'the end of the file', doubt: null },
      position: 'file behind row 0',
    });
    expect(pages.reduce((sum, { requests }) => sum + requests, 0)).toBe(4);
  });

  it('leaves a long wait to the workflow, and asks for the same job afterwards', async () => {
    ready = [false, true];
    file = { body: '{"id":1}' };
    const pages: Page[] = [];
    const read = async () => {
      for await (const page of open(byExport('jsonl', 30_000), server.client())) pages.push(page);
    };
    await expect(read()).rejects.toThrow(new RetryLater(30_000));
    expect(rowsIn(pages)).toEqual([]);
    const rest = await readFile(byExport('jsonl', 30_000), carried((pages.at(-1) as Page).cursor));
    expect(rowsIn(rest)).toEqual([{ id: 1 }]);
    expect(asked).toEqual(['/list', '/check j1', '/check j1', '/file']);
  });

  it('hands out 1,000 rows at a time and goes on behind them, with a fresh address', async () => {
    ready = [true, true, true];
    file = { body: JSON.stringify({ rows: rowsOf(0, 2_500) }) };
    let stops = 0;
    const first = await readFile(byExport('json'), null, () => ++stops === 2);
    const rest = await readFile(byExport('json'), carried((first.at(-1) as Page).cursor));
    expect([...first, ...rest].map(({ rows }) => rows.length)).toEqual([0, 1_000, 1_000, 500]);
    expect(idsOf(rowsIn([...first, ...rest]))).toEqual(idsOf(rowsOf(0, 2_500)));
    expect(asked).toEqual(['/list', '/check j1', '/file', '/check j1', '/file']);
  });

  it.each<[string, ByExport['format'], Served['body'], unknown[]]>([
    ['gzip', 'jsonl', gzipSync('{"id":1}\n{"id":2}'), [row(1), row(2)]],
    ['an empty file', 'jsonl', '', []],
    ['a file of a header', 'csv', 'id,name\r\n', []],
    ['a line that is no JSON, alone', 'jsonl', '{"id":1}\n{"id":\n{"id":3}', [row(1), '{"id":', row(3)]],
    [
      'CSV with quotes, commas, line ends, and a byte order mark',
      'csv',
      '\uFEFFid,name\r\n1,"a ""b"", c"\r\n2,"x\r\ny"\n3,\n',
      [
        { id: '1', name: 'a "b", c' },
        { id: '2', name: 'x\r\ny' },
        { id: '3', name: '' },
      ],
    ],
    [
      'a CSV row of another length, as a list',
      'csv',
      'id,name\n1\n2,b,c\n3,d',
      [['1'], ['2', 'b', 'c'], { id: '3', name: 'd' }],
    ],
    ['a CSV of one column with an empty row', 'csv', 'id\n1\n\n2', [{ id: '1' }, { id: '' }, { id: '2' }]],
  ])('reads %s', async (_, format, body, rows) => {
    file = { body };
    expect(rowsIn(await readFile(byExport(format)))).toEqual(rows);
  });

  it.each<[string, ByExport['format'], Served['body'], string]>([
    ['a zip archive', 'csv', Buffer.from('PK\u0003\u0004rest'), 'the file is a zip archive, accepted plain or gzip'],
    ['cut gzip', 'csv', gzipSync('id\n1').subarray(0, 12), 'the file is cut gzip'],
    ['another encoding', 'csv', Buffer.from([0x69, 0x64, 0x0a, 0xb6, 0xa9]), 'the file is not UTF-8'],
    ['cut JSON', 'json', '{"rows":[', 'the file is broken or cut JSON (9 bytes)'],
    ['a cut quote', 'csv', 'id\n"1', 'the file ends inside a quoted field: it is cut'],
    ['two columns of one name', 'csv', 'id,id\n1,2', 'column 2 of the file has no name or the name of another one'],
  ])('%s is an error', async (_, format, body, message) => {
    file = { body };
    await expect(readFile(byExport(format))).rejects.toThrow(`orders: ${message}`);
  });

  it.each([
    [403, 'ChainBroken'],
    [503, 'Unavailable'],
  ])('an address that answers %i is %s', async (status, type) => {
    file = { status, body: '' };
    await expect(readFile(byExport('csv'))).rejects.toMatchObject({ type });
  });

  it('a job without a name, one that is gone, one without an address, one that is never ready', async () => {
    const answers = (answer: (path: string) => Served) => {
      server.handle = (_, path) => answer(path);
      return readFile(byExport('csv'));
    };
    const job = { body: { job: { id: 7 } } };
    await expect(answers(() => ({ body: {} }))).rejects.toThrow('the order was answered without a job at "job.id"');
    const gone = { status: 404, body: { verdict: 'gone', code: 'E1' } };
    await expect(answers((path) => (path === '/list' ? job : gone))).rejects.toMatchObject({ type: 'ChainBroken' });
    const done = { body: { state: 'DONE', file: 'here' } };
    await expect(answers((path) => (path === '/list' ? job : done))).rejects.toThrow('no address stands at "file"');
    const cursor = { family: 'export', state: { job: 7, orderedMs: Date.now() - 25 * 3_600_000, row: 0 } } as Cursor;
    server.handle = () => ({ body: { state: 'RUNNING' } });
    await expect(readFile(byExport('csv'), cursor)).rejects.toThrow('the file is not ready 24 h after it was ordered');
  });
});
