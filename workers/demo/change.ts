import type { Directory } from '../../sandbox/scim.ts';

/** What a round of changes did, in people and groups. */
export interface Round {
  joined: number;
  left: number;
  edited: number;
  moved: number;
  /** People whose group was closed and who were put into another one. */
  rehomed: number;
}

/** Every so many people one of each kind: together about 1 % of the directory. */
const oneIn = { joined: 500, left: 500, edited: 200, moved: 1_000 };

/**
 * A day at the source: people join, leave, get another title and change groups; a group is founded, one is renamed, one
 * moves with everything below it, one is closed. Another `round` concerns other people and other names.
 */
export function changeDirectory(directory: Directory, round: number): Round {
  const ids = directory.userIds();
  const some = (count: number, offset: number) => pick(ids, Math.max(1, Math.round(count)), offset * 7 + round);
  const left = some(ids.length / oneIn.left, 1);
  const free = (id: string) => !left.includes(id);
  const edited = some(ids.length / oneIn.edited, 2).filter(free);
  const moved = some(ids.length / oneIn.moved, 3).filter(free);

  const groups = changeGroups(directory, round);
  for (const id of edited) directory.editUser(id, { title: `Senior ${titleOf(directory, id)}` });
  for (const id of moved) {
    for (const serial of [...directory.groupsOf(directory.findPerson(id)!)])
      directory.removeMember(directory.id('Group', serial), id);
    directory.addMember(groups.founded, id);
  }
  directory.removeUsers(left);
  const joined = Math.max(1, Math.round(ids.length / oneIn.joined));
  for (let i = 0; i < joined; i++) directory.addUser({}, [groups.founded]);
  return { joined, left: left.length, edited: edited.length, moved: moved.length, rehomed: groups.rehomed };
}

function changeGroups(directory: Directory, round: number): { founded: string; rehomed: number } {
  const all = directory.groupIds();
  const [root] = all as [string];
  const at = (id: string) => directory.findGroup(id)!;
  const leaves = all.filter((id) => at(id).children.length === 0 && at(id).parents.length > 0);
  // The smallest closes: its people's memberships go with it, and too many of those would ask for approval.
  const [closed, heir, renamed] = leaves.sort((a, b) => at(a).people.length - at(b).people.length) as [
    string,
    string,
    string,
  ];
  const moving = leaves.find((id) => ![closed, heir, renamed].includes(id) && at(id).parents[0] !== at(root).serial)!;

  const founded = directory.addGroup({ displayName: `Workshop ${round}`, parent: root });
  directory.renameGroup(renamed, `${at(renamed).displayName} and Partners ${round}`);
  // Siblings must not share a name, and below the root this one may meet its like.
  directory.renameGroup(moving, `${at(moving).displayName} Annex ${round}`);
  directory.moveGroup(moving, root);
  const people = [...at(closed).people].map((serial) => directory.id('User', serial));
  for (const id of people) directory.addMember(heir, id);
  directory.removeGroup(closed);
  return { founded, rehomed: people.length };
}

/** `count` different ids, evenly spread, beginning at `offset`. */
function pick(ids: readonly string[], count: number, offset: number): string[] {
  const stride = Math.max(1, Math.floor(ids.length / count));
  return Array.from({ length: Math.min(count, ids.length) }, (_, i) => ids[(offset + i * stride) % ids.length]!);
}

function titleOf(directory: Directory, id: string): string {
  return directory.fields(directory.findPerson(id)!).title ?? 'Clerk';
}
