import { expect, test } from 'vitest';
import { probeMapping } from '../db/capture.ts';
import { openCrm } from './harness/crm.ts';
import { openWorld } from './harness/world.ts';

const world = await openWorld();

test('a semicolon stands inside a literal, and two statements are refused', async () => {
  const properties = {
    app_note: { sql: "array_to_string(u.interests, ';')", type: 'string' },
  };
  const crm = await openCrm(world, { users: 3, mapping: { properties, tables: {} } });
  expect(await crm.sync()).toMatchObject({ outcome: 'whole', written: 3 });
  const noted = [...crm.source.contacts.all()].map(({ properties: held }) => held.app_note);
  expect(noted).toContain('news;offers');

  const sql = `u.name) AS p0 FROM ${crm.schema}.users u; DROP TABLE ${crm.schema}.orders; SELECT (1`;
  const two = { ...crm.mapping, properties: { app_note: { sql } }, tables: {}, columns: [] };
  const { where: _where, ...rest } = two as typeof two & { where?: string };
  await expect(probeMapping(world.pool, rest as never)).rejects.toThrow(/app_note\.sql: Postgres does not take it/);
  expect(await crm.sql('SELECT count(*)::int AS n FROM orders')).toEqual([{ n: 1 }]);
});

test('an aggregate over the users is named with its property', async () => {
  const crm = await openCrm(world, { users: 3, capture: false });
  const properties = {
    firstname: { sql: 'u.name', type: 'string' },
    app_orders: { sql: 'count(u.id)', type: 'number' },
  };
  await expect(
    probeMapping(world.pool, { ...crm.mapping, properties, tables: {}, columns: [] } as never),
  ).rejects.toThrow(
    /^mapping\.properties\.app_orders\.sql: Postgres does not take it \(column "u\.id" must appear in the/,
  );
});

test('a reject that was resolved and comes up again counts from then', async () => {
  const crm = await openCrm(world, { users: 5 });
  const seen = async () => {
    const { rows } = await world.pool.query(
      `SELECT first_seen AS first, last_seen AS last, resolved_at AS resolved FROM syncline.rejects WHERE connection_id = $1`,
      [crm.name],
    );
    return rows[0];
  };
  await crm.sql(`UPDATE users SET plan = 'platinum' WHERE id = 3`);
  await crm.sync();
  const once = await seen();
  await crm.sql(`UPDATE users SET name = 'Still bad' WHERE id = 3`);
  await crm.sync();
  const still = await seen();
  expect(still.first, 'met again while open').toEqual(once.first);
  expect(still.last.getTime()).toBeGreaterThan(once.last.getTime());
  await crm.sql(`UPDATE users SET plan = 'free' WHERE id = 3`);
  await crm.sync();
  const { resolved } = await seen();
  await crm.sql(`UPDATE users SET plan = 'platinum' WHERE id = 3`);
  await crm.sync();
  const again = await seen();
  expect(again.resolved).toBeNull();
  expect(again.first.getTime()).toBeGreaterThanOrEqual(resolved.getTime());
});

test('a column that leads to no user is refused, and one that does along a join is not', async () => {
  const crm = await openCrm(world, { users: 3 });
  const { schema } = crm;
  await crm.sql(`CREATE TABLE items (id uuid PRIMARY KEY, order_id bigint, user_id bigint, price numeric)`);
  await crm.sql('CREATE TABLE profiles (user_id bigint PRIMARY KEY, city text)');
  const probe = (sql: string, tables: Record<string, { key: string; user?: string }>) => {
    const named = Object.entries(tables).map(([name, one]) => [`${schema}.${name}`, { ...one, columns: [] }]);
    const properties = { app_orders: { sql: sql.replace(/@/g, `${schema}.`), type: 'number' } };
    return probeMapping(world.pool, {
      ...crm.mapping,
      properties,
      tables: Object.fromEntries(named),
      columns: [],
    } as never);
  };
  const joined = '(SELECT sum(i.price) FROM @items i JOIN @orders o ON o.id = i.order_id WHERE o.user_id = u.id)';
  const orders = { key: 'user_id' };
  await expect(probe(joined, { items: { key: 'order_id' }, orders })).rejects.toThrow(
    /items"\.key: got "order_id", which the expressions compare with \S+orders\.id and never with u; accepted a column that holds \S+users\.id/,
  );
  await expect(probe(joined, { items: { key: 'id' }, orders })).rejects.toThrow(
    /items"\.key: got "id" \(uuid\), while \S+users\.id is bigint/,
  );
  const sound: [string, Record<string, { key: string }>][] = [
    [
      '(SELECT sum(i.price) FROM @items i JOIN @orders o ON o.id = i.order_id WHERE i.user_id = u.id)',
      { items: orders, orders },
    ],
    [
      '(SELECT sum(i.price) FROM @items i JOIN @profiles p ON p.user_id = i.user_id WHERE p.user_id = u.id)',
      { items: orders, profiles: orders },
    ],
    [
      '(SELECT sum(i.price) FROM @items i JOIN @profiles p USING (user_id) WHERE user_id = u.id)',
      { items: orders, profiles: orders },
    ],
    [
      '(CASE WHEN u.id IN (SELECT i.user_id FROM @items i JOIN @orders o ON o.id = i.user_id) THEN 1 ELSE 0 END)',
      { items: orders, orders },
    ],
    ['(SELECT sum(items.price) FROM @items WHERE items.user_id = u.id)', { items: orders }],
  ];
  for (const [sql, tables] of sound) await expect(probe(sql, tables), sql).resolves.toBeDefined();
});

test('a table that is read by two ways, and the users’ table read again, are refused: one way alone is captured', async () => {
  const crm = await openCrm(world, { users: 3 });
  const { schema } = crm;
  await crm.sql('CREATE TABLE messages (id bigint PRIMARY KEY, sender bigint, recipient bigint, city text)');
  const probe = (sql: string[], tables: Record<string, { key: string; user?: string }>) => {
    const named = Object.entries(tables).map(([name, one]) => [`${schema}.${name}`, { ...one, columns: [] }]);
    const properties = Object.fromEntries(
      sql.map((one, i) => [`app_${i}`, { sql: one.replace(/@/g, `${schema}.`), type: 'string' }]),
    );
    const mapping = { ...crm.mapping, properties, tables: Object.fromEntries(named), columns: [] };
    return probeMapping(world.pool, mapping as never);
  };
  const sent = '(SELECT count(*) FROM @messages m WHERE m.sender = u.id)';
  const got = '(SELECT count(*) FROM @messages m WHERE m.recipient = u.id)';
  const either = (where: string) => `(SELECT count(*) FROM @messages m WHERE ${where})`;
  const messages = { key: 'sender' };
  const manager = '(SELECT m.name FROM @users m WHERE m.id = u.company_id)';
  const refused: [string[], Record<string, { key: string; user?: string }>, RegExp][] = [
    [[sent, got], { messages }, /messages"\.key: got "sender" for u\.id, while .* also compare recipient with u\.id/],
    [[either('m.sender = u.id OR m.recipient = u.id')], { messages }, /also /],
    [[either('u.id IN (m.sender, m.recipient)')], { messages }, /also /],
    [[either('m.sender = u.id OR m.city IS NULL')], { messages }, /also take rows without sender = u\.id \(OR\)/],
    [[sent, either('m.city = u.note')], { messages }, /also compare city with u\.note/],
    [
      [manager],
      {},
      /mapping reads "\w+\.users" a second time beside u \(as m\).* accepted u alone.*docs\/hubspot\.md#joins/,
    ],
    [[manager], { users: { key: 'id', user: 'company_id' } }, /tables\."\w+\.users": it is the table of "from"/],
    [['u.name'], { users: { key: 'id' } }, /tables\."\w+\.users": it is the table of "from"/],
  ];
  for (const [sql, tables, message] of refused)
    await expect(probe(sql, tables), sql.join(', ')).rejects.toThrow(message);
  const sound: [string[], Record<string, { key: string; user?: string }>][] = [
    [[sent, either('m.sender = u.id AND m.city = u.note')], { messages }],
    [[either(`m.sender = u.id AND (m.city = u.note OR m.city = ') (SELECT')`)], { messages }],
    [['(SELECT x.name FROM @users x WHERE x.id = u.id)', sent], { messages }],
    [[either('m.city = u.note')], { messages: { key: 'city', user: 'note' } }],
  ];
  for (const [sql, tables] of sound) await expect(probe(sql, tables), sql.join(', ')).resolves.toBeDefined();
});
