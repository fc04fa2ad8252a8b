import { expect } from 'vitest';
import type { Pool } from '../../db/client.ts';
import type { Directory } from '../../sandbox/scim.ts';

/** Compares a SCIM sandbox and our tables row by row: people with every mapped field, groups with parents, memberships. */
export async function expectSameAsSource(pool: Pool, connection: string, directory: Directory): Promise<void> {
  const ours = await readOurs(pool, connection);
  const theirs = readTheirs(directory);
  expect(differences(ours.users, theirs.users), 'people that differ').toEqual([]);
  expect(differences(ours.groups, theirs.groups), 'groups that differ').toEqual([]);
  expect(differences(ours.members, theirs.members), 'memberships that differ').toEqual([]);
}

/** Rows as text by id. */
export type Rows = Map<string, string>;

/** What differs, at most five lines. */
export function differences(ours: Rows, theirs: Rows): string[] {
  const found: string[] = [];
  for (const [id, row] of theirs)
    if (ours.get(id) !== row) found.push(`${id}: source ${row}, ours ${ours.get(id) ?? 'none'}`);
  for (const [id, row] of ours) if (!theirs.has(id)) found.push(`${id}: source none, ours ${row}`);
  return found.slice(0, 5);
}

/** What we hold of a connection that lives; everybody with exactly one primary group. */
export async function readOurs(pool: Pool, connection: string): Promise<Record<'users' | 'groups' | 'members', Rows>> {
  const users = await pool.query(
    `SELECT id, jsonb_build_array(user_name, display_name, given_name, family_name, email, phone, title, employee_number, active) AS row
     FROM org.users WHERE connection_id = $1 AND deleted_at IS NULL AND user_name_key = lower(user_name)`,
    [connection],
  );
  const groups = await pool.query(
    'SELECT id, jsonb_build_array(name, parent_id) AS row FROM org.groups WHERE connection_id = $1 AND deleted_at IS NULL',
    [connection],
  );
  const members = await pool.query(
    `SELECT user_id || '/' || group_id AS id, user_id, is_primary FROM org.memberships WHERE connection_id = $1`,
    [connection],
  );
  const primaries = new Map<string, number>();
  for (const m of members.rows) primaries.set(m.user_id, (primaries.get(m.user_id) ?? 0) + (m.is_primary ? 1 : 0));
  expect([...primaries].filter(([, n]) => n !== 1).slice(0, 5), 'people without exactly one primary group').toEqual([]);
  return {
    users: toRows(users.rows),
    groups: toRows(groups.rows),
    members: new Map(members.rows.map((m) => [m.id, ''])),
  };
}

function toRows(rows: { id: string; row: unknown }[]): Rows {
  return new Map(rows.map((r) => [r.id, JSON.stringify(r.row)]));
}

function readTheirs(directory: Directory): Record<'users' | 'groups' | 'members', Rows> {
  const users: Rows = new Map();
  const groups: Rows = new Map();
  const members: Rows = new Map();
  for (const id of directory.userIds()) {
    const person = directory.findPerson(id)!;
    const f = directory.fields(person);
    users.set(
      id,
      JSON.stringify(
        [
          f.userName,
          f.displayName,
          f.givenName,
          f.familyName,
          f.email,
          f.phone,
          f.title,
          f.employeeNumber,
          f.active,
        ].map((value) => value ?? null),
      ),
    );
    for (const serial of directory.groupsOf(person)) members.set(`${id}/${directory.id('Group', serial)}`, '');
  }
  for (const id of directory.groupIds()) {
    const group = directory.findGroup(id)!;
    const parent = group.parents[0];
    groups.set(id, JSON.stringify([group.displayName, parent === undefined ? null : directory.id('Group', parent)]));
  }
  return { users, groups, members };
}
