import type { DirectoryUser } from '../../../connectors/directory.ts';
import type { GroupList, OrgOptions, PersonId, UserList } from '../../../connectors/org.ts';
import type { StagePage } from '../../../db/org/stageRows.ts';
import { valueAt } from '../../http/values.ts';
import { addGroup, addUser } from '../records.ts';

/** Options of a connection, with the settings of its connector beside those that every directory has. */
export type Options = OrgOptions & Record<string, unknown>;

export interface GroupAt {
  /** The department whose children were asked for; absent: the record tells its parent. */
  below?: string;
  /** The root that was asked for: some platforms answer about it without its id or name. */
  root?: string;
  /** Whether a department hangs below nothing that is read: a root, or the top of what may be seen. */
  isTop(id: string, parent: string): boolean;
  position: string;
}

/** Adds a department. */
export function putGroup(page: StagePage, list: GroupList, record: unknown, at: GroupAt): void {
  const id = at.root ?? textOf(valueAt(record, list.id));
  const told = at.below ?? textOf(valueAt(record, list.parent));
  const isTop = id !== undefined && (told === id || at.isTop(id, told ?? ''));
  const name = list.name === undefined ? undefined : valueAt(record, list.name);
  const before = page.groups.length;
  addGroup(
    page,
    {
      id,
      name: name === '' ? undefined : name,
      namesUntold: list.name === undefined || at.root !== undefined,
      parentId: isTop ? null : (told ?? null),
      members: [],
    },
    record,
    at.position,
  );
  const group = page.groups[before];
  // A parent that the platform hides must not make a root of it: it is handed back and stays where it is.
  if (group && !isTop && told === undefined)
    group.fault ??= {
      reason: 'missing_field',
      field: 'parentId',
      record: JSON.stringify(record),
      position: at.position,
    };
}

/**
 * Adds a person with every department the record names, and the one that was asked for: a record whose departments are
 * hidden still stands in that one.
 */
export function putUser(
  page: StagePage,
  list: UserList,
  options: Options,
  record: unknown,
  at: { group: string | null; position: string },
): void {
  const id = textOf(valueAt(record, personPath(list.id, options)));
  const before = page.users.length;
  addUser(page, personOf(list, options, record, id), record, at.position);
  if (page.users.length === before || id === undefined) return;
  const groups = new Set([...idsOf(valueAt(record, list.groups)), ...(at.group === null ? [] : [at.group])]);
  const primary = primaryOf(list, record);
  for (const groupId of groups)
    page.members.push({ groupId, memberId: id, isGroup: false, isPrimary: groupId === primary });
}

/** Where the id of a person stands. */
export function personPath(id: PersonId, options: Options): string {
  return typeof id === 'string' ? id : String(options[id.option]);
}

/** Ids of a list or of one value, as text. */
export function idsOf(value: unknown): string[] {
  return (Array.isArray(value) ? value : [value]).flatMap((one) => textOf(one) ?? []);
}

/** An id as text; undefined for what cannot be one. */
export function textOf(value: unknown): string | undefined {
  if (typeof value === 'number') return String(value);
  return typeof value === 'string' && value !== '' ? value : undefined;
}

function personOf(list: UserList, options: Options, record: unknown, id: string | undefined): DirectoryUser {
  const paths = { ...list.fields, ...options.mapping };
  const user: DirectoryUser = { id, fields: { userName: id } };
  for (const [field, path] of Object.entries(paths) as [keyof typeof paths, string][])
    user.fields[field] = valueAt(record, path);
  user.fields.active = activeOf(list, record);
  const extras = Object.entries(options.attributes).map(([key, path]) => [key, valueAt(record, path)] as const);
  if (extras.length > 0) user.attributes = Object.fromEntries(extras);
  return user;
}

/** Undefined where the record says nothing about it: a hidden field suspends nobody and frees nobody. */
function activeOf({ off }: UserList, record: unknown): boolean | undefined {
  const told = off?.map(({ path, is }) => ({ value: valueAt(record, path), is })) ?? [];
  if (told.every(({ value }) => value === undefined || value === null)) return undefined;
  return !told.some(({ value, is }) => (is as readonly unknown[]).includes(value));
}

function primaryOf({ primary }: UserList, record: unknown): string | undefined {
  if (primary === undefined) return undefined;
  if (typeof primary === 'string') return textOf(valueAt(record, primary));
  const entries = valueAt(record, primary.list);
  const chosen = Array.isArray(entries) ? entries.find((entry) => valueAt(entry, primary.flag) === true) : undefined;
  return textOf(valueAt(chosen, primary.group));
}
