import * as v from 'valibot';
import {
  type DirectoryGroup,
  type DirectoryUser,
  directoryOptions,
  type PersonField,
  personFieldNames,
} from './directory.ts';

const enterprise = 'urn:ietf:params:scim:schemas:extension:enterprise:2.0:User';
const path = v.pipe(v.string(), v.minLength(1), v.maxLength(200));

/** Where each field of a person stands in a SCIM user (RFC 7643). `list[primary].value` takes the primary or first entry. */
export const scimMapping: Record<PersonField, string> = {
  userName: 'userName',
  displayName: 'displayName',
  givenName: 'name.givenName',
  familyName: 'name.familyName',
  email: 'emails[primary].value',
  phone: 'phoneNumbers[primary].value',
  title: 'title',
  employeeNumber: `${enterprise}:employeeNumber`,
  active: 'active',
};

/** SCIM 2.0 (RFC 7643, 7644, 9865) as a source. Base address: the service root, e.g. https://host/scim/v2. */
export const scimOptions = v.strictObject({
  ...directoryOptions,
  /** Rows asked for a page; the step taken is always the rows that came. Default 200. */
  pageSize: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(10_000)), 200),
  /** `index`: startIndex and count. `cursor`: RFC 9865. Default index; `connect` proposes what the server advertises. */
  paging: v.optional(v.picklist(['index', 'cursor']), 'index'),
  /** SCIM filter that narrows the people, e.g. `active eq true`. Default none. Another filter is another scope. */
  userFilter: v.optional(v.string()),
  /** SCIM filter that narrows the groups. Default none. */
  groupFilter: v.optional(v.string()),
  /**
   * Attribute of a group that holds its parent's id. Default none: groups nest by being members of groups. A group without
   * it is a root; where no group has it, it was not read, and ours stay where they hang.
   */
  parentAttribute: v.optional(path),
  /** Other places for the fields of a person, e.g. {"title": "nickName"}. */
  mapping: v.optional(
    v.partial(
      v.strictObject(Object.fromEntries(personFieldNames.map((f) => [f, path])) as Record<PersonField, typeof path>),
    ),
    {},
  ),
  /** Extra fields kept in org.users.attributes: our key to SCIM path. */
  attributes: v.optional(v.record(v.string(), path), {}),
});

export type ScimOptions = v.InferOutput<typeof scimOptions>;
type Json = Record<string, unknown>;
type Pick = (resource: Json) => unknown;

/** Turns SCIM resources into directory rows by the connection's mapping. */
export function scimReader(options: ScimOptions) {
  const fields = personFieldNames.map((f) => [f, picker(options.mapping[f] ?? scimMapping[f])] as const);
  const extras = Object.entries(options.attributes).map(([key, at]) => [key, picker(at)] as const);
  const parent = options.parentAttribute === undefined ? null : picker(options.parentAttribute);
  return {
    user(resource: Json): DirectoryUser {
      const user: DirectoryUser = { id: resource.id, fields: {} };
      for (const [field, pick] of fields) user.fields[field] = pick(resource);
      if (extras.length > 0) user.attributes = Object.fromEntries(extras.map(([key, pick]) => [key, pick(resource)]));
      return user;
    },
    group(resource: Json): DirectoryGroup {
      const members = Array.isArray(resource.members) ? resource.members : undefined;
      return {
        id: resource.id,
        name: resource.displayName,
        ...(parent !== null && { parentId: parent(resource) }),
        members: members?.map((m: Json | null) => ({
          id: m?.value,
          isGroup: m === null ? null : isGroup(m),
          isPrimary: m?.primary === true,
        })),
      };
    },
  };
}

/** By `type`, else by the path of `$ref` (`…/Users/3`), as servers with integer keys tell it. Null: neither says it. */
function isGroup({ type, $ref }: Json): boolean | null {
  if (typeof type === 'string') return type.toLowerCase() === 'group';
  const kind = typeof $ref === 'string' ? /(?:^|\/)(user|group)s\/[^/]+\/?$/i.exec($ref)?.[1] : undefined;
  return kind === undefined ? null : kind.toLowerCase() === 'group';
}

/** Compiles `a.b`, `urn:…:User:c` or `list[primary].value`. A missing step gives undefined, a null or empty one null. */
function picker(path: string): Pick {
  const steps = splitPath(path).map(step);
  return (resource) => {
    let value: unknown = resource;
    for (const take of steps) {
      if (value === undefined || value === null) return value;
      value = take(value);
    }
    return value;
  };
}

function splitPath(path: string): string[] {
  const colon = path.startsWith('urn:') ? path.lastIndexOf(':') : -1;
  return colon < 0 ? path.split('.') : [path.slice(0, colon), ...path.slice(colon + 1).split('.')];
}

function step(name: string): (value: unknown) => unknown {
  if (!name.endsWith('[primary]')) return (value) => (typeof value === 'object' ? (value as Json)[name] : undefined);
  const list = name.slice(0, -'[primary]'.length);
  return (value) => {
    const entries = (value as Json)[list];
    if (!Array.isArray(entries)) return entries;
    return entries.find((e: Json | null) => e?.primary === true) ?? entries[0] ?? null;
  };
}
