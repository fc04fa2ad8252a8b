import type { Directory } from './directory.ts';
import { draw } from './ids.ts';
import { departments, otherFamilyName, type PersonFields, pick, titles } from './people.ts';

/** How much of a directory changes at once. */
export interface Change {
  /** The share of people concerned, 0–1: half of them edited, a fifth added, a fifth removed, a tenth moved. Default 0.01. */
  share?: number;
  /** Which people: another seed, other people. Default 1. */
  seed?: number;
}

/** What {@link change} did, exactly. Nobody is concerned twice. */
export interface Changed {
  /** People with at least one other value: title, department, or family name. */
  edited: number;
  added: number;
  removed: number;
  /** People whose first group was replaced by another one. */
  moved: number;
  /** Memberships that came, with added people (one each) and moved people. */
  membershipsAdded: number;
  /** Memberships that went, with removed people and moved people. */
  membershipsRemoved: number;
}

/** Changes many people at once, repeatably. @throws RangeError for a share outside 0–1. */
export function change(directory: Directory, { share = 0.01, seed = 1 }: Change = {}): Changed {
  if (!(share >= 0 && share <= 1)) throw new RangeError(`change: share is ${share}; accepted: 0 to 1`);
  const before = directory.people.length;
  const part = (of: number) => Math.round(before * share * of);
  const canMove = directory.groups.length > 1;
  const wanted = { edited: part(0.5), removed: part(0.2), moved: canMove ? part(0.1) : 0, added: part(0.2) };
  const ids = choose(directory, wanted.edited + wanted.removed + wanted.moved, seed);
  const editing = ids.splice(0, wanted.edited);
  const removing = ids.splice(0, wanted.removed);

  editing.forEach((id, index) => {
    directory.editUser(id, edited(directory, id, draw(seed, index, 12)));
  });
  const moves = ids.map((id, index) => move(directory, id, draw(seed, index, 13)));
  const left = removing.reduce((sum, id) => sum + groupsOf(directory, id).length, 0);
  directory.removeUsers(removing);
  const joined = Array.from({ length: wanted.added }, () => groupsOf(directory, directory.addUser()).length);
  return {
    edited: editing.length,
    added: wanted.added,
    removed: removing.length,
    moved: moves.filter((each) => each.joined > 0).length,
    membershipsAdded: sum(joined) + sum(moves.map((each) => each.joined)),
    membershipsRemoved: left + sum(moves.map((each) => each.left)),
  };
}

const groupsOf = (directory: Directory, id: string) => directory.groupsOf(directory.findPerson(id)!);
const sum = (numbers: number[]) => numbers.reduce((a, b) => a + b, 0);

/** `count` ids of different people, in a random order that depends on the seed alone. */
function choose(directory: Directory, count: number, seed: number): string[] {
  const { items } = directory.people;
  const chosen = new Set<number>();
  for (let step = 0; chosen.size < Math.min(count, items.length); step += 1) {
    chosen.add(items[draw(seed, step, 11) % items.length]!.serial);
  }
  return [...chosen].map((serial) => directory.id('User', serial));
}

function edited(directory: Directory, id: string, number: number): Partial<PersonFields> {
  const { title, department, familyName } = directory.fields(directory.findPerson(id)!);
  if (number % 4 === 0) return { familyName: otherFamilyName(familyName) };
  if (number % 4 === 1) return { department: pick(departments, departments.indexOf(department ?? '') + 1) };
  return { title: pick(titles, titles.indexOf(title ?? '') + 1) };
}

function move(directory: Directory, id: string, number: number): { joined: number; left: number } {
  const mine = groupsOf(directory, id);
  const old = mine[0];
  const all = directory.groups.items;
  const free = all.length > mine.length;
  let at = number % all.length;
  while (free && mine.includes(all[at]!.serial)) at = (at + 1) % all.length;
  if (!free) return { joined: 0, left: 0 };
  if (old !== undefined) directory.removeMember(directory.id('Group', old), id);
  directory.addMember(directory.id('Group', all[at]!.serial), id);
  return { joined: 1, left: old === undefined ? 0 : 1 };
}
