import { idOf, type Kind, serialOf } from './ids.ts';
import { bornAs, nameAtBirth, type PersonFields } from './people.ts';
import { Rows } from './rows.ts';

/** One person, kept small: what was never edited is computed from the row number. */
export interface Person {
  readonly serial: number;
  /** Row numbers of the person's groups; absent as long as they are the ones from birth (read `Registry.groupsOf`). */
  groups?: number[];
  edits?: Partial<PersonFields>;
  /** Milliseconds since 1970; absent for people that came with the directory. */
  created?: number;
  modified?: number;
}

/** One group. Its children and its people are what SCIM shows as `members`. */
export interface Group {
  readonly serial: number;
  displayName: string | null;
  externalId: string | null;
  /** Row numbers of the groups that hold this one; empty for a root. A tree has one at most, a client may add more. */
  parents: number[];
  children: number[];
  people: number[];
  created: number;
  modified: number;
}

/** Whose `meta.lastModified` moves when a membership changes. Real servers differ in this. */
export type MembershipBumps = 'group' | 'user' | 'both' | 'none';

/** How a directory behaves; see `ScimSandboxOptions` for the meaning of each. */
export interface DirectorySettings {
  seed: number;
  inactiveShare: number;
  membershipBumps: MembershipBumps;
  now: () => number;
}

/** A request that the directory refuses; the server turns it into a SCIM error body. */
export class Refused extends Error {
  override name = 'Refused';
  readonly status: number;
  readonly scimType: string | undefined;

  constructor(status: number, scimType: string | undefined, detail: string) {
    super(detail);
    this.status = status;
    this.scimType = scimType;
  }
}

const firstDay = Date.UTC(2024, 0, 1);

/** The rows of a directory, how they are found, and when they were touched. Holds no rule about what may change. */
export class Registry {
  readonly settings: DirectorySettings;
  readonly people = new Rows<Person>();
  readonly groups = new Rows<Group>();
  /** Called with every row whose resource has changed, so that prepared pages can be dropped. */
  onTouch: (kind: Kind, serial: number) => void = () => undefined;
  /** The numbers that the next person and the next group get. */
  protected nextPerson = 1;
  protected nextGroup = 1;
  /** The groups that a person of the start was born into. */
  #homes: (serial: number) => number[] = () => [];
  /** User names that are not the ones from birth, in lower case. */
  readonly #givenNames = new Map<string, number>();

  constructor(settings: DirectorySettings) {
    this.settings = settings;
  }

  /** Row numbers of the groups that a person is in. Read only. */
  groupsOf(person: Person): readonly number[] {
    return person.groups ?? this.#homes(person.serial);
  }

  /** The SCIM id of a row number. */
  id(kind: Kind, serial: number): string {
    return idOf(this.settings.seed, kind, serial);
  }

  /** The living person with this id, or undefined. */
  findPerson(id: string): Person | undefined {
    const serial = serialOf(this.settings.seed, 'User', id);
    return serial === undefined ? undefined : this.people.find(serial);
  }

  /** The living group with this id, or undefined. */
  findGroup(id: string): Group | undefined {
    const serial = serialOf(this.settings.seed, 'Group', id);
    return serial === undefined ? undefined : this.groups.find(serial);
  }

  /** The living person with this user name, without regard to case. */
  findByUserName(userName: string): Person | undefined {
    const wanted = userName.toLowerCase();
    const given = this.#givenNames.get(wanted);
    const number = given ?? Number(/(\d+)@/.exec(wanted)?.[1] ?? Number.NaN);
    const person = Number.isSafeInteger(number) ? this.people.find(number) : undefined;
    return person && this.fields(person).userName.toLowerCase() === wanted ? person : undefined;
  }

  /** The living people with this external id; unlike user names it may be given twice. */
  findByExternalId(externalId: string): Person[] {
    const number = Number(/^E(\d{7,})$/.exec(externalId)?.[1] ?? Number.NaN);
    return this.people.items.filter((person) => {
      const edited = person.edits?.externalId;
      return edited === undefined ? person.serial === number : edited === externalId;
    });
  }

  /** Everything known about a person, edits included. */
  fields(person: Person): PersonFields {
    const born = bornAs(this.settings.seed, person.serial, this.settings.inactiveShare);
    if (!person.edits) return born;
    const fields = { ...born, ...person.edits };
    if (person.edits.displayName === undefined) {
      fields.displayName = [fields.givenName, fields.familyName].filter(Boolean).join(' ') || null;
    }
    return fields;
  }

  /** The display name alone: member lists need a million of them. */
  displayName(person: Person): string | null {
    return person.edits ? this.fields(person).displayName : nameAtBirth(this.settings.seed, person.serial);
  }

  /** When a person was created and last changed, in milliseconds since 1970. */
  times(person: Person): { created: number; modified: number } {
    const created = person.created ?? firstDay + person.serial * 30_000;
    return { created, modified: person.modified ?? created };
  }

  /** Ids of all living people, in the order of their creation. */
  userIds(): string[] {
    return this.people.items.map((person) => this.id('User', person.serial));
  }

  /** Ids of all living groups, in the order of their creation: a parent stands before the children it was born with. */
  groupIds(): string[] {
    return this.groups.items.map((group) => this.id('Group', group.serial));
  }

  /** How many people, groups, and memberships of people in groups there are. */
  counts(): { users: number; groups: number; memberships: number } {
    const memberships = this.groups.items.reduce((sum, group) => sum + group.people.length, 0);
    return { users: this.people.length, groups: this.groups.length, memberships };
  }

  protected person(id: string): Person {
    const person = this.findPerson(id);
    if (!person) throw new Refused(404, undefined, `Resource ${id} not found: no living user has this id`);
    return person;
  }

  protected group(id: string): Group {
    const group = this.findGroup(id);
    if (!group) throw new Refused(404, undefined, `Resource ${id} not found: no living group has this id`);
    return group;
  }

  protected touchPerson(person: Person): void {
    person.modified = this.settings.now();
    this.onTouch('User', person.serial);
  }

  protected touchGroup(group: Group): void {
    group.modified = this.settings.now();
    this.onTouch('Group', group.serial);
  }

  /** Makes `userName` the name of this person only. */
  protected takeName(person: Person, userName: string): void {
    const owner = this.findByUserName(userName);
    if (owner && owner !== person) throw new Refused(409, 'uniqueness', 'userName is taken by another user');
    this.dropName(person);
    this.#givenNames.set(userName.toLowerCase(), person.serial);
  }

  protected dropName(person: Person): void {
    if (person.edits?.userName) this.#givenNames.delete(person.edits.userName.toLowerCase());
  }

  /** Fills an empty directory. `homes` gives the groups of every person again and again the same, and none is kept twice. */
  seedWith(groups: Group[], people: Person[], homes: (serial: number) => number[]): void {
    this.#homes = homes;
    for (const group of groups) this.groups.push(group);
    for (const person of people) this.people.push(person);
    this.nextGroup = (groups.at(-1)?.serial ?? 0) + 1;
    this.nextPerson = (people.at(-1)?.serial ?? 0) + 1;
  }
}
