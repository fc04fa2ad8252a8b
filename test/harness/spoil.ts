import type { Directory } from '../../sandbox/scim.ts';

const enterprise = 'urn:ietf:params:scim:schemas:extension:enterprise:2.0:User';

/** A person of the sandbox as the text of a SCIM record, with some attributes replaced: what the fault `raw` puts in its place. */
export function recordOf(directory: Directory, id: string, change: Record<string, unknown>): string {
  const f = directory.fields(directory.findPerson(id)!);
  return JSON.stringify({
    id,
    userName: f.userName,
    displayName: f.displayName,
    name: { givenName: f.givenName, familyName: f.familyName },
    emails: [{ value: f.email, primary: true }],
    phoneNumbers: [{ value: f.phone }],
    title: f.title,
    active: f.active,
    [enterprise]: { employeeNumber: f.employeeNumber },
    ...change,
  });
}

/** Where a person or group stands when the list is read `size` rows a page. */
export function positionOf(stream: 'users' | 'groups', ids: readonly string[], id: string, size: number): string {
  const at = ids.indexOf(id);
  return `${stream} page ${Math.floor(at / size) + 1} row ${(at % size) + 1}`;
}

/** A group and everything that hangs below it, cycles included. */
export function withAllBelow(directory: Directory, id: string): Set<string> {
  const found = new Set<string>();
  const open = [id];
  for (let at = open.pop(); at !== undefined; at = open.pop()) {
    if (found.has(at)) continue;
    found.add(at);
    open.push(...directory.findGroup(at)!.children.map((serial) => directory.id('Group', serial)));
  }
  return found;
}

/** People who sit in none but these groups. */
export function onlyIn(directory: Directory, groups: ReadonlySet<string>): Set<string> {
  return new Set(
    directory.userIds().filter((id) => {
      const homes = directory.groupsOf(directory.findPerson(id)!);
      return homes.every((serial) => groups.has(directory.id('Group', serial)));
    }),
  );
}

/** Ids without those of the set, in byte order as Postgres gives them. */
export const without = (ids: readonly string[], set: ReadonlySet<string>): string[] =>
  ids.filter((id) => !set.has(id)).sort();
