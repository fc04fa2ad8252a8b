import type { Over, Stream } from '../../connectors/shape.ts';
import { waitingNodes } from '../../db/visits.ts';
import type { Deps } from '../deps.ts';
import { openClient, type PlatformClient, Refused } from '../http/client.ts';
import { paginate } from '../http/paginate.ts';
import { resolveValue } from '../http/values.ts';
import type { Call } from '../step.ts';
import { readAnew } from './anew.ts';
import { extract } from './extract.ts';
import type { OpenStream } from './open.ts';
import { type ReadEnd, report, type SliceWriter } from './writer.ts';

type Tree = Extract<Over, { kind: 'tree' }>;

/** A tree, and the stream as each of its nodes is asked. */
export interface TreeRead {
  over: Tree;
  stream: Stream;
}

/** The tree that stands in place of a list; null where the connector has none. */
export function treeInstead({ stream }: Pick<OpenStream, 'stream'>): TreeRead | null {
  const { instead, call } = stream;
  if (!instead || !call) return null;
  return {
    over: instead.over,
    stream: { ...stream, call: { ...call, params: { ...call.params, ...instead.params } } },
  };
}

/** Nodes asked for at once: a tree of 30,000 nodes takes 30,000 calls, one after the other an hour. */
const inFlight = 4;
const nodesAtOnce = 100;

/** Reads a tree breadth first, one call a node. The frontier stands in Postgres, so that a kill costs the nodes in flight. */
export async function readTree(deps: Deps, writer: SliceWriter, tree: TreeRead, call: Call): Promise<ReadEnd> {
  const { opened, pass } = writer;
  const client = openClient(deps, opened.connection, opened.connector);
  for (;;) {
    await writer.flush(false);
    const nodes = await waitingNodes(deps.pool, pass, nodesAtOnce);
    if (nodes.length === 0) return { kind: 'done', doubt: null };
    for (let at = 0; at < nodes.length; at += inFlight) {
      const read = await Promise.allSettled(
        nodes.slice(at, at + inFlight).map((node) => readNode(client, writer, tree, node, call)),
      );
      for (const one of read) if (one.status === 'fulfilled') await keepNode(writer, one.value);
      for (const one of read) if (one.status === 'rejected') throw one.reason;
      report(writer, call);
      if (call.shouldEnd()) return { kind: 'more' };
    }
  }
}

/** Where the tree begins, as an id. */
export function rootOf({ options }: Pick<OpenStream, 'options'>, over: Tree): string {
  return String(resolveValue(over.root, { options, secrets: {}, nowMs: Date.now() }));
}

interface NodeRead {
  node: string;
  atMs: number;
  pages: { rows: unknown[]; readMs: number; requests: number }[];
  /** Requests besides those of its pages. */
  besides: number;
  /** It left the tree after its parent showed it. */
  gone: boolean;
}

/** A node counts as read when all its pages have come, or its list broke off again and again, which leaves the pass in doubt. */
async function readNode(
  client: PlatformClient,
  writer: SliceWriter,
  { over, stream }: TreeRead,
  node: string,
  call: Call,
): Promise<NodeRead> {
  const { name } = writer.opened;
  const read: NodeRead = { node, atMs: Date.now(), pages: [], besides: 0, gone: false };
  const params = { [over.param]: /^\d{1,15}$/.test(node) ? Number(node) : node };
  const readOnce = async () => {
    for (const { requests } of read.pages.splice(0)) read.besides += requests;
    for await (const page of paginate(client, name, stream, { params, cursor: null, signal: call.signal })) {
      read.pages.push({ rows: page.rows, readMs: page.requestedAt, requests: page.requests });
      if (page.ended?.doubt) writer.move({ doubt: page.ended.doubt });
    }
  };
  try {
    const end = await readAnew(readOnce, () => {
      read.besides += 1;
    });
    if ('doubt' in end) writer.move({ doubt: end.doubt });
  } catch (error) {
    const left = error instanceof Refused && error.verdict === 'gone';
    // A tree without its root is no empty tree: the credential sees another one.
    if (!left || node === rootOf(writer.opened, over)) throw error;
    read.besides += 1;
    read.gone = true;
  }
  return read;
}

async function keepNode(writer: SliceWriter, { node, atMs, pages, besides, gone }: NodeRead): Promise<void> {
  const { stream } = writer.opened;
  for (const page of pages) {
    const { rows, readMs, requests } = page;
    const origin = { readMs, position: `children of a node`, over: node };
    writer.visit({
      found: rows.flatMap((row) => {
        const made = extract(stream, row, origin);
        return 'row' in made ? [made.row.id] : made.fault.keyed ? [made.fault.id] : [];
      }),
    });
    await writer.add(page, origin, { requests: writer.state.requests + requests });
  }
  if (besides > 0) writer.move({ requests: writer.state.requests + besides });
  writer.visit({ visited: [{ id: node, atMs }], ...(gone && { gone: [{ id: node, atMs }] }) });
}
