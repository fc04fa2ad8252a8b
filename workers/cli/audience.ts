import { databasePlatform, unsubscribe as write } from '../../activities/audience/catalog.ts';
import { emptySegments } from '../../db/audience/filter.ts';
import { countFilter, hasUser, sampleFilter } from '../../db/audience/people.ts';
import type { Session } from './session.ts';
import { CommandError, wrongUse } from './trouble.ts';
import { columns, counted } from './words.ts';

interface FilterOptions {
  filter?: string;
  limit?: number;
  json?: boolean;
}

/** How many people a filter meets. */
export async function count(session: Session, name: string, { filter, json }: FilterOptions): Promise<undefined> {
  await requireDatabase(session, name);
  const n = await asUse(countFilter(await session.pool(), name, filter));
  await hint(session, name, filter);
  session.terminal.print(
    json ? JSON.stringify({ connection: name, filter: filter ?? null, users: n }) : counted(n, 'user'),
  );
  return undefined;
}

/** Some of the people whom a filter meets: ids and tags. */
export async function sample(
  session: Session,
  name: string,
  { filter, limit = 10, json }: FilterOptions,
): Promise<undefined> {
  await requireDatabase(session, name);
  const rows = await asUse(sampleFilter(await session.pool(), name, filter, limit));
  await hint(session, name, filter);
  const { print } = session.terminal;
  if (json) print(JSON.stringify(rows));
  else
    for (const line of columns(
      rows.map(({ id, tags, labels }) => [id, [...(tags ?? []), ...(labels ?? [])].join(', ')]),
    ))
      print(line);
  if (!json && rows.length === 0) print('Nobody.');
  return undefined;
}

async function hint(session: Session, name: string, filter: string | undefined): Promise<void> {
  for (const id of await emptySegments(await session.pool(), name, filter))
    session.terminal.warn(`segment:${id.slice(0, 64)} has no members in connection "${name}"; is its id spelt so?`);
}

interface UnsubscribeOptions {
  user?: string;
  address?: string;
  channel?: string;
  undo?: boolean;
}

/** Writes down that a user or an address wants no more messages, or that they do again. */
export async function unsubscribe(
  session: Session,
  name: string,
  { user, address, channel: given = '', undo }: UnsubscribeOptions,
): Promise<undefined> {
  await requireDatabase(session, name);
  if ((user === undefined) === (address === undefined))
    throw wrongUse('Say who: --user ID or --address ADDRESS, one of both');
  const who =
    user === undefined
      ? { kind: 'address' as const, value: address as string }
      : { kind: 'user' as const, value: user };
  const pool = await session.pool();
  const { changed, channel } = await asUse(write(pool, { connection: name, ...who, channel: given }, undo === true));
  const state = undo ? 'gets messages again' : 'gets no more messages';
  if (!undo && user !== undefined && !(await hasUser(pool, name, user)))
    session.terminal.warn(
      `Nobody in connection "${name}" has that id today; is it spelt so? It is kept for whoever gets it.`,
    );
  session.terminal.print(`The ${who.kind} ${state}${channel ? ` by ${channel}` : ''}${changed ? '' : ', as before'}.`);
  return undefined;
}

async function requireDatabase(session: Session, name: string): Promise<void> {
  const { platform } = await session.connection(name);
  if (platform !== databasePlatform)
    throw wrongUse(`"${name}" is of platform ${platform}; people stand in connections of platform ${databasePlatform}`);
}

/** A filter that was typed wrong is a matter of use. */
async function asUse<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (['FilterError', 'SyncError'].includes((error as Error).name)) throw wrongUse((error as Error).message);
    if ((error as { code?: string }).code === '22003') throw new CommandError('filter: a number tag is out of range');
    throw error;
  }
}
