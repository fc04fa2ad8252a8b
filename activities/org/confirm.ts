import { doubtOf, holdsPerson, missingIds, otherPeople, shownIds } from '../../db/org/living.ts';
import type { Plan } from '../../db/org/plan.ts';
import { addPage, appendStage, emptyBatch, readStage } from '../../db/org/stage.ts';
import { encodePage, type StagePage, type Stream } from '../../db/org/stageRows.ts';
import { untouched } from '../../db/org/written.ts';
import type { Deps } from '../deps.ts';
import { forConnection, RetryLater, SyncError } from '../errors.ts';
import type { Call } from '../step.ts';
import { connectionOf } from './prepare.ts';
import { emptyPage, isSeen, type OrgSource, Unaskable, unseenPage } from './source.ts';
import { directoryOptionsOf, openSource } from './sources.ts';

export interface Confirmed {
  /** Missing rows that were asked for one by one. */
  asked: number;
  /** Those that live: the list did not show them (rows move between pages), so they are staged as if it had. */
  alive: number;
  waitMs: number;
  waitFor?: string | null;
}

type ReadOne = NonNullable<OrgSource['readOne']>;

/**
 * Living records a direct read must find one of before "there is no such record" counts: an address that answers 404 to
 * everything would else prove everybody gone. The first usually is found; the others are for one that went meanwhile.
 */
const witnesses = 3;
/** Of more missing records than are asked for one by one so many are, by lot: one who lives speaks for all. */
const sampled = 5;
/** Calls that may fail because the source does not answer: about a minute, as long as a restart takes. */
const patience = 7;

/**
 * Asks the source for every group or person that its list did not bring, where it can be asked and there are few
 * enough. 297 rows of a total of 297 were seen with 3 living people among the missing. Where direct reads fail, whoever
 * is missing stays, and the run goes on; where the source says that it cannot be asked, the guards alone decide.
 */
export async function confirmMissing(deps: Deps, plan: Plan, stream: Stream, call: Call): Promise<Confirmed> {
  const connection = await connectionOf(deps, plan);
  const most = directoryOptionsOf(connection).confirmMissing;
  const source = openSource(connection, deps);
  const done: Confirmed = { asked: 0, alive: 0, waitMs: 0 };
  try {
    if (!source.readOne || plan.only !== null) return done;
    if ((await doubtOf(deps.pool, plan.id, stream)) !== null) return done;
    const ids = await missingIds(deps.pool, plan, stream, most);
    const asking = { deps, plan, stream, call, readOne: source.readOne };
    if (ids.length <= most) await askEach(asking, ids.sort(), done);
    else await askSome(asking, ids.slice(0, Math.min(most, sampled)));
    return done;
  } catch (error) {
    if (error instanceof RetryLater) return { ...done, waitMs: error.waitMs, waitFor: error.why };
    if (!(error instanceof SyncError)) throw error;
    if (error instanceof Unaskable) return done;
    const lasts = error.type === 'Unavailable' ? call.attempt >= patience : error.type !== 'Unauthorized';
    if (!lasts) throw error;
    const told = forConnection(error.message, plan.claim.connection);
    await doubt({ deps, plan, stream }, `direct reads fail (${toGuards(plan)}): ${told}`);
    return done;
  } finally {
    await source.close();
  }
}

/**
 * Before a run of one person plans: where the source says that there is no such person, it must find another one in the
 * same way, or the run ends and nobody is deleted.
 * @throws SyncError InvalidInput when nobody knows the id; BadAnswer when direct reads prove nothing
 */
export async function confirmPerson(deps: Deps, plan: Plan, call: Call): Promise<void> {
  const { only } = plan;
  if (only === null || (await readStage(deps.pool, plan.id, 'users')).rows > 0) return;
  const { connection } = plan.claim;
  const unchanged = () => untouched(deps.pool, plan, 'changed');
  const source = openSource(await connectionOf(deps, plan), deps);
  try {
    const others = await otherPeople(deps.pool, connection, only, witnesses);
    // Nobody to ask for means that this one is all we hold, which the guards do not let go unasked.
    if (source.readOne && others.length > 0 && !(await findsOne(source.readOne, 'users', others, call)))
      throw new SyncError(
        'BadAnswer',
        `A direct read finds neither the person of only.user nor any of ${others.length} others we hold, so it proves nobody gone: ${await unchanged()}. Check the base address and the credential's rights, or run the whole directory: npx syncline start orgSync ${connection}`,
      );
  } catch (error) {
    if (error instanceof RetryLater) throw new SyncError('Unavailable', error.message, { cause: error });
    throw error;
  } finally {
    await source.close();
  }
  if (await holdsPerson(deps.pool, connection, only)) return;
  // The id itself may be a name or a mail address that somebody took for one: it is not repeated.
  throw new SyncError(
    'InvalidInput',
    `Nobody has the id given in only.user: the source has no such person, and we never held one; ${await unchanged()}. Accepted: the source's own id (SCIM: id; LDAP: the value of idAttribute), no user name and no mail address. Ids stand in org.users and in: npx syncline changes ${connection}`,
  );
}

interface Staging {
  deps: Deps;
  plan: Plan;
  stream: Stream;
}

interface Asking extends Staging {
  call: Call;
  readOne: ReadOne;
}

/** How far the direct reads of a list came, kept in the stage with its cursor. */
interface Asked {
  /** In the order of ids: who is really gone stays missing, and must not be asked for again after each wait. */
  askedTo: string;
  /** One who lives was found and nobody asked for since: a source that takes one read a wait must not hear of him alone. */
  proven: boolean;
}

