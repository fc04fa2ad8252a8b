import type { Over, Stream } from '../../connectors/shape.ts';
import type { Pass } from '../../db/passes.ts';
import { type IdSource, waitingIds } from '../../db/visits.ts';
import type { Deps } from '../deps.ts';
import { openClient, type PlatformClient, Refused } from '../http/client.ts';
import { paginate } from '../http/paginate.ts';
import type { Call } from '../step.ts';
import { readAnew } from './anew.ts';
import { keyIn } from './extract.ts';
import { type OpenStream, streamOf, tableOf } from './open.ts';
import { type ReadEnd, report, type SliceWriter } from './writer.ts';

/** An id and what its rows were when the pass was cut. */
interface Asked {
  id: string;
  version: string;
}

type Each = Extract<Over, { kind: 'each' }>;

/** Ids taken from Postgres at once. */
const idsAtOnce = 200;

/** Where the ids of a stream over another one come from. */
export function idSource(
  { connector }: OpenStream,
  over: Each,
  pass: Pick<Pass, 'kind' | 'fromMs' | 'toMs'>,
): IdSource {
  return {
    parent: tableOf(connector, over.stream),
    path: over.path === undefined ? null : over.path.split('.'),
    all: over.when === 'all' || pass.kind !== 'incremental',
    also: over.also ?? [],
    range: pass.fromMs !== null && pass.toMs !== null ? { fromMs: pass.fromMs, toMs: pass.toMs } : null,
    withDeleted: streamOf(connector, over.stream).deletes.kind === 'status',
  };
}

/** Reads the rows of each id of the slice's batch that was not visited yet. */
export async function readIds(deps: Deps, writer: SliceWriter, over: Each, call: Call): Promise<ReadEnd> {
  const { opened, pass } = writer;
  const client = openClient(deps, opened.connection, opened.connector);
  for (;;) {
    await writer.flush(false);
    const ids = await waitingIds(deps.pool, pass, writer.state.no, idsAtOnce);
    if (ids.length === 0) return { kind: 'done', doubt: null };
    for (let at = 0; at < ids.length; at += over.batch) {
      await readBatch(client, writer, over, ids.slice(at, at + over.batch), call);
      report(writer, call);
      if (call.shouldEnd()) return { kind: 'more' };
    }
  }
}

/** One call for one id or a batch of them; an id that the platform refuses does not take its batch along. */
async function readBatch(
  client: PlatformClient,
  writer: SliceWriter,
  over: Each,
  ids: readonly Asked[],
  call: Call,
): Promise<void> {
  const atMs = Date.now();
  try {
    const asked = ids.map(({ id }) => id);
    const end = await readAnew(
      () => readPages(client, writer, over, asked, call),
      () => writer.move({ requests: writer.state.requests + 1 }),
    );
    if ('doubt' in end) {
      writer.move({ doubt: end.doubt });
      // Without the version that it had, each is due again.
      writer.visit({ visited: asked.map((id) => ({ id, atMs })) });
      return;
    }
    const came = end.read;
    const isDue = ({ id }: Asked) => came !== null && !came.has(id);
    for (const one of ids) {
      if (isDue(one)) leftOut(writer, over, one.id, atMs);
      else writer.visit({ visited: [{ ...one, atMs }] });
    }
  } catch (error) {
    if (!(error instanceof Refused) || (error.verdict !== 'gone' && error.verdict !== 'bad-request')) throw error;
    writer.move({ requests: writer.state.requests + 1 });
    if (ids.length > 1) {
      for (const one of ids) await readBatch(client, writer, over, [one], call);
      return;
    }
    refuse(writer, over, ids[0] as Asked, error, atMs);
  }
}

function refuse(writer: SliceWriter, over: Each, { id, version }: Asked, error: Refused, atMs: number): void {
  writer.visit({ visited: [{ id, version, atMs }] });
  if (error.verdict === 'gone') {
    // Rows that are not named by the id that was asked for are found missing by the sweep.
    if (String(writer.opened.stream.key) === '$over') writer.visit({ gone: [{ id, atMs }] });
    return;
  }
  if (writer.opened.stream.deletes.kind === 'sweep')
    writer.move({ doubt: `${over.stream} that the platform refuses (${error.code}) hide what belongs to them` });
  writer.refuse({
    id,
    keyed: true,
    reason: 'refused',
    field: over.param,
    record: JSON.stringify({ [over.param]: id, code: error.code }),
    position: `${over.param} of ${over.stream}`,
  });
}

/** Its record did not come, and nobody says why: this pass has asked for it, the next one does again. */
function leftOut(writer: SliceWriter, over: Each, id: string, atMs: number): void {
  writer.visit({ visited: [{ id, atMs }] });
  writer.refuse({
    id,
    keyed: true,
    reason: 'left_out',
    field: over.param,
    record: JSON.stringify({ [over.param]: id }),
    position: `${over.param} of ${over.stream}`,
  });
}

/** @returns the keys that came; null where an id may have no record. */
async function readPages(
  client: PlatformClient,
  writer: SliceWriter,
  over: Each,
  ids: string[],
  call: Call,
): Promise<Set<string> | null> {
  const { name, stream } = writer.opened;
  const came = bringsOne(stream, over) ? new Set<string>() : null;
  const one = ids.length === 1 && over.batch === 1 ? (ids[0] as string) : undefined;
  const params = { [over.param]: one ?? ids };
  for await (const page of paginate(client, name, stream, { params, cursor: null, signal: call.signal })) {
    if (came) {
      page.rows = page.rows.filter((row) => !isEmpty(row));
      for (const row of page.rows) came.add(keyIn(stream, row, one) ?? '');
    }
    await writer.add(
      page,
      {
        readMs: page.requestedAt,
        position: `${page.position} of ${over.param}`,
        ...(one !== undefined && { over: one }),
      },
      { requests: writer.state.requests + page.requests },
    );
    if (page.ended?.doubt) writer.move({ doubt: page.ended.doubt });
  }
  return came;
}

const bringsOne = ({ key }: Stream, { brings }: Each) => brings === 'one' || String(key) === '$over';

/** Where a record is expected it is none: written over one that came before, it would take away what that holds. */
const isEmpty = (row: unknown) => typeof row === 'object' && row !== null && Object.keys(row).length === 0;
