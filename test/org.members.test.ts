import { describe, expect, it } from 'vitest';
import type { Directory, Fault } from '../sandbox/scim.ts';
import { livingIds, rejectLines } from './harness/ours.ts';
import { recordOf } from './harness/spoil.ts';
import { openWorld } from './harness/world.ts';

const world = await openWorld();

type Member = Record<string, unknown>;

/** The rows of a directory as a server shows them that counts people and groups from 1, with these members by group. */
function numbered(d: Directory, members: Record<number, Member[]>): Fault[] {
  return [
    ...d.userIds().map((id, i): Fault => ({ type: 'raw', id, json: recordOf(d, id, { id: `${i + 1}` }) })),
    ...d.groupIds().map((id, i): Fault => {
      const json = JSON.stringify({ id: `${i + 1}`, displayName: `Group ${i + 1}`, members: members[i + 1] ?? [] });
      return { type: 'raw', id, json };
    }),
  ];
}

const user = (n: number, told: 'ref' | 'type' | 'none'): Member => ({
  value: `${n}`,
  ...(told === 'ref' && { $ref: `https://directory.example.org/scim/v2/Users/${n}` }),
  ...(told === 'type' && { type: 'User' }),
});
const group = (n: number, told: 'ref' | 'type' | 'none'): Member => ({
  value: `${n}`,
  ...(told === 'ref' && { $ref: `../Groups/${n}` }),
  ...(told === 'type' && { type: 'Group' }),
});
const from = (first: number, last: number) => Array.from({ length: last - first + 1 }, (_, i) => first + i);

describe.concurrent('people and groups that have the same ids', () => {
  it.each(['ref', 'type'] as const)('are told apart by %s, also where both are in one group', async (told) => {
    const { name, source } = await world.scim({ users: 12, groups: 4 });
    const members = {
      1: [...from(1, 4).map((n) => user(n, told)), group(2, told), group(3, told)],
      2: from(5, 8).map((n) => user(n, told)),
      3: [...from(9, 12).map((n) => user(n, told)), group(4, told)],
      4: [user(3, told)],
    };
    source.setFaults(numbered(source.directory, members));
    const result = await world.run(name);
    expect(result).toMatchObject({ groups: { added: 4, rejected: 0 }, users: { added: 12, rejected: 0 }, notes: [] });
    expect(await tree(name)).toEqual({ 1: null, 2: '1', 3: '1', 4: '3' });
    expect(await peopleIn(name, '1')).toEqual(['1', '2', '3', '4']);
    expect(await world.run(name)).toMatchObject({ applied: {} });
  });

  it('told by neither: who could be both is a person, and no group hangs below another for it', async () => {
    const { name, source } = await world.scim({ users: 12, groups: 14 });
    const members = { 1: [...from(1, 8), 14].map((n) => user(n, 'none')), 2: from(9, 12).map((n) => user(n, 'none')) };
    source.setFaults(numbered(source.directory, members));
    const result = await world.run(name);
    expect(result).toMatchObject({ groups: { added: 14, rejected: 0 }, users: { added: 12, rejected: 0 } });
    expect(result.notes).toEqual([
      '12 members tell neither type nor $ref, and a person and a group have their id: they count as people',
    ]);
    expect(await rejectLines(world.pool, name)).toEqual([]);
    expect(Object.entries(await tree(name)).filter(([, parent]) => parent !== null)).toEqual([['14', '1']]);
    expect(await peopleIn(name, '1')).toEqual(from(1, 8).map(String));

    const third = recordOf(source.directory, source.directory.userIds()[2]!, { id: '3' });
    source.setFaults([
      { type: 'status', status: 200, body: JSON.parse(third), path: '/Users', only: 'one' },
      ...numbered(source.directory, members),
    ]);
    const one = await world.run(name, { only: { user: '3' } });
    expect(one).toMatchObject({ applied: {}, groups: { rejected: 0 }, users: { staged: 1 } });
    expect(await world.run(name)).toMatchObject({ applied: {} });
    expect(await livingIds(world.pool, name, 'groups')).toHaveLength(14);
  });
});

async function tree(connection: string): Promise<Record<string, string | null>> {
  const { rows } = await world.pool.query(
    'SELECT id, parent_id FROM org.groups WHERE connection_id = $1 AND deleted_at IS NULL',
    [connection],
  );
  return Object.fromEntries(rows.map((row) => [row.id, row.parent_id]));
}

async function peopleIn(connection: string, id: string): Promise<string[]> {
  const { rows } = await world.pool.query(
    'SELECT user_id FROM org.memberships WHERE connection_id = $1 AND group_id = $2 ORDER BY user_id',
    [connection, id],
  );
  return rows.map((row) => row.user_id);
}
