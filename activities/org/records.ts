import {
  type DirectoryGroup,
  type DirectoryUser,
  groupNameLength,
  idLength,
  personFieldNames,
  personFields,
} from '../../connectors/directory.ts';
import type { Fault, StagePage } from '../../db/org/stageRows.ts';
import type { RecordReason } from '../../db/rejects.ts';

// biome-ignore lint/suspicious/noControlCharactersInRegex: finding them is the point
const control = /[\u0000-\u001f\u007f-\u009f]/;
/** Deliberately loose: a mailbox and a domain without spaces. Whether mail arrives is not ours to know. */
const mail = /^[^\s@]+@[^\s@]+$/;
const truths: Record<string, boolean> = { true: true, false: false };

type Verdict = { value: string | boolean | null | undefined } | { reason: RecordReason };

/** Checks a person and adds it to the page: a good one, a faulty one under its id, or an unkeyed one under its position. */
export function addUser(page: StagePage, user: DirectoryUser, record: unknown, position: string): void {
  const id = checkText(user.id, idLength);
  if ('reason' in id || !id.value) {
    page.unkeyed.push(fault('reason' in id ? id.reason : 'missing_field', 'id', record, position));
    return;
  }
  const fields: (string | boolean | null | undefined)[] = [];
  let bad: Fault | undefined;
  for (const name of personFieldNames) {
    const checked =
      name === 'active' ? checkFlag(user.fields.active) : checkText(user.fields[name], personFields[name]);
    if ('reason' in checked) {
      bad ??= fault(checked.reason, name, record, position);
      fields.push(undefined);
    } else {
      if (name === 'userName' && !checked.value) bad ??= fault('missing_field', name, record, position);
      if (name === 'email' && checked.value && !mail.test(String(checked.value)))
        bad ??= fault('bad_mail', name, record, position);
      fields.push(checked.value === '' ? null : checked.value);
    }
  }
  if (user.attributes && unstorable(user.attributes))
    bad ??= fault('control_character', 'attributes', record, position);
  const attributes = bad ? undefined : user.attributes;
  page.users.push({
    id: String(id.value),
    fields: bad ? [] : fields,
    ...(attributes && { attributes }),
    ...(bad && { fault: bad }),
  });
}

/** Checks a group and adds it and its members to the page. */
export function addGroup(page: StagePage, group: DirectoryGroup, record: unknown, position: string): void {
  const id = checkText(group.id, idLength);
  if ('reason' in id || !id.value) {
    page.unkeyed.push(fault('reason' in id ? id.reason : 'missing_field', 'id', withoutMembers(record), position));
    return;
  }
  const name = checkText(group.name, groupNameLength);
  const parent = checkText(group.parentId, idLength);
  let bad: Fault | undefined;
  if ('reason' in name) bad = fault(name.reason, 'name', withoutMembers(record), position);
  else if (!name.value && !group.namesUntold) bad = fault('missing_field', 'name', withoutMembers(record), position);
  else if ('reason' in parent) bad = fault(parent.reason, 'parentId', withoutMembers(record), position);
  page.groups.push({
    id: String(id.value),
    name: 'reason' in name ? null : (name.value as string | null | undefined),
    ...('value' in parent && parent.value !== undefined && { parentId: parent.value as string | null }),
    membersRead: group.members !== undefined,
    ...(bad && { fault: bad }),
  });
  const seen = new Set<unknown>();
  for (const [index, member] of (group.members ?? []).entries()) {
    if (seen.has(member.id)) continue;
    seen.add(member.id);
    const memberId = checkText(member.id, idLength);
    if ('reason' in memberId || !memberId.value) {
      page.unkeyed.push(
        fault('missing_field', 'members.value', { group: id.value, index }, `${position} member ${index + 1}`),
      );
    } else {
      page.members.push({
        groupId: String(id.value),
        memberId: String(memberId.value),
        isGroup: member.isGroup,
        isPrimary: member.isPrimary,
      });
    }
  }
}

/** Text of at most `longest` characters; numbers and booleans are written out. */
function checkText(value: unknown, longest: number): Verdict {
  if (value === undefined || value === null) return { value };
  if (typeof value === 'object') return { reason: 'wrong_type' };
  const text = typeof value === 'string' ? value : String(value);
  if (text.length > longest) return { reason: 'too_long' };
  if (control.test(text) || !text.isWellFormed()) return { reason: 'control_character' };
  return { value: text };
}

/**
 * What jsonb refuses, at any depth, keys included: U+0000 and half a surrogate pair. Other control characters may stand
 * in extra attributes: a postal address has lines.
 */
function unstorable(value: unknown): boolean {
  if (typeof value === 'string') return value.includes('\u0000') || !value.isWellFormed();
  if (typeof value !== 'object' || value === null) return false;
  return Object.entries(value).some(([key, inner]) => unstorable(key) || unstorable(inner));
}

/** Booleans also as text: several servers write "True". */
function checkFlag(value: unknown): Verdict {
  if (value === undefined || value === null || typeof value === 'boolean') return { value };
  const flag = typeof value === 'string' ? truths[value.toLowerCase()] : undefined;
  return flag === undefined ? { reason: 'wrong_type' } : { value: flag };
}

function fault(reason: RecordReason, field: string, record: unknown, position: string): Fault {
  return { reason, field, record: JSON.stringify(record) ?? 'null', position };
}

/** A group of 100,000 members is a fault of a few bytes. */
function withoutMembers(record: unknown): unknown {
  if (typeof record !== 'object' || record === null) return record;
  const { members, ...rest } = record as Record<string, unknown>;
  return Array.isArray(members) ? { ...rest, members: members.length } : record;
}
