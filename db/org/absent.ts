import pg from 'pg';
import type { Client } from '../client.ts';
import type { Plan } from './plan.ts';
import { stageTables } from './stage.ts';
import { userFields } from './stageRows.ts';

export interface AbsentRules {
  /** A field that the source did not send for a person, but for others in this pass, is cleared. Else it stays as it is. */
  clearAbsent: boolean;
  /** Keys of the extra attributes that are mapped. */
  extras: readonly string[];
  /** True: the source writes null for an extra attribute that a record lacks. */
  nullIsAbsent: boolean;
  /** True: a person without a word about `active` is active where others have one (a lock that only the locked carry). */
  absentIsActive: boolean;
  /** True: nobody with such a word means that nobody is locked, not that it was not read. */
  mayBeUnlocked: boolean;
}

/** What an absent value of this pass says. What is absent everywhere was not read, and says nothing. */
export interface Absent {
  /** Bits of the fields that it clears: those that some record carried. */
  clear: number;
  /** Keys of extra attributes that no record carried: ours stay. */
  unread: readonly string[];
  /** It lets a suspended person in again. */
  active: boolean;
}

const activeBit = 1 << userFields.indexOf('active');
const extraBit = 1 << userFields.length;

export async function readAbsent(client: Client, plan: Plan, rules: AbsentRules): Promise<Absent> {
  const clear = rules.clearAbsent ? await toldMask(client, plan) : 0;
  return {
    clear,
    unread: clear & extraBit ? await unreadExtras(client, plan, rules) : [],
    active: rules.absentIsActive && (rules.mayBeUnlocked || (clear & activeBit) !== 0),
  };
}

async function toldMask(client: Client, plan: Plan): Promise<number> {
  const { rows } = await client.query(
    `SELECT coalesce(bit_or(told), 0) AS told FROM ${stageTables(plan.id).users} WHERE reason IS NULL`,
  );
  return rows[0].told;
}

/** Each key is looked for until it is found: 300,000 people are read whole only for one that is not there. */
async function unreadExtras(client: Client, plan: Plan, { extras, nullIsAbsent }: AbsentRules): Promise<string[]> {
  const { users } = stageTables(plan.id);
  const { rows } = await client.query(
    `SELECT key FROM unnest($1::text[]) key WHERE NOT EXISTS (
       SELECT 1 FROM ${users} u WHERE u.reason IS NULL AND ${nullIsAbsent ? 'u.attributes ->> key IS NOT NULL' : 'u.attributes ? key'})`,
    [extras],
  );
  return rows.map((r) => r.key);
}

/** What the row will be: the source's word where it spoke, ours where it did not. */
export function merged({ clear, unread, active }: Absent): { name: string; sql: string }[] {
  const pick = (name: string, bit: number) =>
    `CASE WHEN (u.told | ${clear}) & ${1 << bit} <> 0 THEN u.${name} ELSE o.${name} END`;
  const fields = userFields.map((name, bit) => ({
    name,
    // Only a word of the source lets a suspended person in again.
    sql: name === 'active' ? `coalesce(u.active, ${active ? '' : 'o.active, '}true)` : pick(name, bit),
  }));
  // A key that a record lacks keeps its value too, unless absent means none.
  const extra =
    clear & extraBit
      ? ['u.attributes', ...unread.map(ourExtra)].join(' || ')
      : `coalesce(o.attributes, '{}'::jsonb) || u.attributes`;
  return [
    ...fields,
    {
      name: 'attributes',
      sql: `CASE WHEN u.told & ${extraBit} <> 0 THEN ${extra} WHEN ${clear} & ${extraBit} <> 0 THEN NULL ELSE o.attributes END`,
    },
  ];
}

function ourExtra(key: string): string {
  const name = `${pg.escapeLiteral(key)}::text`;
  return `CASE WHEN o.attributes ? ${name} THEN jsonb_build_object(${name}, o.attributes -> ${name}) ELSE '{}'::jsonb END`;
}

/** Living people of this pass who stay suspended although nobody is told to be: the lock itself was not read. */
export async function describeKeptLocks(
  client: Client,
  plan: Plan,
  { absentIsActive }: AbsentRules,
  { active }: Absent,
): Promise<string[]> {
  if (!absentIsActive || active) return [];
  const { connection } = plan.claim;
  const { rows } = await client.query(
    `SELECT count(*)::int AS n FROM org.users o JOIN ${stageTables(plan.id).users} u ON u.id = o.id AND u.reason IS NULL
     WHERE o.connection_id = $1 AND o.deleted_at IS NULL AND NOT o.active AND u.active IS NULL`,
    [connection],
  );
  const { n } = rows[0];
  if (n === 0) return [];
  const what = `nobody came with the attribute that locks people: ${n} stay suspended`;
  if (plan.only !== null)
    return [`${what}; a run of everybody may tell more: npx syncline start orgSync ${connection}`];
  return [
    `${what}. If nobody is locked now: npx syncline connect ${connection} --option allowEmpty=true, then start again`,
  ];
}
