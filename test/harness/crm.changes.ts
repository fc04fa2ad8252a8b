import type { Crm } from './crm.ts';

/** What an administrator's rule refuses, and the catalog does not know. */
export const refusedName = 'Mallory';
export const modelRules = { firstname: `^(?!${refusedName})` };

type Random = () => number;

/** Changes of every kind, each a statement of its own. Mail addresses stay unique. */
const kinds: ((n: (most: number) => number, mark: number) => string)[] = [
  (n, mark) =>
    `UPDATE users SET name = 'Name ' || id || ' ${mark}' WHERE id % ${n(40) + 2} = ${n(2)} AND name NOT LIKE '${refusedName}%'`,
  (n) => `UPDATE users SET plan = 'platinum' WHERE id % 500 = ${n(500)}`,
  (n) => `UPDATE users SET plan = 'team' WHERE plan = 'platinum' AND id % 2 = ${n(2)}`,
  (n, mark) => `UPDATE users SET name = '${refusedName} ${mark}' WHERE id % 400 = ${n(400)}`,
  (n) => `UPDATE users SET name = 'healed' WHERE name LIKE '${refusedName}%' AND id % 2 = ${n(2)}`,
  (n) => `DELETE FROM users WHERE id % 300 = ${n(300)}`,
  (n, mark) =>
    `INSERT INTO users (id, email, name, plan, active) SELECT ${mark} * 10000 + i, 'New${mark}x' || i || '@Example.org', 'New', 'free', true FROM generate_series(1, ${n(40) + 1}) i`,
  (n) => `UPDATE users SET hidden = NOT hidden WHERE id % 200 = ${n(200)}`,
  (n, mark) => `INSERT INTO orders SELECT ${mark} * 10000 + i, i * 7, i FROM generate_series(1, ${n(60) + 1}) i`,
  (n) => `UPDATE orders SET user_id = user_id + 1 WHERE id % 20 = ${n(20)}`,
  (n) => `DELETE FROM orders WHERE id % 30 = ${n(30)}`,
  (n, mark) => `UPDATE companies SET name = 'Company ${mark}' WHERE id = ${n(20) + 1}`,
  (n, mark) => `UPDATE users SET email = 'Moved${mark}x' || id || '@Example.org' WHERE id % 90 = ${n(90)}`,
  () => `UPDATE users SET note = 'nobody maps it'`,
  (n) => `UPDATE users SET seen_at = seen_at + interval '1 hour', signed_up = signed_up + 1 WHERE id % 3 = ${n(3)}`,
];

/** The address of one contact for another user: it must be archived, or with the address as id it is taken over. */
const newKey: (typeof kinds)[number] = (n, mark) =>
  `UPDATE users SET id = id + ${mark * 1_000_000} WHERE id % 350 = ${n(350)} AND id < 1000000`;
/** The same for one who has a contact: it must be archived. */
const heir: (typeof kinds)[number] = (
  n,
) => `WITH pair AS (SELECT min(id) AS a, max(id) AS b FROM users WHERE id % 17 = ${n(17)}),
     gone AS (DELETE FROM users USING pair WHERE id = a AND a <> b RETURNING email)
     UPDATE users SET email = gone.email FROM gone, pair WHERE id = b`;

/** Applies so many changes, one after the other. @param mark another one each time: values never come twice */
export async function changeUsers(crm: Crm, random: Random, count: number, mark: number): Promise<void> {
  const { archives, byMail } = crm;
  const all = [...kinds, ...(archives || byMail ? [newKey] : []), ...(archives ? [heir] : [])];
  for (let i = 0; i < count; i++) {
    const kind = all[Math.floor(random() * all.length)]!;
    await crm.sql(kind((most) => Math.floor(random() * most), mark * 20 + i));
  }
}

/** What is not as it should be: contacts that differ from the rows in scope, and parked rows that are not exactly the bad ones. */
export async function disagreement(crm: Crm): Promise<Record<string, unknown> | null> {
  const rows = await crm.sql(
    `SELECT id::text AS key FROM users WHERE NOT hidden AND (plan = 'platinum' OR name LIKE '${refusedName}%')`,
  );
  const bad = new Set(rows.map(({ key }) => String(key)));
  const parked = await crm.parked();
  const difference = await crm.difference(bad);
  const wrong = {
    ...difference,
    extra: crm.archives ? difference.extra : [],
    parkedAndGood: [...parked].filter(([key]) => !bad.has(key)).slice(0, 5),
    badAndNotParked: [...bad].filter((key) => !parked.has(key)).slice(0, 5),
  };
  return Object.values(wrong).some((list) => list.length > 0) ? wrong : null;
}
