import { anyLiving, livingRows, missingIds } from '../../db/org/living.ts';
import type { Plan } from '../../db/org/plan.ts';
import { addPage, appendStage, emptyBatch, readStage, restartStream, type StageState } from '../../db/org/stage.ts';
import { countGroups, groupIds, levelIds } from '../../db/org/stagedGroups.ts';
import { type EncodedPage, encodePage, type Stream } from '../../db/org/stageRows.ts';
import { untouched } from '../../db/org/written.ts';
import type { Deps } from '../deps.ts';
import { RetryLater, SyncError } from '../errors.ts';
import type { Call } from '../step.ts';
import { readPages } from './pages.ts';
import { connectionOf } from './prepare.ts';
import { emptyPage, type OrgSource, type StagedGroups } from './source.ts';
import { directoryOptionsOf, openSource } from './sources.ts';

/** Rows a COPY takes. A few thousand share the cost of a commit; as text they hold about a megabyte. */
const batchRows = 8_000;
/** A source of small pages writes sooner: a killed worker costs about this much reading. */
const batchMs = 1_000;

export interface Slice {
  done: boolean;
  rows: number;
  members: number;
  pages: number;
  requests: number;
  /** The source's own count, where it names one: the base of the progress bar. */
  total: number | null;
  /** The list is read to its end and lacks rows that live with us. */
  missing: boolean;
  /** The source asks to wait so long before the next slice. */
  waitMs: number;
  /** The refusal that asked for it; null for a share of ours that is used up. Absent in results of earlier versions. */
  waitFor?: string | null;
}

/** Reads one list into the stage until it ends, the slice's time is up or the source asks to wait. */
export async function stageSlice(deps: Deps, plan: Plan, stream: Stream, call: Call): Promise<Slice> {
  let state = await readStage(deps.pool, plan.id, stream);
  if (state.ended) return conclude(deps, plan, stream, state);
  const source = openSource(await connectionOf(deps, plan), deps);
  try {
    if (!source.resumable && state.pages > 0) {
      await restartStream(deps.pool, plan.claim, plan.id, stream, state.passes);
      state = await readStage(deps.pool, plan.id, stream);
    }
    const writer = new StageWriter(deps, plan, stream, state);
    const wait = await readInto(writer, source, call);
    return writer.state.ended ? await conclude(deps, plan, stream, writer.state) : { ...told(writer.state), ...wait };
  } catch (error) {
    if (error instanceof SyncError && error.type === 'ChainBroken')
      await restartStream(deps.pool, plan.claim, plan.id, stream, state.passes);
    throw error;
  } finally {
    await source.close();
  }
}

type Wait = Pick<Slice, 'waitMs' | 'waitFor'>;

async function readInto(writer: StageWriter, source: OrgSource, call: Call): Promise<Wait> {
  const { plan, stream } = writer;
  try {
    if (stream === 'users' && plan.only !== null) await readPerson(writer, source, plan.only, call);
    else {
      const { cursor: from } = writer.state;
      const reading = { stream, from, only: plan.only, staged: writer.staged(), signal: call.signal };
      for await (const { page, cursor, requests, ended } of readPages(source, reading)) {
        await writer.add(page, { cursor, requests, ended });
        const { rows, pages } = writer.state;
        const total = totalOf(cursor);
        call.report({ rows, pages, ...(total !== null && { total }) });
        if (source.resumable && !ended && call.shouldEnd()) break;
      }
    }
    await writer.flush();
    return { waitMs: 0 };
  } catch (error) {
    // What came before the trouble is whole pages: kept, so that the next slice goes on behind them.
    await writer.flush();
    if (error instanceof RetryLater) return { waitMs: error.waitMs, waitFor: error.why };
    throw error;
  }
}

/** One person, read directly. A person who is gone leaves an empty stage, which plans the deletion. */
async function readPerson(writer: StageWriter, source: OrgSource, id: string, call: Call): Promise<void> {
  if (!source.readOne)
    throw new SyncError(
      'InvalidInput',
      'The option only.user needs a source that reads one person directly; this one does not',
    );
  const page = await source.readOne('users', id, call.signal);
  await writer.add(encodePage(page ?? emptyPage(), 'users'), {
    cursor: null,
    requests: 1,
    ended: { sign: 'direct read', firstTotal: null, lastTotal: null, doubt: null },
  });
}

