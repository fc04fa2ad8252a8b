import { expect } from 'vitest';
import {
  type Fixture,
  type PlatformSandbox,
  type PlatformSandboxOptions,
  startPlatformSandbox,
} from '../../sandbox/platform.ts';

const day = 86_400_000;
const size = { param: 'size', default: 10, max: 20 };
const render = (row: { id: string; updated: number; version: number }) => ({
  id: row.id,
  updated: row.updated,
  version: row.version,
});

/** An imaginary platform without signature and token, with a list of every paging family over the same records. */
export const plain: Fixture = {
  platform: 'plain',
  resolutionMs: 1,
  lists: {
    things: {
      id: (serial) => `t${serial}`,
      removed: 'leaves',
      render,
      groups: { children: ({ serial }) => [serial === 1 ? '' : `t${Math.floor(serial / 2)}`] },
    },
  },
  streams: { things: { api: 'page' }, gone: { api: 'gone' } },
  apis: Object.fromEntries(
    (
      [
        ['whole', [{ kind: 'whole' }]],
        ['one', [{ kind: 'one', param: 'id' }]],
        ['ids', [{ kind: 'ids', param: 'ids', max: 3 }]],
        ['page', [{ kind: 'page', param: 'page', first: 1, size, deepest: { page: 9, rows: 60 } }]],
        ['offset', [{ kind: 'offset', param: 'offset', first: 0, size }]],
        ['cursor', [{ kind: 'cursor', param: 'cursor', size, end: 'end', livesMs: 10_000 }]],
        ['link', [{ kind: 'link', param: 'after', size }]],
        ['version', [{ kind: 'version', param: 'since', size }]],
        ['order', [{ kind: 'export' }]],
        ['job', [{ kind: 'poll', param: 'job' }]],
      ] as const
    ).map(([name, paging]) => [
      name,
      {
        list: 'things',
        clock: 'updated',
        windows: [{ from: 'from', to: 'to', clock: 'updated', format: 'ms', capMs: 40 * day }],
        paging,
        answer: (page) => page,
      } satisfies Fixture['apis'][string],
    ]),
  ),
  limits: {},
  connect: () => ({ credential: {}, options: {} }),
  read: ({ path, query, headers }) => ({
    api: path.slice(1),
    account: String(headers['x-account'] ?? 'main'),
    params: query,
  }),
  write: (payload) => payload,
  refuse: ({ kind, about }) => ({ status: kind === 'rate' ? 429 : 400, body: { refused: kind, about } }),
};
plain.apis.gone = { ...plain.apis.whole!, of: 'gone' };
plain.apis.newest = { ...plain.apis.cursor!, order: 'descending' };
plain.apis.tree = {
  ...plain.apis.whole!,
  group: ({ parent }) => ({ by: 'children', key: String(parent ?? '') }),
};

const running: PlatformSandbox[] = [];

/** Stops every sandbox that `openPlain` started; for `afterEach`. */
export async function stopPlain(): Promise<void> {
  for (const sandbox of running.splice(0)) await sandbox.stop();
}

/** Starts it with 45 records. */
export async function openPlain(options: PlatformSandboxOptions = {}): Promise<PlatformSandbox> {
  const sandbox = await startPlatformSandbox(plain, { rows: 45, ...options });
  running.push(sandbox);
  return sandbox;
}

export interface Answer {
  rows: { id: string }[];
  next: string | null;
  total: number;
  more: boolean;
  refused?: string;
}

export async function ask(
  sandbox: PlatformSandbox,
  api: string,
  params: Record<string, unknown> = {},
): Promise<Answer> {
  const query = new URLSearchParams(
    Object.entries(params).map(([key, value]): [string, string] => [key, String(value)]),
  );
  return (await (await fetch(`${sandbox.url}/${api}?${query}`)).json()) as Answer;
}
export const ids = ({ rows }: Answer) => rows.map(({ id }) => id);
/** Pages until one says that there is no more; at most 20. */
export async function through(sandbox: PlatformSandbox, next: (seen: Answer | null, n: number) => Promise<Answer>) {
  const all: string[] = [];
  let seen: Answer | null = null;
  for (let n = 0; n < 20 && (seen === null || seen.more); n += 1) {
    seen = await next(seen, n);
    all.push(...ids(seen));
  }
  expect(sandbox.requests.failed).toBe(0);
  return all;
}
