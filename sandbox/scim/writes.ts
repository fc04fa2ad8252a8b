import type { Directory } from './directory.ts';
import type { PersonFields } from './people.ts';
import { Refused } from './registry.ts';
import { enterprise, type Resource } from './resources.ts';

const optional: Partial<PersonFields> = {
  externalId: null,
  givenName: null,
  familyName: null,
  displayName: null,
  email: null,
  phone: null,
  title: null,
  active: null,
  employeeNumber: null,
  department: null,
};

/** Where a simple attribute of a user stands in a SCIM resource, in lower case, and the field it is kept in. */
const userAttributes: Record<string, keyof PersonFields> = {
  username: 'userName',
  externalid: 'externalId',
  displayname: 'displayName',
  title: 'title',
  active: 'active',
  'name.givenname': 'givenName',
  'name.familyname': 'familyName',
  emails: 'email',
  'emails.value': 'email',
  phonenumbers: 'phone',
  'phonenumbers.value': 'phone',
  [`${enterprise}:employeenumber`.toLowerCase()]: 'employeeNumber',
  [`${enterprise}:department`.toLowerCase()]: 'department',
};

/** Creates a user or a group from a request body and returns its id. @throws Refused 400 or 409. */
export function create(directory: Directory, path: string, body: Resource): string {
  if (path === '/Users') {
    const fields = userFields(body);
    if (!fields.userName) throw new Refused(400, 'invalidValue', 'userName is missing; a user needs one');
    return directory.addUser({ ...optional, ...fields }, []);
  }
  const id = directory.addGroup({ displayName: text(body.displayName), externalId: text(body.externalId) });
  addMembers(directory, id, body.members);
  return id;
}

/** PUT: what the body leaves out is taken away. @throws Refused 400, 404 or 409. */
export function replace(directory: Directory, path: string, id: string, body: Resource): void {
  if (path === '/Users') {
    directory.editUser(id, { ...optional, ...userFields(body) });
    return;
  }
  directory.editGroup(id, { displayName: text(body.displayName), externalId: text(body.externalId) });
  dropMembers(directory, id, memberIds(directory, id));
  addMembers(directory, id, body.members);
}

/** PATCH: replaces simple attributes, adds and removes members. Operations may be written `Add`, as some clients do. */
export function patch(directory: Directory, path: string, id: string, body: Resource): void {
  const operations = body.Operations;
  if (!Array.isArray(operations))
    throw new Refused(400, 'invalidSyntax', 'Operations is missing; a PATCH needs a list');
  for (const operation of operations as Resource[]) {
    const op = String(operation.op).toLowerCase();
    if (!['add', 'replace', 'remove'].includes(op)) {
      throw new Refused(400, 'invalidSyntax', `op is ${JSON.stringify(operation.op)}; accepted: add, replace, remove`);
    }
    const at = operation.path === undefined ? '' : String(operation.path);
    if (path === '/Users') patchUser(directory, id, op, at, operation.value);
    else patchGroup(directory, id, op, at, operation.value);
  }
}

/** DELETE. @throws Refused 404. */
export function remove(directory: Directory, path: string, id: string): void {
  if (path === '/Users') directory.removeUser(id);
  else directory.removeGroup(id);
}

function patchUser(directory: Directory, id: string, op: string, at: string, value: unknown): void {
  if (at === '') {
    directory.editUser(id, userFields(asResource(value)));
    return;
  }
  const field = userAttributes[at.replace(/\[[^\]]*\]/, '').toLowerCase()];
  if (!field || (op === 'remove' && field === 'userName')) throw badPath(at, 'any simple attribute of a user');
  directory.editUser(id, { [field]: op === 'remove' ? null : fieldValue(field, value) });
}

function patchGroup(directory: Directory, id: string, op: string, at: string, value: unknown): void {
  const one = /^members\[\s*value\s+eq\s+"([^"]+)"\s*\]$/i.exec(at)?.[1];
  if (at.toLowerCase() === 'members' || (one !== undefined && op === 'remove')) {
    patchMembers(directory, id, op, one === undefined ? value : [{ value: one }]);
    return;
  }
  const field = /^(displayName|externalId)$/i.exec(at)?.[1]?.toLowerCase();
  const plain = at === '' ? asResource(value) : undefined;
  if (!field && !plain) throw badPath(at, 'displayName, externalId, members, members[value eq "…"]');
  const pick = (name: string) => (plain ? plain[name] : field === name.toLowerCase() ? (value ?? null) : undefined);
  const named = (name: string) => (pick(name) === undefined ? undefined : text(pick(name)));
  directory.editGroup(id, { displayName: named('displayName'), externalId: named('externalId') });
  if (plain?.members === undefined) return;
  if (op === 'replace') dropMembers(directory, id, memberIds(directory, id));
  addMembers(directory, id, plain.members);
}

function patchMembers(directory: Directory, id: string, op: string, value: unknown): void {
  const given = valuesOf(value);
  // Removing without saying whom, and replacing, both begin with an empty group.
  const everybody = op === 'replace' || (op === 'remove' && given.length === 0);
  if (everybody) dropMembers(directory, id, memberIds(directory, id));
  if (op === 'remove') dropMembers(directory, id, given);
  else addMembers(directory, id, value);
}

const badPath = (at: string, accepted: string) =>
  new Refused(400, 'invalidPath', `path is ${JSON.stringify(at)}; accepted: ${accepted}`);

function userFields(body: Resource): Partial<PersonFields> {
  const fields: Record<string, unknown> = {};
  const read = (prefix: string, owner: Resource) => {
    for (const [key, value] of Object.entries(owner)) {
      const field = userAttributes[`${prefix}${key}`.toLowerCase()];
      if (field) fields[field] = fieldValue(field, value);
    }
  };
  read('', body);
  read('name.', asResource(body.name ?? {}));
  read(`${enterprise}:`, asResource(body[enterprise] ?? {}));
  return fields as Partial<PersonFields>;
}

function fieldValue(field: keyof PersonFields, value: unknown): string | boolean | null {
  if (field === 'active') return typeof value === 'string' ? value.toLowerCase() === 'true' : value === true;
  if (Array.isArray(value)) {
    const list = value as Resource[];
    return text((list.find((item) => item.primary === true) ?? list[0])?.value);
  }
  if (field === 'userName' && (typeof value !== 'string' || value === '')) {
    throw new Refused(400, 'invalidValue', 'userName is no text; a user needs one');
  }
  return text(value);
}

function asResource(value: unknown): Resource {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Resource;
  throw new Refused(400, 'invalidValue', 'The value is no object; without a path an object of attributes is needed');
}

const text = (value: unknown): string | null => (value === undefined || value === null ? null : String(value));

const valuesOf = (members: unknown): string[] =>
  (Array.isArray(members) ? (members as Resource[]) : []).map((member) => String(member?.value));

function memberIds(directory: Directory, id: string): string[] {
  const group = directory.findGroup(id);
  const children = group?.children.map((serial) => directory.id('Group', serial)) ?? [];
  return [...children, ...(group?.people.map((serial) => directory.id('User', serial)) ?? [])];
}

function addMembers(directory: Directory, id: string, members: unknown): void {
  for (const member of valuesOf(members)) directory.addMember(id, member);
}

function dropMembers(directory: Directory, id: string, members: string[]): void {
  for (const member of members) directory.removeMember(id, member);
}
