import { expect } from 'vitest';
import type { Pool } from '../../db/client.ts';
import { saveConnection } from '../../db/connections.ts';
import type { Company, Person } from '../../sandbox/company.ts';
import { dingtalk, dingtalkCompany } from '../../sandbox/dingtalk.ts';
import { feishu, feishuCompany } from '../../sandbox/feishu.ts';
import {
  type Fixture,
  type PlatformSandbox,
  type PlatformSandboxOptions,
  startPlatformSandbox,
} from '../../sandbox/platform.ts';
import { wecom, wecomCompany } from '../../sandbox/wecom.ts';
import { differences, type Rows, readOurs } from './compare.ts';
import type { World } from './world.ts';

export type CompanyPlatform = 'wecom' | 'dingtalk' | 'feishu';

interface Kind {
  fixture: Fixture;
  company: Company;
  /** Fields of a person that the platform knows: userName, displayName, …, active, as our columns stand. */
  fields(person: Person): unknown[];
  /** Whether a record tells which department is the primary one. */
  primary: boolean;
  /** The API that lists the people of a department, and those that read one record. */
  people: string;
  direct: { group: string; user: string };
}

export const kinds: Record<CompanyPlatform, Kind> = {
  wecom: {
    fixture: wecom,
    company: wecomCompany,
    fields: (p) => [p.id, p.name, null, null, p.email, p.phone, p.title, null, !p.off],
    primary: true,
    people: 'user/list',
    direct: { group: 'department/get', user: 'user/get' },
  },
  dingtalk: {
    fixture: dingtalk,
    company: dingtalkCompany,
    fields: (p) => [p.id, p.name, null, null, p.email, p.phone, p.title, p.number, true],
    primary: false,
    people: 'topapi/v2/user/list',
    direct: { group: 'topapi/v2/department/get', user: 'topapi/v2/user/get' },
  },
  feishu: {
    fixture: feishu,
    company: feishuCompany,
    fields: (p) => [p.id, p.name, null, null, p.email, p.phone, p.title, p.number, !p.off],
    primary: true,
    people: 'contact/v3/users/find_by_department',
    direct: { group: 'contact/v3/departments/get', user: 'contact/v3/users/get' },
  },
};

/** A simulated company and the connection to it. */
export interface Connected {
  name: string;
  source: PlatformSandbox;
  kind: Kind;
  /** Ids of departments and people in the order they were made; the first department is the root. */
  departments(): string[];
  people(): string[];
}

export interface CompanyOptions extends PlatformSandboxOptions {
  /** Options of the connection besides those that the account needs. */
  options?: Record<string, unknown>;
  credential?: Record<string, string>;
}

/** Starts a company and connects it under a new name; it is stopped with the world. */
export async function startCompany(
  world: World,
  platform: CompanyPlatform,
  { options = {}, credential, ...sandbox }: CompanyOptions = {},
): Promise<Connected> {
  const kind = kinds[platform];
  const source = await startPlatformSandbox(kind.fixture, { limits: 'none', ...sandbox });
  world.onClose(() => source.stop());
  const given = source.connection();
  const name = await world.connect({
    platform,
    baseUrl: source.url,
    credential: JSON.stringify(credential ?? given.credential),
    options: { ...given.options, ...options },
  });
  const ids = (list: string) => () => source.lists[list]!.ids();
  return { name, source, kind, departments: ids('departments'), people: ids('people') };
}

/** Replaces options and credential of the connection. */
export async function reconnect(
  world: World,
  { name, source }: Connected,
  { options = {}, credential }: Pick<CompanyOptions, 'options' | 'credential'>,
): Promise<void> {
  const given = source.connection();
  await saveConnection(world.pool, world.key, {
    id: name,
    tenant: name,
    platform: given.platform,
    baseUrl: source.url,
    credential: JSON.stringify(credential ?? given.credential),
    options: { ...given.options, ...options },
  });
}

/** Compares a company and our tables row by row: people with every field, departments with parents, memberships. */
export async function expectSameCompany(pool: Pool, connected: Connected): Promise<void> {
  const { source, kind, name } = connected;
  const { company } = kind;
  const users: Rows = new Map();
  const groups: Rows = new Map();
  const members: Rows = new Map();
  const primaries: string[] = [];
  for (const id of connected.departments()) {
    const department = company.department(source.lists.departments!.get(id)!);
    groups.set(id, JSON.stringify([department.name, department.parent]));
  }
  for (const id of connected.people()) {
    const person = company.person(source.lists.people!.get(id)!, source.lists);
    users.set(id, JSON.stringify(kind.fields(person)));
    for (const department of person.departments) members.set(`${id}/${department}`, '');
    primaries.push(`${id}/${person.primary}`);
  }
  const ours = await readOurs(pool, name);
  expect(differences(ours.users, users), 'people that differ').toEqual([]);
  expect(differences(ours.groups, groups), 'departments that differ').toEqual([]);
  expect(differences(ours.members, members), 'memberships that differ').toEqual([]);
  if (kind.primary) expect(await primariesOf(pool, name)).toEqual(primaries.sort());
}

async function primariesOf(pool: Pool, name: string): Promise<string[]> {
  const { rows } = await pool.query(
    `SELECT user_id || '/' || group_id AS pair FROM org.memberships WHERE connection_id = $1 AND is_primary`,
    [name],
  );
  return rows.map((row) => row.pair).sort();
}
