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
const flag = personFieldNames.indexOf('active');
const truths: Record<string, boolean> = { true: true, false: false };

/** A value that cannot be kept. There is one of each, for ten values a person would be ten objects to collect. */
class Refusal {
  readonly reason: RecordReason;
  constructor(reason: RecordReason) {
    this.reason = reason;
  }
}
const wrongType = new Refusal('wrong_type');
const tooLong = new Refusal('too_long');
const controlCharacter = new Refusal('control_character');
type Absent = null | undefined;

/** Checks a person and adds it to the page: a good one, a faulty one under its id, or an unkeyed one under its position. */
export function addUser(page: StagePage, user: DirectoryUser, record: unknown, position: string): void {
  const id = checkText(user.id, idLength);
  if (id instanceof Refusal || !id) {
    page.unkeyed.push(fault(id instanceof Refusal ? id.reason : 'missing_field', 'id', record, position));
    return;
  }
  const fields: (string | boolean | Absent)[] = new Array(personFieldNames.length);
  let bad: Fault | undefined;
  for (const [index, name] of personFieldNames.entries()) {
    const value = name === 'active' ? checkFlag(user.fields.active) : checkText(user.fields[name], personFields[name]);
    if (value instanceof Refusal) {
      bad ??= fault(value.reason, name, record, position);
      continue;
    }
    if (name === 'userName' && !value) bad ??= fault('missing_field', name, record, position);
    if (name === 'email' && value && !mail.test(String(value))) bad ??= fault('bad_mail', name, record, position);
    fields[index] = value === '' ? null : value;
  }
  if (user.attributes && unstorable(user.attributes))
    bad ??= fault('control_character', 'attributes', record, position);
  // A suspension counts whatever else is bad.
  if (bad) page.users.push({ id, fields: fields.map((value, i) => (i === flag ? value : undefined)), fault: bad });
  else page.users.push({ id, fields, attributes: user.attributes });
}

/** Checks a group and adds it and its members to the page. */
export function addGroup(page: StagePage, group: DirectoryGroup, record: unknown, position: string): void {
  const id = checkText(group.id, idLength);
  if (id instanceof Refusal || !id) {
    const reason = id instanceof Refusal ? id.reason : 'missing_field';
    page.unkeyed.push(fault(reason, 'id', withoutMembers(record), position));
    return;
  }
  const name = checkText(group.name, groupNameLength);
  const parentId = checkText(group.parentId, idLength);
  let bad: Fault | undefined;
  if (name instanceof Refusal) bad = fault(name.reason, 'name', withoutMembers(record), position);
  else if (!name && !group.namesUntold) bad = fault('missing_field', 'name', withoutMembers(record), position);
  else if (parentId instanceof Refusal) bad = fault(parentId.reason, 'parentId', withoutMembers(record), position);
  page.groups.push({
    id,
    name: name instanceof Refusal ? null : name,
    // Servers write the parent of a root as an empty text, too.
    parentId: parentId instanceof Refusal ? undefined : parentId === '' ? null : parentId,
    membersRead: group.members !== undefined,
    fault: bad,
  });
  // A person and a group may have one id.
  const [people, groups] = [new Set<unknown>(), new Set<unknown>()];
  for (const [index, member] of (group.members ?? []).entries()) {
    const seen = member.isGroup ? groups : people;
    if (seen.has(member.id)) continue;
    seen.add(member.id);
    const memberId = checkText(member.id, idLength);
    if (memberId instanceof Refusal || !memberId)
      page.unkeyed.push(
        fault('missing_field', 'members.value', { group: id, index }, `${position} member ${index + 1}`),
      );
    else page.members.push({ groupId: id, memberId, isGroup: member.isGroup, isPrimary: member.isPrimary });
  }
}

/** Text of at most `longest` characters; numbers and booleans are written out. */
function checkText(value: unknown, longest: number): string | Absent | Refusal {
  if (value === undefined || value === null) return value;
  if (typeof value === 'object') return wrongType;
  const text = typeof value === 'string' ? value : String(value);
  if (text.length > longest) return tooLong;
  return control.test(text) || !text.isWellFormed() ? controlCharacter : text;
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
function checkFlag(value: unknown): boolean | Absent | Refusal {
  if (value === undefined || value === null || typeof value === 'boolean') return value;
  const truth = typeof value === 'string' ? truths[value.toLowerCase()] : undefined;
  return truth === undefined ? wrongType : truth;
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
