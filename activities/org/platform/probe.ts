import type { Probe, SourcePage, StagedGroups } from '../source.ts';
import { type Reader, readDirect } from './calls.ts';
import { groupPages } from './groups.ts';
import type { Scope } from './scope.ts';
import { userPages } from './users.ts';

/** Departments whose people are looked at until somebody is found. */
const departmentsAsked = 10;

/** Reads one page of departments and the people of the first of them, and tells what the credential may see. */
export async function probePlatform(reader: Reader, scope: Scope, signal: AbortSignal): Promise<Probe> {
  const ids: string[] = [];
  const staged: StagedGroups = {
    ids: async (after) => (after === '' ? ids.slice(0, departmentsAsked) : []),
    level: async (level, after) => (level === 1 && after === '' ? ids.slice(0, 1) : []),
    count: async () => ids.length,
  };
  const faults: string[] = [];
  const note = ({ page }: SourcePage) => {
    for (const { fault } of [...page.groups, ...page.users]) if (fault) faults.push(`${fault.reason}: ${fault.field}`);
  };
  for await (const read of groupPages(reader, null, staged, signal)) {
    note(read);
    ids.push(...read.page.groups.map(({ id }) => id));
    if (ids.length > 1) break;
  }
  const people = new Set<string>();
  for await (const read of userPages(reader, null, staged, signal)) {
    note(read);
    for (const { id } of read.page.users) people.add(id);
    if (people.size > 0) break;
  }
  const notes = [`it reads ${scope.way.title}; it sees ${scope.told}`];
  const [person] = people;
  if (person !== undefined && (await refusesDirect(reader, scope, person, signal)))
    notes.push(
      'the platform refuses direct reads of people: who is missing from the lists is handed back and never deleted, until the app may read single people or the option confirmMissing is 0',
    );
  if (faults.length > 0) notes.push(`${faults.length} of these records would be handed back (${faults[0]})`);
  return { users: people.size, groups: ids.length, userTotal: null, groupTotal: null, notes };
}

async function refusesDirect(reader: Reader, { way }: Scope, id: string, signal: AbortSignal): Promise<boolean> {
  return way.direct !== undefined && (await readDirect(reader, way.direct.user, id, signal)) === 'hidden';
}
