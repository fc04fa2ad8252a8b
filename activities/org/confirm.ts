import { doubtOf, missingIds } from '../../db/org/living.ts';
import type { Plan } from '../../db/org/plan.ts';
import { appendStage, readStage } from '../../db/org/stage.ts';
import type { StagePage, Stream } from '../../db/org/stageRows.ts';
import type { Deps } from '../deps.ts';
import { RetryLater, SyncError } from '../errors.ts';
import type { Call } from '../step.ts';
import { emptyPage, type OrgSource } from './source.ts';
import { directoryOptionsOf, openSource } from './sources.ts';

export interface Confirmed {
  /** Missing rows that were asked for one by one. */
  asked: number;
  /** Those that live: the list did not show them (rows move between pages), so they are staged as if it had. */
  alive: number;
  waitMs: number;
}

/**
 * Asks the source for every group or person that its list did not bring, where it can be asked and there are few
 * enough. 297 rows of a total of 297 were seen with 3 living people among the missing.
 */
export async function confirmMissing(deps: Deps, plan: Plan, stream: Stream, call: Call): Promise<Confirmed> {
  const connection = await deps.connection(plan.claim.connection);
  const most = directoryOptionsOf(connection).confirmMissing;
  const source = openSource(connection);
  const done: Confirmed = { asked: 0, alive: 0, waitMs: 0 };
  try {
    if (!source.readOne || plan.only !== null) return done;
    if ((await doubtOf(deps.pool, plan.id, stream)) !== null) return done;
    const ids = await missingIds(deps.pool, plan, stream, most);
    if (ids.length <= most) await askEach(deps, plan, stream, ids.sort(), source.readOne, call, done);
    return done;
  } catch (error) {
    if (error instanceof RetryLater) return { ...done, waitMs: error.waitMs };
    throw error;
  } finally {
    await source.close();
  }
}

/** Asks in the order of ids and remembers how far it came: who is really gone stays missing, and must not be asked for after each wait. */
async function askEach(
  deps: Deps,
  plan: Plan,
  stream: Stream,
  ids: string[],
  readOne: NonNullable<OrgSource['readOne']>,
  call: Call,
  done: Confirmed,
): Promise<void> {
  const { cursor } = await readStage(deps.pool, plan.id, stream);
  let asked = (cursor as { askedTo?: string } | null)?.askedTo ?? '';
  try {
    for (const id of ids) {
      if (id <= asked) continue;
      call.signal.throwIfAborted();
      const page = await readOne(stream, id, call.signal);
      asked = id;
      done.asked += 1;
      call.report({ asked: done.asked, alive: done.alive });
      if (page === null) continue;
      await stageOne(deps, plan, stream, page, asked);
      done.alive += 1;
    }
  } catch (error) {
    if (error instanceof RetryLater) await stageOne(deps, plan, stream, emptyPage(), asked);
    // The source cannot be asked for one record inside this connection's filter: the guards alone decide.
    else if (error instanceof SyncError && error.type === 'InvalidInput') return;
    throw error;
  }
}

async function stageOne(deps: Deps, plan: Plan, stream: Stream, page: StagePage, askedTo: string): Promise<void> {
  const state = await readStage(deps.pool, plan.id, stream);
  await appendStage(deps.pool, plan.claim, plan.id, stream, page, {
    ...state,
    cursor: { ...(state.cursor as object | null), askedTo },
    rows: state.rows + page.groups.length + page.users.length,
    members: state.members + page.members.length,
    unkeyed: state.unkeyed + page.unkeyed.length,
    requests: state.requests + 1,
  });
}