/** One who lives is found before the others are asked for, again after each wait, and once more behind the last of them. */
async function askEach(asking: Asking, ids: string[], done: Confirmed): Promise<void> {
  const { deps, plan, stream, call } = asking;
  const { cursor } = await readStage(deps.pool, plan.id, stream);
  const { askedTo = '', proven = false } = (cursor ?? {}) as Partial<Asked>;
  const at: Asked = { askedTo, proven };
  const open = ids.filter((id) => id > askedTo);
  // Whoever was asked for before a wait and is missing still was told gone.
  let gone = ids.length - open.length;
  try {
    if (open.length > 0 && !at.proven && !(await proves(asking))) return;
    at.proven = open.length > 0;
    for (const id of open) {
      if (done.asked > 0 && call.shouldEnd()) {
        await stageOne(asking, emptyPage(), at);
        // The shortest wait there is: the run comes back for the others, unless somebody paused it.
        Object.assign(done, { waitMs: 1, waitFor: 'other work has its turn, then the next are asked for.' });
        return;
      }
      const page = await askOne(asking, id);
      Object.assign(at, { askedTo: id, proven: false });
      done.asked += 1;
      if (page === null) gone += 1;
      else await stageOne(asking, page, at);
      if (page !== null && isSeen(page)) done.alive += 1;
      call.report({ asked: done.asked, alive: done.alive });
    }
    if (gone > 0) await proves(asking);
  } catch (error) {
    if (error instanceof RetryLater || error instanceof SyncError) await stageOne(asking, emptyPage(), at);
    // A source that was asked before is one that can be asked, and in trouble.
    if (error instanceof Unaskable && at.askedTo !== '') throw new SyncError('BadAnswer', error.message);
    throw error;
  }
}

/**
 * Whether what direct reads say of the missing may count: a gateway whose route was taken away while they were asked for
 * answers that nobody exists. Where they do not find somebody whom the list shows, whoever is missing stays. A list that
 * may be empty (allowEmpty) shows nobody: then the guards ask before everything goes.
 */
async function proves(asking: Asking): Promise<boolean> {
  const { plan, stream } = asking;
  if ((await showsOne(asking)) !== false) return true;
  await doubt(asking, `a direct read does not even find ${stream} that the list shows (${toGuards(plan)})`);
  return false;
}

/**
 * One record, by a direct read. Where that fails while the source shows others, the trouble is the record's own: it is
 * handed back and stays, and the others are asked for.
 */
async function askOne(asking: Asking, id: string): Promise<StagePage | null> {
  const { readOne, stream, call } = asking;
  try {
    return await readOne(stream, id, call.signal);
  } catch (error) {
    if (!(error instanceof SyncError) || !(await showsOne(asking))) throw error;
    return unseenPage(stream, id, error.message);
  }
}

/** Whether a direct read finds somebody whom the list shows; null where it shows nobody. */
async function showsOne({ deps, plan, stream, call, readOne }: Asking): Promise<boolean | null> {
  const shown = await shownIds(deps.pool, plan, stream, witnesses);
  return shown.length === 0 ? null : findsOne(readOne, stream, shown, call);
}

/**
 * Of too many to ask for all: a list that was cut, or a credential that sees less than before, lacks whole pages or
 * departments, so one who lives speaks for all who are missing.
 */
async function askSome(asking: Asking, ids: string[]): Promise<void> {
  const { plan, stream } = asking;
  if (!(await findsOne(asking.readOne, stream, ids, asking.call))) return;
  await doubt(
    asking,
    `of ${ids.length} missing ${stream} that were asked for directly, one is there or out of sight (to ask for each: npx syncline connect ${plan.claim.connection} --option confirmMissing=10000)`,
  );
}

/**
 * Whether a direct read finds any of these records. One request where the first is there.
 * @throws what the first failed read met, where none is found
 */
async function findsOne(readOne: ReadOne, stream: Stream, ids: string[], call: Call): Promise<boolean> {
  let trouble: SyncError | null = null;
  for (const id of ids) {
    call.signal.throwIfAborted();
    try {
      if ((await readOne(stream, id, call.signal)) !== null) return true;
    } catch (error) {
      if (!(error instanceof SyncError)) throw error;
      trouble ??= error;
    }
  }
  if (trouble !== null) throw trouble;
  return false;
}

/** What an operator can do where direct reads say nothing. */
function toGuards({ claim }: Plan): string {
  return `to let the guards alone decide: npx syncline connect ${claim.connection} --option confirmMissing=0`;
}

/** Whoever is missing stays. */
function doubt(staging: Staging, why: string): Promise<void> {
  return stageOne(staging, emptyPage(), {}, why);
}

async function stageOne(
  { deps, plan, stream }: Staging,
  page: StagePage,
  at: Partial<Asked>,
  doubt: string | null = null,
): Promise<void> {
  const state = await readStage(deps.pool, plan.id, stream);
  const batch = emptyBatch();
  const encoded = encodePage(page, stream);
  addPage(batch, encoded);
  await appendStage(deps.pool, plan.claim, plan.id, stream, batch, {
    ...state,
    cursor: { ...(state.cursor as object | null), ...at },
    rows: state.rows + encoded.rows,
    members: state.members + encoded.members,
    unkeyed: state.unkeyed + page.unkeyed.length,
    requests: state.requests + 1,
    ended: state.ended && { ...state.ended, doubt: doubt ?? state.ended.doubt },
  });
}
