import { type CopyValue, copyText } from '../stage.ts';

export type Stream = 'groups' | 'users';

/** A group as the source tells it. `undefined` = the source did not say, `null` = the source says there is none. */
export interface GroupRow {
  id: string;
  name: string | null | undefined;
  /** Source id of the parent; undefined where the tree comes from group members instead (SCIM). */
  parentId?: string | null;
  /** False when the answer carried no member list: nobody leaves such a group in this pass. */
  membersRead: boolean;
  fault?: Fault;
}

/** A person as the source tells it: mapped fields in the order of `userFields`. */
export interface UserRow {
  id: string;
  /** Values by position of `userFields`; undefined = the source did not say. */
  fields: readonly (string | boolean | null | undefined)[];
  /** Extra mapped fields; undefined = none mapped. */
  attributes?: Record<string, unknown>;
  fault?: Fault;
}

export interface MemberRow {
  groupId: string;
  memberId: string;
  /** True: the member is a group (that is how SCIM nests); null: the source did not say. */
  isGroup: boolean | null;
  /** True where the source calls this the person's primary group. */
  isPrimary: boolean;
}

/** Why a record cannot be applied. */
export interface Fault {
  reason: string;
  field: string | null;
  /** The record as it came, for syncline.rejects. */
  record: string;
  position: string;
}

/** A record that cannot even be named: kept under its position. */
export type Unkeyed = Fault;

export interface StagePage {
  groups: GroupRow[];
  users: UserRow[];
  members: MemberRow[];
  unkeyed: Unkeyed[];
}

/** A page as COPY takes it: bytes, which another thread may have made. */
export interface EncodedPage {
  /** Groups and people. */
  rows: number;
  members: number;
  /** By table of the stage; null where the page has nothing for it. */
  texts: Record<'groups' | 'users' | 'members', Uint8Array<ArrayBuffer> | null>;
  unkeyed: Unkeyed[];
}

/** Columns of org.users that a source fills, in the order of UserRow.fields. */
export const userFields = [
  'user_name',
  'display_name',
  'given_name',
  'family_name',
  'email',
  'phone',
  'title',
  'employee_number',
  'active',
] as const;

const faultColumns = ['reason', 'field', 'record', 'position'] as const;

export const groupColumns = ['id', 'name', 'parent_id', 'parent_told', 'members_read', ...faultColumns];
export const memberColumns = ['group_id', 'member_id', 'is_group', 'is_primary', 'stream'];
export const userColumns = ['id', ...userFields, 'attributes', 'told', ...faultColumns];

/** As bytes a page costs the collector nothing until it is written: its objects would be copied over and over. */
export function encodePage({ groups, users, members, unkeyed }: StagePage, stream: Stream): EncodedPage {
  return {
    rows: groups.length + users.length,
    members: members.length,
    texts: {
      groups: groups.length > 0 ? copyText(groups.map(groupValues)) : null,
      users: users.length > 0 ? copyText(users.map(userValues)) : null,
      members:
        members.length > 0
          ? copyText(members.map((m) => [m.groupId, m.memberId, m.isGroup, m.isPrimary, stream]))
          : null,
    },
    unkeyed,
  };
}

function groupValues(g: GroupRow): CopyValue[] {
  return [g.id, g.name ?? null, g.parentId ?? null, g.parentId !== undefined, g.membersRead, ...faultValues(g.fault)];
}

function userValues(u: UserRow): CopyValue[] {
  let told = u.attributes === undefined ? 0 : 1 << userFields.length;
  const values: CopyValue[] = [u.id];
  for (let i = 0; i < userFields.length; i++) {
    const value = u.fields[i];
    if (value !== undefined) told |= 1 << i;
    values.push(value ?? null);
  }
  values.push(u.attributes === undefined ? null : JSON.stringify(u.attributes), told, ...faultValues(u.fault));
  return values;
}

function faultValues(fault: Fault | undefined): CopyValue[] {
  return fault ? [fault.reason, fault.field, fault.record, fault.position] : [null, null, null, null];
}
