import type { Directory } from './directory.ts';
import { draw } from './ids.ts';
import { unitName } from './people.ts';
import type { Group, Person } from './registry.ts';

/** The size of a directory at its start; see `ScimSandboxOptions`. */
export interface Size {
  users: number;
  groups: number;
  membershipsPerUser: number;
  depth: number;
}

/** Fills an empty directory: a tree of groups, then people, each with at least one group when there is any. */
export function grow(directory: Directory, size: Size): void {
  const { seed } = directory.settings;
  const groups = growTree(seed, size.groups, size.depth);
  const homes = (serial: number) =>
    groups.length === 0 ? [] : homesOf(seed, serial, size.groups, size.membershipsPerUser);
  const people = Array.from({ length: size.users }, (_, index): Person => ({ serial: index + 1 }));
  for (const { serial } of people) for (const home of homes(serial)) groups[home - 1]!.people.push(serial);
  directory.seedWith(groups, people, homes);
}

/** One root and as few children a group as `depth` levels allow, filled level by level. Depth 1: every group is a root. */
function growTree(seed: number, count: number, depth: number): Group[] {
  const groups: Group[] = [];
  const branch = depth === 1 ? 0 : branchFor(count, depth);
  const at = Date.UTC(2024, 0, 1);
  for (let index = 0; index < count; index += 1) {
    const parent = branch === 0 || index === 0 ? undefined : groups[Math.floor((index - 1) / branch)]!;
    const position = parent ? parent.children.length : index;
    parent?.children.push(index + 1);
    groups.push({
      serial: index + 1,
      displayName: unitName(seed, parent?.serial ?? 0, position),
      externalId: `G${String(index + 1).padStart(6, '0')}`,
      parents: parent ? [parent.serial] : [],
      children: [],
      people: [],
      created: at + index * 1000,
      modified: at + index * 1000,
    });
  }
  return groups;
}

function branchFor(count: number, depth: number): number {
  for (let branch = 1; ; branch += 1) {
    let room = 0;
    for (let level = 0; level < depth; level += 1) room += branch ** level;
    if (room >= count) return branch;
  }
}

/** The numbers of a person's groups: `average` of them over many people, never none, no group twice. */
function homesOf(seed: number, serial: number, groups: number, average: number): number[] {
  const chance = draw(seed, serial, 4) / 2 ** 32;
  const wanted = Math.min(groups, Math.floor(average) + (chance < average % 1 ? 1 : 0));
  const first = draw(seed, serial, 5) % groups;
  const homes = [first + 1];
  const stride = draw(seed, serial, 6) % groups;
  for (let step = 1; homes.length < wanted; step += 1) {
    let next = ((first + step * stride) % groups) + 1;
    while (homes.includes(next)) next = (next % groups) + 1;
    homes.push(next);
  }
  return homes;
}