/** Collects pages and writes one batch while the next pages are read. */
class StageWriter {
  readonly plan: Plan;
  readonly stream: Stream;
  state: StageState;
  private readonly deps: Deps;
  private batch = emptyBatch();
  private pending = 0;
  private writtenAt = Date.now();
  private writing: Promise<void> = Promise.resolve();

  constructor(deps: Deps, plan: Plan, stream: Stream, state: StageState) {
    this.deps = deps;
    this.plan = plan;
    this.stream = stream;
    this.state = state;
  }

  async add(page: EncodedPage, at: Pick<StageState, 'cursor' | 'ended'> & { requests: number }): Promise<void> {
    const { batch, state } = this;
    addPage(batch, page);
    this.state = {
      cursor: at.cursor,
      ended: at.ended,
      pages: state.pages + 1,
      rows: state.rows + page.rows,
      members: state.members + page.members,
      unkeyed: state.unkeyed + page.unkeyed.length,
      requests: state.requests + at.requests,
      passes: state.passes,
    };
    this.pending += 1;
    if (batch.rows >= batchRows || Date.now() - this.writtenAt >= batchMs) await this.write();
  }

  async flush(): Promise<void> {
    if (this.pending > 0) await this.write();
    await this.writing;
  }

  /** The groups of this run, read after what came before is written. */
  staged(): StagedGroups {
    const { deps, plan } = this;
    const written = async <T>(read: () => Promise<T>) => {
      await this.flush();
      return read();
    };
    return {
      ids: (after, most) => written(() => groupIds(deps.pool, plan.id, after, most)),
      level: (level, after, most) => written(() => levelIds(deps.pool, plan.id, level, after, most)),
      count: () => written(() => countGroups(deps.pool, plan.id)),
    };
  }

  private async write(): Promise<void> {
    const { batch, state } = this;
    this.batch = emptyBatch();
    this.pending = 0;
    this.writtenAt = Date.now();
    await this.writing;
    this.writing = appendStage(this.deps.pool, this.plan.claim, this.plan.id, this.stream, batch, state);
    // Its failure is met by the next write or by flush.
    this.writing.catch(() => undefined);
  }
}

/** What a list that was read to its end means: nothing where there was something, one more pass, or done. */
async function conclude(deps: Deps, plan: Plan, stream: Stream, state: StageState): Promise<Slice> {
  if (plan.only !== null) return told(state);
  const { connection } = plan.claim;
  if (!(await anyLiving(deps.pool, connection, stream))) return told(state);
  if (state.rows === 0) await requireRows(deps, plan, stream, await livingRows(deps.pool, connection, stream));
  if (state.ended?.doubt && state.passes === 1) {
    // Rows moved while they were read: one more pass often agrees with itself.
    await restartStream(deps.pool, plan.claim, plan.id, stream, 2);
    return { ...told(state), done: false };
  }
  return { ...told(state), missing: (await missingIds(deps.pool, plan, stream, 0)).length > 0 };
}

/** @throws SyncError EmptyAnswer for a list without rows where we hold some, unless the connection may be empty. */
async function requireRows(deps: Deps, plan: Plan, stream: Stream, living: number): Promise<void> {
  const { connection } = plan.claim;
  if (directoryOptionsOf(await deps.connection(connection)).allowEmpty) return;
  throw new SyncError(
    'EmptyAnswer',
    `The source answered with no ${stream} where we hold ${living}: ${await untouched(deps.pool, plan, 'changed')}. Check the credential's rights, the filter and the base address. If the directory really is empty, let the guards ask you instead: npx syncline connect ${connection} --option allowEmpty=true, then start again and approve the plan.`,
  );
}

function told(state: StageState): Slice {
  const { rows, members, pages, requests } = state;
  return {
    done: state.ended !== null,
    rows,
    members,
    pages,
    requests,
    total: state.ended?.lastTotal ?? totalOf(state.cursor),
    missing: false,
    waitMs: 0,
  };
}

function totalOf(cursor: unknown): number | null {
  const total = (cursor as { lastTotal?: unknown } | null)?.lastTotal;
  return typeof total === 'number' ? total : null;
}
