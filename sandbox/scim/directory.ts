import type { PersonFields } from './people.ts';
import { type Group, type Person, Registry } from './registry.ts';

/** People and groups in memory, and every way to change them. A change takes effect for the next request. Unknown ids throw `Refused`. */
export class Directory extends Registry {
  /**
   * Adds a person and returns the id. Fields left out are invented. Without `groups` (ids) the person joins one group
   * chosen by the row number; `groups: []` makes a person without any group.
   * @throws Refused 409 `uniqueness` when the user name is taken; 404 for an unknown group.
   */
  addUser(fields: Partial<PersonFields> = {}, groups?: string[]): string {
    const homes = groups?.map((id) => this.group(id)) ?? this.#homeOf(this.nextPerson);
    const person: Person = { serial: this.nextPerson, groups: [], created: this.settings.now() };
    const edits = { ...fields };
    if (edits.userName !== undefined) this.takeName(person, edits.userName);
    if (Object.keys(edits).length > 0) person.edits = edits;
    this.nextPerson += 1;
    this.people.push(person);
    this.onTouch('User', person.serial);
    for (const group of homes) this.#join(group, person);
    return this.id('User', person.serial);
  }

  /** Changes some fields of a person. `null` takes the attribute away; `undefined` leaves it alone. */
  editUser(id: string, fields: Partial<PersonFields>): void {
    const person = this.person(id);
    const given = Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
    if (fields.userName !== undefined) this.takeName(person, fields.userName);
    person.edits = { ...person.edits, ...given };
    this.touchPerson(person);
    // The display name of a person also stands in the member lists of the groups.
    for (const serial of this.groupsOf(person)) this.onTouch('Group', serial);
  }

  /** Changes the user name only: id, mail and everything else stay. */
  renameUser(id: string, userName: string): void {
    this.editUser(id, { userName });
  }

  /** Removes a person from the directory and from all groups. */
  removeUser(id: string): void {
    this.removeUsers([id]);
  }

  /** Removes many people at the cost of one. */
  removeUsers(ids: readonly string[]): void {
    const people = ids.map((id) => this.person(id));
    for (const person of people) {
      for (const serial of [...this.groupsOf(person)]) this.#leave(this.groups.find(serial)!, person);
      this.dropName(person);
      this.onTouch('User', person.serial);
    }
    this.people.remove(new Set(people.map((person) => person.serial)));
  }

  /** Adds a group, as a root or below `parent` (an id), and returns its id. Names are not checked: SCIM does not either. */
  addGroup(fields: { displayName: string | null; parent?: string | null; externalId?: string | null }): string {
    const parent = fields.parent == null ? undefined : this.group(fields.parent);
    const serial = this.nextGroup++;
    const at = this.settings.now();
    const { displayName, externalId = null } = fields;
    const group = { serial, displayName, externalId, parents: [], children: [], people: [], created: at, modified: at };
    this.groups.push(group);
    this.onTouch('Group', serial);
    if (parent) this.#hang(parent, group);
    return this.id('Group', serial);
  }

  /** Puts a group below another one, or makes it a root (`null`). A cycle is allowed: real directories have them. */
  moveGroup(id: string, newParent: string | null): void {
    const group = this.group(id);
    const target = newParent === null ? undefined : this.group(newParent);
    for (const serial of [...group.parents]) this.#unhang(this.groups.find(serial)!, group);
    if (target) this.#hang(target, group);
  }

  /** Changes the name of a group; another group may have the same name. */
  renameGroup(id: string, displayName: string | null): void {
    this.editGroup(id, { displayName });
  }

  /** Changes name or external id of a group. */
  editGroup(id: string, fields: { displayName?: string | null; externalId?: string | null }): void {
    const group = this.group(id);
    if (fields.displayName !== undefined) group.displayName = fields.displayName;
    if (fields.externalId !== undefined) group.externalId = fields.externalId;
    this.touchGroup(group);
    // Its name also stands in the groups that hold it and, where users carry groups, in its people.
    for (const serial of group.parents) this.onTouch('Group', serial);
    for (const serial of group.people) this.onTouch('User', serial);
  }

  /** Removes a group. Its children become roots, its people lose this membership only. */
  removeGroup(id: string): void {
    const group = this.group(id);
    for (const serial of [...group.parents]) this.#unhang(this.groups.find(serial)!, group);
    for (const serial of [...group.children]) this.#unhang(group, this.groups.find(serial)!);
    for (const serial of [...group.people]) this.#leave(group, this.people.find(serial)!);
    this.groups.remove(new Set([group.serial]));
    this.onTouch('Group', group.serial);
  }

  /** Adds a person, or a group as a further child, to a group. Nothing happens when it is a member already. */
  addMember(group: string, member: string): void {
    const target = this.group(group);
    const person = this.findPerson(member);
    if (person) this.#join(target, person);
    else this.#hang(target, this.group(member));
  }

  /** Takes a person or a child group out of a group. Nothing happens when it is no member. */
  removeMember(group: string, member: string): void {
    const target = this.group(group);
    const person = this.findPerson(member);
    if (person) this.#leave(target, person);
    else this.#unhang(target, this.group(member));
  }

  #homeOf(serial: number): Group[] {
    return this.groups.length === 0 ? [] : [this.groups.items[(serial * 7919) % this.groups.length]!];
  }

  #join(group: Group, person: Person): void {
    if (this.groupsOf(person).includes(group.serial)) return;
    person.groups = [...this.groupsOf(person), group.serial];
    group.people.push(person.serial);
    this.#touchMembership(group, person);
  }

  #leave(group: Group, person: Person): void {
    if (!this.groupsOf(person).includes(group.serial)) return;
    person.groups = this.groupsOf(person).filter((serial) => serial !== group.serial);
    group.people.splice(group.people.indexOf(person.serial), 1);
    this.#touchMembership(group, person);
  }

  #hang(parent: Group, child: Group): void {
    if (parent.children.includes(child.serial)) return;
    parent.children.push(child.serial);
    child.parents.push(parent.serial);
    this.touchGroup(parent);
  }

  #unhang(parent: Group, child: Group): void {
    if (!parent.children.includes(child.serial)) return;
    parent.children.splice(parent.children.indexOf(child.serial), 1);
    child.parents.splice(child.parents.indexOf(parent.serial), 1);
    this.touchGroup(parent);
  }

  #touchMembership(group: Group, person: Person): void {
    const { membershipBumps } = this.settings;
    if (membershipBumps === 'group' || membershipBumps === 'both') group.modified = this.settings.now();
    if (membershipBumps === 'user' || membershipBumps === 'both') person.modified = this.settings.now();
    this.onTouch('Group', group.serial);
    this.onTouch('User', person.serial);
  }
}
