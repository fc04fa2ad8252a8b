import { Client } from 'ldapts';
import { Agent } from 'undici';
import type { Pool } from '../../db/client.ts';
import { type CopyValue, copyRows } from '../../db/stage.ts';

const pageSize = 200;
const batchRows = 2_000;

type Json = Record<string, unknown>;

export interface Bare {
  rows: number;
  seconds: number;
  requests: number;
}

/**
 * The physical limit: the same pages, fetched one after the other with the next one under way, parsed and copied into
 * unlogged tables without index, one batch written while the next is read. No check, no plan, no workflow.
 */
export async function bareScim(pool: Pool, base: string, token: string | null): Promise<Bare> {
  const agent = new Agent({ connections: 2 });
  await pool.query(`
    DROP TABLE IF EXISTS bare_groups, bare_members, bare_users;
    CREATE UNLOGGED TABLE bare_groups (id text, name text);
    CREATE UNLOGGED TABLE bare_members (group_id text, member_id text, type text);
    CREATE UNLOGGED TABLE bare_users (id text, user_name text, display_name text, given_name text, family_name text, email text, phone text, title text, employee_number text, active boolean)`);
  const began = performance.now();
  const bare: Bare = { rows: 0, seconds: 0, requests: 0 };
  const get = async (path: string, start: number): Promise<Json[]> => {
    bare.requests += 1;
    const url = `${base}${path}?startIndex=${start}&count=${pageSize}`;
    const answer = await agent.request({
      origin: new URL(url).origin,
      path: new URL(url).pathname + new URL(url).search,
      method: 'GET',
      headers: token ? { authorization: `Bearer ${token}` } : {},
    });
    if (answer.statusCode !== 200) throw new Error(`The source answered ${answer.statusCode} to the bare read`);
    return ((await answer.body.json()) as { Resources?: Json[] }).Resources ?? [];
  };
  await copyAll(
    pool,
    'bare_groups',
    ['id', 'name'],
    lists(get, '/Groups'),
    bare,
    (g) => [g.id as string, (g.displayName as string) ?? null],
    {
      table: 'bare_members',
      columns: ['group_id', 'member_id', 'type'],
      rows: (g) =>
        ((g.members as Json[]) ?? []).map((m) => [g.id as string, m.value as string, (m.type as string) ?? null]),
      counts: (m) => m[2] !== 'Group',
    },
  );
  const columns = [
    'id',
    'user_name',
    'display_name',
    'given_name',
    'family_name',
    'email',
    'phone',
    'title',
    'employee_number',
    'active',
  ];
  await copyAll(pool, 'bare_users', columns, lists(get, '/Users'), bare, userRow);
  bare.seconds = (performance.now() - began) / 1000;
  await agent.close();
  return bare;
}

/** The limit for LDAP: one paged search of everything below the base, member lists included, copied as it comes. */
export async function bareLdap(
  pool: Pool,
  url: string,
  bind: { dn: string; password: string },
  base: string,
): Promise<Bare> {
  const ldap = new Client({ url });
  await ldap.bind(bind.dn, bind.password);
  await pool.query(`
    DROP TABLE IF EXISTS bare_entries, bare_members;
    CREATE UNLOGGED TABLE bare_entries (id text, dn text, uid text, cn text, sn text, mail text, title text);
    CREATE UNLOGGED TABLE bare_members (entry_id text, member_dn text)`);
  const began = performance.now();
  const bare: Bare = { rows: 0, seconds: 0, requests: 0 };
  const text = (value: unknown) => (Array.isArray(value) ? String(value[0] ?? '') : String(value));
  const attributes = ['entryUUID', 'uid', 'cn', 'sn', 'mail', 'title', 'member'];
  const client = await pool.connect();
  for await (const page of ldap.searchPaginated(base, { scope: 'sub', attributes, paged: { pageSize: 1_000 } })) {
    bare.requests += 1;
    const entries = page.searchEntries;
    const members = entries.flatMap((e) => [e.member ?? []].flat().map((dn) => [text(e.entryUUID), String(dn)]));
    await copyRows(
      client,
      'bare_entries',
      ['id', 'dn', 'uid', 'cn', 'sn', 'mail', 'title'],
      entries.map((e) => [text(e.entryUUID), e.dn, ...['uid', 'cn', 'sn', 'mail', 'title'].map((a) => text(e[a]))]),
    );
    if (members.length > 0) await copyRows(client, 'bare_members', ['entry_id', 'member_dn'], members);
    bare.rows += entries.length + members.length;
  }
  bare.seconds = (performance.now() - began) / 1000;
  client.release();
  await ldap.unbind();
  return bare;
}

async function* lists(get: (path: string, start: number) => Promise<Json[]>, path: string): AsyncIterable<Json[]> {
  let start = 1;
  let ahead = get(path, start);
  for (;;) {
    const page = await ahead;
    if (page.length === 0) return;
    start += page.length;
    ahead = get(path, start);
    yield page;
  }
}

interface Children {
  table: string;
  columns: string[];
  rows: (record: Json) => CopyValue[][];
  /** Which of them count as rows: nested groups are the tree, not memberships. */
  counts: (row: CopyValue[]) => boolean;
}

async function copyAll(
  pool: Pool,
  table: string,
  columns: string[],
  pages: AsyncIterable<Json[]>,
  bare: Bare,
  row: (record: Json) => CopyValue[],
  children?: Children,
): Promise<void> {
  const client = await pool.connect();
  let parents: CopyValue[][] = [];
  let members: CopyValue[][] = [];
  let writing: Promise<void> = Promise.resolve();
  const write = async () => {
    const [p, m] = [parents, members];
    [parents, members] = [[], []];
    await writing;
    writing = (async () => {
      await copyRows(client, table, columns, p);
      if (children && m.length > 0) await copyRows(client, children.table, children.columns, m);
    })();
  };
  for await (const page of pages) {
    for (const record of page) {
      parents.push(row(record));
      if (children) for (const m of children.rows(record)) members.push(m);
    }
    bare.rows += page.length;
    if (parents.length + members.length >= batchRows) {
      if (children) bare.rows += members.filter(children.counts).length;
      await write();
    }
  }
  if (children) bare.rows += members.filter(children.counts).length;
  await write();
  await writing;
  client.release();
}

function userRow(u: Json): CopyValue[] {
  const name = u.name as Json | undefined;
  const first = (list: unknown) => ((list as Json[] | undefined)?.[0]?.value as string | undefined) ?? null;
  const work = u['urn:ietf:params:scim:schemas:extension:enterprise:2.0:User'] as Json | undefined;
  const text = (value: unknown) => (value as string | undefined) ?? null;
  return [
    u.id as string,
    text(u.userName),
    text(u.displayName),
    text(name?.givenName),
    text(name?.familyName),
    first(u.emails),
    first(u.phoneNumbers),
    text(u.title),
    text(work?.employeeNumber),
    (u.active as boolean | undefined) ?? null,
  ];
}
