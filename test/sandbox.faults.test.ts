import { afterEach, describe, expect, it } from 'vitest';
import type { Fault, PlatformSandbox } from '../sandbox/platform.ts';
import { ask, ids, openPlain as open, stopPlain, through } from './harness/plain-platform.ts';

afterEach(stopPlain);

describe('faults', () => {
  const cases: [string, Fault, (sandbox: PlatformSandbox) => Promise<void>][] = [
    [
      'status',
      { type: 'status', status: 503, body: 'away' },
      async (s) => {
        const answer = await fetch(`${s.url}/page`);
        expect([answer.status, await answer.text()]).toEqual([503, 'away']);
      },
    ],
    [
      '429',
      { type: '429', seconds: 7 },
      async (s) => {
        const answer = await fetch(`${s.url}/page`);
        expect([answer.status, answer.headers.get('retry-after')]).toEqual([429, '7']);
      },
    ],
    [
      'refuse',
      { type: 'refuse', kind: 'busy' },
      async (s) => {
        expect((await ask(s, 'page')).refused).toBe('busy');
        expect(s.requests.wrong).toBe(0);
      },
    ],
    [
      'cut',
      { type: 'cut' },
      async (s) => {
        await expect(fetch(`${s.url}/page`).then((answer) => answer.text())).rejects.toThrow();
      },
    ],
    [
      'truncated',
      { type: 'truncated' },
      async (s) => {
        await expect(fetch(`${s.url}/page`).then((answer) => answer.json())).rejects.toThrow(SyntaxError);
      },
    ],
    [
      'html',
      { type: 'html' },
      async (s) => {
        const answer = await fetch(`${s.url}/page`);
        expect([answer.status, answer.headers.get('content-type')]).toEqual([200, 'text/html; charset=utf-8']);
      },
    ],
    [
      'slow',
      { type: 'slow', ms: 50 },
      async (s) => {
        const began = performance.now();
        await ask(s, 'page');
        expect(performance.now() - began).toBeGreaterThan(45);
      },
    ],
    [
      'hang',
      { type: 'hang' },
      async (s) => {
        await expect(fetch(`${s.url}/page`, { signal: AbortSignal.timeout(50) })).rejects.toThrow('timeout');
      },
    ],
    [
      'empty',
      { type: 'empty' },
      async (s) => {
        expect(await ask(s, 'page')).toMatchObject({ rows: [], total: 45, more: false });
      },
    ],
    [
      'twice',
      { type: 'twice' },
      async (s) => {
        const [first, second] = [await ask(s, 'page', { page: 1 }), await ask(s, 'page', { page: 2 })];
        expect(ids(second)[0]).toBe(ids(first).at(-1));
        expect(ids(second)).toHaveLength(11);
      },
    ],
    [
      'moved',
      { type: 'moved', times: 1 },
      async (s) => {
        const read = await through(s, (_seen, n) => ask(s, 'page', { page: n + 1 }));
        // The record that moved to the end is read twice, and the one that slipped onto its page never.
        expect([read.length, new Set(read).size]).toEqual([45, 44]);
      },
    ],
    [
      'removed',
      { type: 'removed', times: 1, rows: 2 },
      async (s) => {
        const read = await through(s, (_seen, n) => ask(s, 'offset', { offset: n * 10 }));
        expect([read.length, s.truth('things').size]).toEqual([43, 43]);
        expect([...s.truth('things').keys()].filter((key) => !read.includes(key))).toHaveLength(2);
      },
    ],
    [
      'stuck',
      { type: 'stuck' },
      async (s) => {
        const first = await ask(s, 'cursor');
        const second = await ask(s, 'cursor', { cursor: first.next });
        expect(ids(second)).toEqual(ids(first));
        expect(second.next).toBe((await ask(s, 'cursor', { cursor: second.next })).next);
        expect(ids(await ask(s, 'page', { page: 3 }))).toEqual(ids(first));
      },
    ],
    [
      'wrap',
      { type: 'wrap' },
      async (s) => {
        expect(ids(await ask(s, 'page', { page: 6 }))).toEqual(ids(await ask(s, 'page', { page: 1 })));
      },
    ],
    [
      'total',
      { type: 'total', total: 99 },
      async (s) => {
        expect((await ask(s, 'page')).total).toBe(99);
      },
    ],
  ];
  it.each(cases)('%s', async (_name, fault, check) => {
    const sandbox = await open({ faults: [fault] });
    await check(sandbox);
    sandbox.setFaults([]);
    expect(ids(await ask(sandbox, 'page'))).toHaveLength(10);
  });

  it('happen for one API, after some calls, some times', async () => {
    const sandbox = await open({ faults: [{ type: 'status', status: 500, api: 'page', after: 1, times: 2 }] });
    const statuses: number[] = [];
    for (const api of ['whole', 'page', 'page', 'whole', 'page', 'page'])
      statuses.push((await fetch(`${sandbox.url}/${api}`)).status);
    expect(statuses).toEqual([200, 200, 500, 200, 500, 200]);
    expect(() => sandbox.setFaults([{ type: 'rain' } as unknown as Fault])).toThrow(
      /type "rain"; types: 429, status, /,
    );
  });
});
