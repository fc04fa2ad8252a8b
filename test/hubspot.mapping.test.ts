import { expect, test } from 'vitest';
import { probeMapping } from '../db/capture.ts';
import { type Crm, openCrm } from './harness/crm.ts';
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

test('a value of an array that has a semicolon of its own is set aside, and is not two', async () => {
  const properties = { app_interests: { sql: 'u.interests', type: 'enumeration' } };
  const crm = await openCrm(world, { users: 3, mapping: { properties, tables: {} } });
  await crm.sql(`UPDATE users SET interests = ARRAY['news', 'offers'] WHERE id > 1`);
  await crm.sql(`UPDATE users SET interests = ARRAY['news;offers'] WHERE id = 1`);
  expect(await crm.sync()).toMatchObject({ outcome: 'partial', written: 2, refusedHere: 1 });
  expect(await crm.parked()).toEqual(new Map([['1', 'invalid_option app_interests']]));
  expect(crm.source.contacts.seen('app_user_id').get('2')).toMatchObject({ app_interests: 'news;offers' });
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

/** Asks Postgres for a mapping of these expressions, in which `@` is the schema. */
function prober(crm: Crm) {
  return (sql: readonly string[], tables: Record<string, { key: string; user?: string }>, where = 'true') => {
    const inSchema = (text: string) => text.replace(/@/g, `${crm.schema}.`);
    const named = Object.entries(tables).map(([name, one]) => [`${crm.schema}.${name}`, { ...one, columns: [] }]);
    const properties = Object.fromEntries(
      sql.map((one, i) => [`app_${i}`, { sql: inSchema(one), type: 'string' as const }]),
    );
    const mapping = {
      ...crm.mapping,
      properties,
      where: inSchema(where),
      tables: Object.fromEntries(named),
      columns: [],
    };
    return probeMapping(world.pool, mapping as never);
  };
}

const made = `CREATE TABLE items (id uuid PRIMARY KEY, order_id bigint, user_id bigint, price numeric);
  CREATE TABLE profiles (user_id bigint PRIMARY KEY, city text);
  CREATE TABLE products (id bigint PRIMARY KEY, name text, maker bigint UNIQUE);
  CREATE TABLE friends (id bigint PRIMARY KEY, name text);
  CREATE TABLE friendships (user_id bigint, friend_id bigint, PRIMARY KEY (user_id, friend_id));
  CREATE TABLE messages (id bigint PRIMARY KEY, sender bigint, recipient bigint, city text);
  CREATE TABLE settings (id bigint PRIMARY KEY, label text);
  CREATE TABLE groups (id bigint PRIMARY KEY, members bigint[]);
  CREATE TABLE notes (id bigint PRIMARY KEY, user_id text, priced numeric(12, 2), small int, mail varchar(200), day date);
  ALTER TABLE orders ADD COLUMN product_id bigint, ADD COLUMN payer_id bigint`;
const orders = { orders: { key: 'user_id' } };
const count = (from: string) => `(SELECT count(*) FROM ${from})`;

test('a table is refused unless every reading of it is proven to reach the user by its key', async () => {
  const crm = await openCrm(world, { users: 3 });
  await crm.sql(made);
  const probe = prober(crm);
  const ordered = '@orders o JOIN @products p ON p.id = o.product_id';
  const items = { items: { key: 'order_id' }, ...orders };
  const products = { products: { key: 'id' }, ...orders };
  const messages = { messages: { key: 'sender' } };
  const sent = count('@messages m WHERE m.sender = u.id');
  const refused: [what: string, sql: string[], tables: Record<string, { key: string; user?: string }>, RegExp?][] = [
    [
      'the other table of a join',
      [`(SELECT max(p.name) FROM ${ordered} WHERE o.user_id = u.id)`],
      products,
      /^mapping\.tables\."\w+\.products"\.key: got "id", which is compared with o\.product_id, but mapping\.properties\.app_0\.sql reads \w+\.products \(as p\) and nothing proves p\.id = u\.id there: .*docs\/hubspot\.md#joins/,
    ],
    ['its foreign key', [count('@items i JOIN @orders o ON o.id = i.order_id WHERE o.user_id = u.id')], items],
    ['a key of another type', [count('@items i WHERE i.user_id = u.id')], { items: { key: 'id' } }],
    [
      'a table behind another with two columns as its key',
      ['(SELECT max(f.name) FROM @friendships l, @friends f WHERE l.user_id = u.id AND f.id = l.friend_id)'],
      { friends: { key: 'id' }, friendships: { key: 'user_id' } },
    ],
    [
      'a unique column that is no primary key',
      [count('@orders o JOIN @products p ON p.maker = o.product_id WHERE p.id = u.id')],
      { products: { key: 'id' }, orders: { key: 'product_id' } },
    ],
    ['no comparison at all', ['(SELECT s.label FROM @settings s WHERE s.id = 1)'], { settings: { key: 'id' } }],
    [
      'functions around it',
      [count('@notes n WHERE lower(n.mail) = lower(u.email)')],
      { notes: { key: 'mail', user: 'email' } },
    ],
    ['a choice of columns', [count('@orders o WHERE coalesce(o.payer_id, o.user_id) = u.id')], orders],
    ['an expression', [count('@orders o WHERE o.user_id + 0 = u.id')], orders],
    ['equality of nulls', [count('@orders o WHERE o.user_id IS NOT DISTINCT FROM u.id')], orders],
    ['another comparison', [count('@orders o WHERE o.user_id <= u.id')], orders],
    ['a text that is cast', [count('@notes n WHERE n.user_id::bigint = u.id')], { notes: { key: 'user_id' } }],
    ['a user who is cast', [count('@notes n WHERE n.priced = u.id')], { notes: { key: 'priced' } }],
    ['a day of a session', [count('@notes n WHERE n.day = u.seen_at')], { notes: { key: 'day', user: 'seen_at' } }],
    ['an array', [count('@groups g WHERE u.id = ANY (g.members)')], { groups: { key: 'members' } }],
    ['a second way', [sent, count('@messages m WHERE m.recipient = u.id')], messages, /as m\).*m\.sender = u\.id/],
    ['either way', [count('@messages m WHERE m.sender = u.id OR m.recipient = u.id')], messages],
    ['a list of ways', [count('@messages m WHERE u.id IN (m.sender, m.recipient)')], messages],
    ['or anybody', [count('@messages m WHERE m.sender = u.id OR m.city IS NULL')], messages],
    ['not his own', [count('@messages m WHERE NOT (m.sender = u.id)')], messages],
    ['another column of the user', [sent, count('@messages m WHERE m.city = u.note')], messages],
    [
      'the side of an outer join that is kept',
      [count('@profiles p LEFT JOIN @orders o ON o.user_id = p.user_id AND p.user_id = u.id')],
      { profiles: { key: 'user_id' }, ...orders },
      /profiles/,
    ],
    [
      'the side of an outer join that is filled up, by something else',
      [count('@orders o LEFT JOIN @messages m ON m.id = o.id WHERE o.user_id = u.id')],
      { messages: { key: 'sender' }, ...orders },
    ],
    ['some rows of all', [count('(SELECT o.user_id FROM @orders o LIMIT 9) x WHERE x.user_id = u.id')], orders],
    [
      'one arm of a union',
      [count('(SELECT o.id FROM @orders o WHERE o.user_id = u.id UNION ALL SELECT o.id FROM @orders o) x')],
      orders,
    ],
    ['a sum over all', ['(SELECT sum(x.n) FROM (SELECT count(*) AS n FROM @orders o) x WHERE u.id = 1)'], orders],
    ['NOT IN, which a null makes null', ['u.id NOT IN (SELECT o.user_id FROM @orders o)'], orders],
    [
      'a WITH that is read twice',
      ['(WITH w AS (SELECT * FROM @orders) SELECT count(*) FROM w, w v WHERE w.user_id = u.id)'],
      orders,
    ],
    [
      'a name of u that is another',
      ['(SELECT count(*) FROM @orders o, (SELECT 1 AS id) u WHERE o.user_id = u.id)'],
      orders,
    ],
    ['a WITH that nobody reads', ['(WITH w AS (SELECT 1 FROM @orders) SELECT 1)'], orders, /orders is read/],
  ];
  for (const [what, sql, tables, message = /nothing proves/] of refused)
    await expect(probe(sql, tables), what).rejects.toThrow(message);
});

test('a join by which every table reaches the user is taken, in whatever way it is written', async () => {
  const crm = await openCrm(world, { users: 3 });
  await crm.sql(made);
  const probe = prober(crm);
  const both = { items: { key: 'user_id' }, ...orders };
  const profiles = { items: { key: 'user_id' }, profiles: { key: 'user_id' } };
  const messages = { messages: { key: 'sender' } };
  const sent = count('@messages m WHERE m.sender = u.id');
  const sound: [sql: string[], tables: Record<string, { key: string; user?: string }>, where?: string][] = [
    [[count('@items i JOIN @orders o ON o.id = i.order_id AND o.user_id = i.user_id WHERE i.user_id = u.id')], both],
    [[count('@items i JOIN @profiles p ON p.user_id = i.user_id WHERE p.user_id = u.id')], profiles],
    [[count('@items i JOIN @profiles p USING (user_id) WHERE user_id = u.id')], profiles],
    [[count('@items i LEFT JOIN @profiles p USING (user_id) WHERE i.user_id = u.id')], profiles],
    [[count('@items i LEFT JOIN @profiles p ON p.user_id = u.id WHERE i.user_id = u.id')], profiles],
    [[count('@items i RIGHT JOIN @profiles p ON p.user_id = i.user_id WHERE p.user_id = u.id')], profiles],
    [['(SELECT sum(items.price) FROM @items WHERE items.user_id = u.id)'], { items: { key: 'user_id' } }],
    [[count('@orders o WHERE u.id = o.user_id AND EXISTS (SELECT FROM @items i WHERE i.user_id = o.user_id)')], both],
    [['CASE WHEN u.id IN (SELECT o.user_id FROM @orders o) THEN 1 ELSE 0 END'], orders],
    [['u.name'], orders, 'u.plan IS NULL OR u.id IN (SELECT o.user_id FROM @orders o)'],
    [['u.name'], orders, 'NOT EXISTS (SELECT FROM @orders o WHERE o.user_id = u.id)'],
    [
      ['(SELECT x.n FROM (SELECT o.user_id, count(*) AS n FROM @orders o GROUP BY 1) x WHERE x.user_id = u.id)'],
      orders,
    ],
    [['(WITH w AS (SELECT * FROM @orders) SELECT count(*) FROM w WHERE w.user_id = u.id)'], orders],
    [
      ["(SELECT string_agg(x.id::text, ',') FROM (SELECT o.id FROM @orders o WHERE o.user_id = u.id LIMIT 3) x)"],
      orders,
    ],
    [[count('(SELECT o.id FROM @orders o WHERE o.user_id = u.id UNION ALL SELECT 1) x')], orders],
    [[count('@notes n WHERE n.small = u.id')], { notes: { key: 'small' } }],
    [[count('@notes n WHERE n.mail = u.email')], { notes: { key: 'mail', user: 'email' } }],
    [[sent, count('@messages m WHERE m.sender = u.id AND m.city = u.note')], messages],
    [[count(`@messages m WHERE m.sender = u.id AND (m.city = u.note OR m.city = ') (SELECT {:x}')`)], messages],
    [['(SELECT x.name FROM @users x WHERE x.id = u.id)', sent], messages],
    [[count('@messages m WHERE m.city = u.note')], { messages: { key: 'city', user: 'note' } }],
  ];
  for (const [sql, tables, where] of sound)
    await expect(probe(sql, tables, where), sql.join(', ')).resolves.toBeDefined();
});

test('texts that are equal under a collation are judged by it', async () => {
  const crm = await openCrm(world, { users: 3 });
  await crm.sql(`CREATE COLLATION any_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
    CREATE TABLE visits (id bigint PRIMARY KEY, mail text COLLATE any_case, plain text);
    ALTER TABLE users ALTER email TYPE text COLLATE any_case`);
  const probe = prober(crm);
  const by = (key: string) => ({ visits: { key, user: 'email' } });
  await expect(probe([count('@visits v WHERE v.mail = u.email')], by('mail'))).resolves.toBeDefined();
  await expect(probe([count('@visits v WHERE v.plain = u.email')], by('plain'))).rejects.toThrow(/nothing proves/);
});

test('the users’ table read again, or named under tables, is refused', async () => {
  const crm = await openCrm(world, { users: 3 });
  const probe = prober(crm);
  const manager = '(SELECT m.name FROM @users m WHERE m.id = u.company_id)';
  const inWith = '(WITH w AS (SELECT id, name FROM @users) SELECT w.name FROM w WHERE w.id = u.company_id)';
  const again =
    /mapping reads "\w+\.users" a second time beside u \(as \w+, in mapping\.properties\.app_0\.sql\).* accepted u alone.*docs\/hubspot\.md#joins/;
  await expect(probe([manager], {})).rejects.toThrow(again);
  await expect(probe([inWith], {})).rejects.toThrow(again);
  const named = /tables\."\w+\.users": it is the table of "from"/;
  await expect(probe([manager], { users: { key: 'id', user: 'company_id' } })).rejects.toThrow(named);
  await expect(probe(['u.name'], { users: { key: 'id' } })).rejects.toThrow(named);
});
