import type { Directory } from './directory.ts';
import type { Kind } from './ids.ts';
import { type Group, type Person, Refused } from './registry.ts';
import { attributePath, type Projection } from './resources.ts';

/** What a list request asks for. Numbers as RFC 7644 reads them: `startIndex` below 1 is 1, a negative `count` is 0. */
export interface ListQuery {
  startIndex: number;
  /** Undefined when the client left it out. */
  count: number | undefined;
  /** Undefined when the client left it out; empty for the first page. */
  cursor: string | undefined;
  filter: string | undefined;
  projection: Projection;
}

/** Reads the parameters of a list request. @throws Refused 400 `invalidValue` or `invalidCount` for what is no integer. */
export function readQuery(params: URLSearchParams): ListQuery {
  const cursor = params.get('cursor') ?? undefined;
  const start = integer(params, 'startIndex', 'invalidValue') ?? 1;
  const count = integer(params, 'count', cursor === undefined ? 'invalidValue' : 'invalidCount');
  return {
    startIndex: Math.max(1, start),
    count: count === undefined ? undefined : Math.max(0, count),
    cursor,
    filter: params.get('filter') ?? undefined,
    projection: readProjection(params),
  };
}

/** Reads `attributes` and `excludedAttributes`. @throws Refused 400 when both are given. */
export function readProjection(params: URLSearchParams): Projection {
  const names = (name: string) => {
    const text = params.get(name) ?? '';
    const list = text.split(',').map((part) => part.trim());
    return list.filter((part) => part !== '');
  };
  const projection = { only: names('attributes'), without: names('excludedAttributes') };
  if (projection.only.length > 0 && projection.without.length > 0) {
    throw new Refused(400, 'invalidValue', 'attributes and excludedAttributes exclude each other; send one of them');
  }
  return projection;
}

function integer(params: URLSearchParams, name: string, scimType: string): number | undefined {
  const text = params.get(name);
  if (text === null) return undefined;
  if (/^-?\d{1,15}$/.test(text)) return Number(text);
  throw new Refused(400, scimType, `${name} is ${JSON.stringify(text)}; accepted: an integer`);
}

/** One comparison of a filter. */
export interface Filter {
  /** In lower case, such as `meta.lastmodified`. */
  attribute: string;
  operator: 'eq' | 'gt' | 'ge';
  value: string | boolean;
}

const comparison = /\s*(\()?\s*([\w.:-]+)\s+(eq|gt|ge)\s+("(?:[^"\\]|\\.)*"|true|false)(?=[\s)]|$)\s*(\))?\s*/iy;
const conjunction = /and\b/iy;

/** Reads comparisons joined by `and`, each in brackets or not: all must hold. @throws Refused 400 `invalidFilter` for any other shape. */
export function readFilter(text: string): Filter[] {
  const filters: Filter[] = [];
  for (let at = 0; ; at = conjunction.lastIndex) {
    comparison.lastIndex = at;
    const parts = comparison.exec(text);
    if (!parts || (parts[1] === undefined) !== (parts[5] === undefined))
      throw invalidFilter('its shape is not: attribute eq|gt|ge "value", or several of them joined by and');
    const operator = parts[3]!.toLowerCase() as Filter['operator'];
    const attribute = attributePath(parts[2]!).join('.').toLowerCase();
    filters.push({
      attribute,
      operator,
      value: JSON.parse(parts[4]!.replace(/^(true|false)$/i, (word) => word.toLowerCase())),
    });
    conjunction.lastIndex = comparison.lastIndex;
    if (comparison.lastIndex === text.length) return filters;
    if (!conjunction.test(text)) throw invalidFilter('comparisons are joined by and alone');
  }
}

const accepted = 'id, userName, externalId, active, displayName, members.value (eq); meta.lastModified (gt, ge)';
const invalidFilter = (why: string) =>
  new Refused(400, 'invalidFilter', `The filter cannot be read: ${why}; accepted: ${accepted}`);

/** The people that all comparisons leave, in the order of their creation. @throws Refused 400 for an attribute it does not know. */
export function filterPeople(directory: Directory, filters: Filter[]): Person[] {
  return common(filters.map((filter) => comparePeople(directory, filter)));
}

/** The groups that all comparisons leave, in the order of their creation. @throws Refused 400 for an attribute it does not know. */
export function filterGroups(directory: Directory, filters: Filter[]): Group[] {
  return common(filters.map((filter) => compareGroups(directory, filter)));
}

function common<T>(lists: T[][]): T[] {
  return lists.reduce((left, right) => {
    const kept = new Set(right);
    return left.filter((row) => kept.has(row));
  });
}

function comparePeople(directory: Directory, filter: Filter): Person[] {
  const { attribute, value } = filter;
  const one = (person: Person | undefined) => (person ? [person] : []);
  if (attribute === 'meta.lastmodified') {
    return directory.people.items.filter((person) => isLater(filter, directory.times(person).modified));
  }
  if (filter.operator !== 'eq') throw invalidFilter(`${filter.operator} is not for this attribute`);
  if (attribute === 'id') return one(directory.findPerson(String(value)));
  if (attribute === 'username') return one(directory.findByUserName(String(value)));
  if (attribute === 'externalid') return directory.findByExternalId(String(value));
  if (attribute === 'active')
    return directory.people.items.filter((person) => directory.fields(person).active === value);
  throw invalidFilter('users cannot be filtered by this attribute');
}

function compareGroups(directory: Directory, filter: Filter): Group[] {
  const { attribute, value } = filter;
  const groups = directory.groups.items;
  if (attribute === 'meta.lastmodified') return groups.filter((group) => isLater(filter, group.modified));
  if (filter.operator !== 'eq') throw invalidFilter(`${filter.operator} is not for this attribute`);
  if (attribute === 'id') return groups.filter((group) => group === directory.findGroup(String(value)));
  if (attribute === 'externalid') return groups.filter((group) => group.externalId === value);
  if (attribute === 'displayname') return groups.filter((group) => group.displayName === value);
  if (attribute === 'members.value') return groupsOfMember(directory, String(value));
  throw invalidFilter('groups cannot be filtered by this attribute');
}

function groupsOfMember(directory: Directory, id: string): Group[] {
  const person = directory.findPerson(id);
  const serials = person ? directory.groupsOf(person) : (directory.findGroup(id)?.parents ?? []);
  const sorted = [...serials].sort((a, b) => a - b);
  return sorted.map((serial) => directory.groups.find(serial)!);
}

function isLater(filter: Filter, modified: number): boolean {
  const than = Date.parse(String(filter.value));
  if (Number.isNaN(than)) throw invalidFilter('the value is no date');
  if (filter.operator === 'eq') return modified === than;
  return filter.operator === 'gt' ? modified > than : modified >= than;
}

/** Which list a path names. */
export const kindOf = (path: string): Kind => (path === '/Users' ? 'User' : 'Group');
