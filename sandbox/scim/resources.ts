import type { Directory } from './directory.ts';
import type { Kind } from './ids.ts';
import type { Group, Person } from './registry.ts';

export const enterprise = 'urn:ietf:params:scim:schemas:extension:enterprise:2.0:User';
export const coreUser = 'urn:ietf:params:scim:schemas:core:2.0:User';
export const coreGroup = 'urn:ietf:params:scim:schemas:core:2.0:Group';

/** A SCIM resource or a part of one. */
export type Resource = Record<string, unknown>;

/** Which attributes a client asked for, in lower case; empty lists mean everything. */
export interface Projection {
  only: readonly string[];
  without: readonly string[];
}

/** Where resources live and how much they say. */
export interface View {
  /** The base address, without a slash at the end. */
  url: string;
  /** Users carry their groups. */
  userGroups: boolean;
}

const absentWhenNull = <T>(value: T | null): T | undefined => value ?? undefined;

/** The SCIM form of a person. Attributes without a value are left out. */
export function userResource(directory: Directory, person: Person, view: View): Resource {
  const id = directory.id('User', person.serial);
  const fields = directory.fields(person);
  const { email, phone, givenName, familyName } = fields;
  const resource: Resource = {
    schemas: [coreUser, enterprise],
    id,
    externalId: absentWhenNull(fields.externalId),
    userName: fields.userName,
    name: {
      givenName: absentWhenNull(givenName),
      familyName: absentWhenNull(familyName),
      formatted: [givenName, familyName].filter(Boolean).join(' ') || undefined,
    },
    displayName: absentWhenNull(fields.displayName),
    emails: email === null ? undefined : [{ value: email, type: 'work', primary: true }],
    phoneNumbers: phone === null ? undefined : [{ value: phone }],
    title: absentWhenNull(fields.title),
    active: absentWhenNull(fields.active),
    [enterprise]: {
      employeeNumber: absentWhenNull(fields.employeeNumber),
      department: absentWhenNull(fields.department),
    },
  };
  if (view.userGroups) {
    resource.groups = directory.groupsOf(person).map((serial) => ({
      value: directory.id('Group', serial),
      display: directory.groups.find(serial)?.displayName ?? undefined,
    }));
  }
  resource.meta = metaOf('User', directory.times(person), `${view.url}/Users/${id}`);
  return resource;
}

/** The SCIM form of a group; child groups come before people. `withMembers: false` spares the work of listing them. */
export function groupResource(directory: Directory, group: Group, view: View, withMembers = true): Resource {
  const id = directory.id('Group', group.serial);
  return {
    schemas: [coreGroup],
    id,
    externalId: absentWhenNull(group.externalId),
    displayName: absentWhenNull(group.displayName),
    members: withMembers ? membersOf(directory, group) : undefined,
    meta: metaOf('Group', group, `${view.url}/Groups/${id}`),
  };
}

function membersOf(directory: Directory, group: Group): Resource[] {
  const member = (type: Kind, serial: number, display: string | null | undefined) => {
    const value = directory.id(type, serial);
    return { value, type, display: display ?? undefined, $ref: `../${type}s/${value}` };
  };
  return [
    ...group.children.map((serial) => member('Group', serial, directory.groups.find(serial)?.displayName)),
    ...group.people.map((serial) => member('User', serial, directory.displayName(directory.people.find(serial)!))),
  ];
}

function metaOf(resourceType: Kind, times: { created: number; modified: number }, location: string): Resource {
  const created = new Date(times.created).toISOString();
  const lastModified = times.modified === times.created ? created : new Date(times.modified).toISOString();
  return { resourceType, created, lastModified, location };
}

/** The parts of an attribute name: `name.givenName`, `emails`, or `urn:…:User:department`. */
export function attributePath(attribute: string): string[] {
  if (!/^urn:/i.test(attribute)) return attribute.split('.');
  const core = /^urn:ietf:params:scim:schemas:core:2\.0:(?:User|Group):(.+)$/i.exec(attribute);
  if (core) return core[1]!.split('.');
  if (attribute.length <= enterprise.length) return [attribute];
  return [attribute.slice(0, enterprise.length), ...attribute.slice(enterprise.length + 1).split('.')];
}

/** Leaves out what a client did not ask for. `id` and `schemas` are always returned. Changes the resource in place. */
export function project(resource: Resource, projection: Projection): Resource {
  for (const attribute of projection.without)
    visit(resource, attributePath(attribute), (owner, key) => delete owner[key]);
  if (projection.only.length === 0) return resource;
  const kept: Resource = { schemas: resource.schemas, id: resource.id };
  for (const attribute of projection.only) keep(resource, kept, attributePath(attribute));
  return kept;
}

/** Calls `change` with every place that an attribute path leads to: many for a path into a list. Names ignore case. */
export function visit(owner: Resource, path: readonly string[], change: (owner: Resource, key: string) => void): void {
  const key = findKey(owner, path[0]!);
  if (key === undefined) return;
  if (path.length === 1) {
    if (key !== 'id' && key !== 'schemas') change(owner, key);
    return;
  }
  for (const inner of [owner[key]].flat()) {
    if (typeof inner === 'object' && inner !== null) visit(inner as Resource, path.slice(1), change);
  }
}

function keep(from: Resource, to: Resource, path: readonly string[]): void {
  const key = findKey(from, path[0]!);
  if (key === undefined) return;
  const value = from[key];
  if (path.length === 1 || typeof value !== 'object' || value === null) {
    to[key] = value;
  } else if (Array.isArray(value)) {
    to[key] = value.map((item: Resource) => pickInner(item, path.slice(1)));
  } else {
    to[key] = { ...(to[key] as Resource), ...pickInner(value as Resource, path.slice(1)) };
  }
}

function pickInner(item: Resource, path: readonly string[]): Resource {
  const kept: Resource = {};
  keep(item, kept, path);
  return kept;
}

function findKey(owner: Resource, name: string): string | undefined {
  const wanted = name.toLowerCase();
  return Object.keys(owner).find((key) => key.toLowerCase() === wanted);
}
