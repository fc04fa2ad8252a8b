import type { Stream } from '../../../db/org/stageRows.ts';
import { addUser } from '../records.ts';
import { emptyPage, type Probe } from '../source.ts';
import type { Directory } from './directory.ts';
import type { Aside } from './lists.ts';
import { type EntryPage, requireBase, search } from './search.ts';

/**
 * Reads one page of each list and says what `connect` should tell. The ids of both lists are read to their ends, which
 * takes about a second for 100,000 people: a size limit is better met here than by the first run.
 */
export async function probeDirectory(directory: Directory, open: Aside, isPlainText: boolean): Promise<Probe> {
  const groups = await lookAt(directory, open, 'groups');
  const users = await lookAt(directory, open, 'users');
  const notes: string[] = [];
  const faulty = faultsOf(directory, users.page);
  if (faulty !== null) notes.push(faulty);
  for (const [stream, { page }] of Object.entries({ groups, users }))
    if (page.referrals > 0)
      notes.push(`${page.referrals} referrals among the first ${stream}: see the option referrals`);
  if (!groups.listed) notes.push('no group shows members: people are in the units they stand in, and in nothing else');
  if (isPlainText) notes.push('the password travels unencrypted: use ldaps:// or the option startTls');
  return {
    users: users.page.entries.length,
    groups: groups.page.entries.length,
    userTotal: users.total,
    groupTotal: groups.total,
    notes,
  };
}

interface Look {
  page: EntryPage;
  total: number;
  /** Whether any group shows members. */
  listed: boolean;
}

/** The chain of the first page is left open, so it comes last on its connection. */
async function lookAt(directory: Directory, open: Aside, stream: Stream): Promise<Look> {
  const { reader, bases } = directory;
  const session = await open();
  await requireBase(session, bases[stream]);
  const total = await directory.count(session, stream);
  const listed = stream === 'groups' && (await directory.showsMembers(session));
  const query = directory.query(stream, stream === 'users' ? reader.userAttributes : reader.groupAttributes);
  for await (const page of search(session, query)) {
    await directory.requireIds(open, page.entries, stream);
    return { page, total, listed };
  }
  throw new Error('A search has at least one page');
}

function faultsOf(directory: Directory, users: EntryPage): string | null {
  const page = emptyPage();
  for (const [index, entry] of users.entries.entries())
    addUser(page, directory.reader.user(entry), entry, `users row ${index + 1}`);
  const faults = [...page.unkeyed, ...page.users.flatMap((row) => row.fault ?? [])];
  return faults.length === 0
    ? null
    : `${faults.length} of the first ${users.entries.length} users would be handed back (${faults[0]?.reason}: ${faults[0]?.field})`;
}
