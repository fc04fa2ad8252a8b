import type { Client } from '../client.ts';
import type { Plan } from './plan.ts';
import { stageTables } from './stage.ts';

export interface NestingRules {
  /** True: groups name their parents by an attribute that a record may lack; groups among members count for nothing. */
  parentsNamed: boolean;
  /** True: no group among the members means that all are roots, not that their nesting was not read. */
  mayBeFlat: boolean;
}

/**
 * A member that does not tell its kind is a group when a group has its id and nobody else: servers that count people and
 * groups from 1 would make a tree of them.
 * @returns members that count as people although a group has their id; null while there are such and people are still read
 */
export async function tellKinds(client: Client, plan: Plan): Promise<number | null> {
  const { groups, users, members } = stageTables(plan.id);
  const untold = `${members} m JOIN ${groups} g ON g.id = m.member_id WHERE m.is_group IS NULL`;
  const { rows } = await client.query(
    `SELECT EXISTS (SELECT 1 FROM ${untold}) AS untold,
            (SELECT ended IS NOT NULL FROM org.stages WHERE plan_id = $1 AND stream = 'users') AS read`,
    [plan.id],
  );
  if (!rows[0].untold) return 0;
  if (!rows[0].read) return null;
  const told = await client.query(
    `WITH told AS (
       UPDATE ${members} SET is_group = NOT EXISTS (SELECT 1 FROM ${users} u WHERE u.id = member_id)
         AND NOT EXISTS (SELECT 1 FROM org.users o WHERE o.connection_id = $1 AND o.id = member_id AND o.deleted_at IS NULL)
       WHERE ctid IN (SELECT m.ctid FROM ${untold}) RETURNING is_group)
     SELECT count(*) FILTER (WHERE NOT is_group)::int AS people FROM told`,
    [plan.claim.connection],
  );
  return told.rows[0].people;
}

/**
 * Whether a group of this pass named a parent or, where the tree comes from members, is a member of another. Without one
 * that was not read; a company of roots alone has nothing to keep.
 */
export async function anyParentTold(
  client: Client,
  plan: Plan,
  { parentsNamed, mayBeFlat }: NestingRules,
): Promise<boolean> {
  const { groups, members } = stageTables(plan.id);
  const nested = `SELECT 1 FROM ${members} m JOIN ${groups} c ON c.id = m.member_id WHERE m.is_group IS NOT FALSE`;
  const { rows } = await client.query(
    `SELECT EXISTS (SELECT 1 FROM ${groups} WHERE parent_id IS NOT NULL OR parent_told)
         OR (NOT $1 AND ($2 OR EXISTS (${nested}))) AS told`,
    [parentsNamed, mayBeFlat],
  );
  return rows[0].told;
}

/** Living groups of this pass that hang where we hold them because no parent was told. */
export async function describeKeptParents(
  client: Client,
  plan: Plan,
  { parentsNamed }: NestingRules,
): Promise<string[]> {
  const { rows } = await client.query(
    `SELECT count(*)::int AS n FROM ${stageTables(plan.id).tree} t
     JOIN org.groups o ON o.connection_id = $1 AND o.id = t.id AND o.deleted_at IS NULL WHERE t.parent_id IS NOT NULL`,
    [plan.claim.connection],
  );
  const { n } = rows[0];
  if (n === 0) return [];
  if (parentsNamed) return [`no group named its parent: ${n} groups stay where they hang`];
  return [
    `no group is a member of another: ${n} groups stay where they hang. If the tree is flat now: npx syncline connect ${plan.claim.connection} --option allowEmpty=true, then start again`,
  ];
}
