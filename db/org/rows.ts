import type { Pool } from '../client.ts';

export interface UserRow {
  id: string;
  userName: string;
  displayName: string | null;
  givenName: string | null;
  familyName: string | null;
  email: string | null;
  phone: string | null;
  title: string | null;
  employeeNumber: string | null;
  active: boolean;
  living: boolean;
}

export interface GroupRow {
  id: string;
  name: string;
  parentId: string | null;
  living: boolean;
}

export interface MembershipRow {
  userId: string;
  groupId: string;
  isPrimary: boolean;
}

/** Everything the org tables hold of a connection, deleted people and groups included; what was written last comes first. */
export interface DirectoryRows {
  users: UserRow[];
  groups: GroupRow[];
  memberships: MembershipRow[];
}

/** Reads a whole directory into memory, about 1 KB a person. */
export async function readDirectory(pool: Pool, connection: string): Promise<DirectoryRows> {
  const users = await pool.query<UserRow>(
    `SELECT id, user_name AS "userName", display_name AS "displayName", given_name AS "givenName",
            family_name AS "familyName", email, phone, title, employee_number AS "employeeNumber", active,
            deleted_at IS NULL AS living
     FROM org.users WHERE connection_id = $1 ORDER BY synced_at DESC, id`,
    [connection],
  );
  const groups = await pool.query<GroupRow>(
    `SELECT id, name, parent_id AS "parentId", deleted_at IS NULL AS living
     FROM org.groups WHERE connection_id = $1 ORDER BY synced_at DESC, id`,
    [connection],
  );
  const memberships = await pool.query<MembershipRow>(
    `SELECT user_id AS "userId", group_id AS "groupId", is_primary AS "isPrimary"
     FROM org.memberships WHERE connection_id = $1`,
    [connection],
  );
  return { users: users.rows, groups: groups.rows, memberships: memberships.rows };
}
