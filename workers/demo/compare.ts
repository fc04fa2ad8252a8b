import type { DirectoryRows } from '../../db/org/rows.ts';
import type { Directory, PersonFields } from '../../sandbox/scim.ts';
import { count } from '../cli/words.ts';

/** Source and copy side by side. */
export interface Comparison {
  people: number;
  groups: number;
  memberships: number;
  /** One line a row that differs or stands on one side only. */
  differences: string[];
}

const personFields = [
  'userName',
  'displayName',
  'givenName',
  'familyName',
  'email',
  'phone',
  'title',
  'employeeNumber',
  'active',
] as const satisfies readonly (keyof PersonFields)[];

/** Rows of one kind by id, each as one text. */
type Rows = Map<string, string>;
type Side = Record<'people' | 'groups' | 'memberships', Rows>;

/** Compares every living row of ours with every row of the source, field by field; nobody may have two main groups. */
export function compare(copy: DirectoryRows, directory: Directory): Comparison {
  const [ours, theirs] = [readCopy(copy), readSource(directory)];
  const mains = new Set<string>();
  const doubled = copy.memberships.filter(({ userId, isPrimary }) => {
    const second = isPrimary && mains.has(userId);
    if (isPrimary) mains.add(userId);
    return second;
  });
  return {
    people: ours.people.size,
    groups: ours.groups.size,
    memberships: ours.memberships.size,
    differences: [
      ...differ('person', ours.people, theirs.people),
      ...differ('group', ours.groups, theirs.groups),
      ...differ('membership', ours.memberships, theirs.memberships),
      ...doubled.map(({ userId }) => `person ${userId}: has two main groups`),
    ],
  };
}

/** One line: equal, or how many rows are not. */
export function describeComparison({ people, groups, memberships, differences }: Comparison): string {
  const rows = `${count(people)} people, ${count(groups)} groups, ${count(memberships)} memberships`;
  return differences.length === 0
    ? `source and copy are equal, row by row: ${rows}`
    : `source and copy DIFFER in ${count(differences.length)} rows; the copy has ${rows}`;
}

function differ(what: string, ours: Rows, theirs: Rows): string[] {
  const found: string[] = [];
  for (const [id, row] of theirs)
    if (ours.get(id) !== row) found.push(`${what} ${id}: source ${row}, copy ${ours.get(id) ?? 'none'}`);
  for (const [id, row] of ours) if (!theirs.has(id)) found.push(`${what} ${id}: source none, copy ${row}`);
  return found;
}

function readCopy({ users, groups, memberships }: DirectoryRows): Side {
  return {
    people: new Map(
      users.filter((u) => u.living).map((u) => [u.id, JSON.stringify(personFields.map((field) => u[field]))]),
    ),
    groups: new Map(groups.filter((g) => g.living).map((g) => [g.id, JSON.stringify([g.name, g.parentId])])),
    memberships: new Map(memberships.map((m) => [`${m.userId} in ${m.groupId}`, 'yes'])),
  };
}

function readSource(directory: Directory): Side {
  const side: Side = { people: new Map(), groups: new Map(), memberships: new Map() };
  for (const id of directory.userIds()) {
    const person = directory.findPerson(id)!;
    const fields = directory.fields(person);
    side.people.set(id, JSON.stringify(personFields.map((field) => fields[field] ?? null)));
    for (const serial of directory.groupsOf(person))
      side.memberships.set(`${id} in ${directory.id('Group', serial)}`, 'yes');
  }
  for (const id of directory.groupIds()) {
    const { displayName, parents } = directory.findGroup(id)!;
    const parent = parents[0] === undefined ? null : directory.id('Group', parents[0]);
    side.groups.set(id, JSON.stringify([displayName, parent]));
  }
  return side;
}
