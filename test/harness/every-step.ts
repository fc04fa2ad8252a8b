import type { Directory } from '../../sandbox/scim.ts';

/**
 * Changes a directory so that every step of an incremental run has something to write: people go, come, change and
 * move; groups come, are renamed, move and go. Needs 60 people and 8 groups in three levels, and stays below the guards.
 * @param round makes names unique; another one for each call on the same directory
 */
export function changeForEveryStep(directory: Directory, round: number): void {
  const people = directory.userIds();
  const [root] = directory.groupIds() as [string];
  const size = (id: string) => directory.findGroup(id)!.people.length;
  const leaves = directory.groupIds().filter((id) => directory.findGroup(id)!.children.length === 0);
  // The smallest unit goes: its people's memberships go with it, and too many of those would ask for approval.
  leaves.sort((a, b) => size(a) - size(b));
  const [doomed, target, renamed, moved] = leaves as [string, string, string, string];
  for (const id of people.filter((_, i) => i % 20 === round % 20)) directory.removeUser(id);
  directory.addGroup({ displayName: `New unit ${round}`, parent: root });
  directory.renameGroup(renamed, `Renamed unit ${round}`);
  directory.renameGroup(moved, `Moved unit ${round}`);
  directory.moveGroup(moved, root);
  // Nobody may be left without a group: such people are handed back.
  for (const serial of [...directory.findGroup(doomed)!.people])
    directory.addMember(target, directory.id('User', serial));
  directory.removeGroup(doomed);
  for (const id of directory.userIds().slice(0, 5)) directory.addMember(target, id);
  for (const id of directory.userIds().slice(5, 10)) directory.editUser(id, { title: `Keeper ${round}` });
  for (let i = 0; i < 3; i++) directory.addUser({ userName: `new.${round}.${i}@example.org` }, [target]);
}
