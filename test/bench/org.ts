import { startScimProcess } from '../../sandbox/process.ts';
import { companyLdif, readerDn, readerPassword, slapdMissing, startSlapd, suffix } from '../harness/slapd.ts';
import { bareLdap, bareScim } from './bare.ts';
import { openRig, type Rig } from './rig.ts';
import type { Figures } from './table.ts';

/** People to groups as in the facts' 30,000 in 2,000. */
const peoplePerGroup = 15;

export interface BenchOptions {
  /** A SCIM server nobody here wrote: read as it is, nothing is changed in it. */
  sourceUrl?: string;
  sourceToken?: string;
}

/** Cases by name; each opens servers and a worker of its own, so that no case warms another. */
export const orgCases: Record<string, (figures: Figures, name: string, options: BenchOptions) => Promise<void>> = {
  'users=30000': (figures, name, options) => scimCase(figures, name, 30_000, options),
  'users=300000': (figures, name, options) => scimCase(figures, name, 300_000, options),
  'users=1000000': (figures, name, options) => scimCase(figures, name, 1_000_000, options),
  'ldap=30000': ldapCase,
};

/** Keycloak 26.7 imported the same directory at 290-390 users/s on such a machine (facts: directories, 7). */
const keycloakUsersPerSecond = 390;

async function ldapCase(figures: Figures, name: string): Promise<void> {
  const missing = slapdMissing();
  if (missing) return void process.stdout.write(`${name}  not run: slapd is missing. Install it with: ${missing}\n`);
  const slapd = await startSlapd({ ldif: companyLdif({ people: 30_000, units: 1_000, groups: 40 }) });
  const rig = await openRig();
  try {
    const bare = await bareLdap(rig.pool, slapd.url, { dn: readerDn, password: readerPassword }, suffix);
    const connection = await rig.connect('ldap', slapd.url, readerPassword, { bindDn: readerDn, baseDn: suffix });
    const full = await rig.run(connection);
    const none = await rig.run(connection);
    const { groups, users, memberships } = full.result;
    if (users?.added !== 30_000)
      throw new Error(`Only ${users?.added} of 30,000 people came: no figure is given for a sync that lost rows`);
    const rows = (groups?.staged ?? 0) + users.staged + (memberships?.staged ?? 0);
    const limit = bare.rows / bare.seconds;
    figures.add(name, 'limit_rows_per_s', limit, '');
    figures.add(name, 'full_rows_per_s', rows / full.seconds, '');
    figures.add(name, 'full_ratio', rows / full.seconds / limit, '');
    figures.add(name, 'users_per_s', 30_000 / full.seconds, '');
    figures.add(name, 'times_keycloak', 30_000 / full.seconds / keycloakUsersPerSecond, '', { atLeast: 20 });
    figures.add(name, 'incremental_none_rows_per_s', rows / none.seconds, '');
    figures.add(name, 'worker_rss_mb', rig.rssMb(), 'MB', { atMost: 320 });
    figures.add(name, 'history_events', Math.max(full.events, none.events), '', { atMost: 1_000 });
    figures.add(name, 'source_requests', full.result.requests, '');
  } finally {
    await rig.close();
    await slapd.stop();
  }
}

async function scimCase(figures: Figures, name: string, users: number, from: BenchOptions): Promise<void> {
  const sandbox = from.sourceUrl
    ? null
    : await startScimProcess({ users, groups: Math.round(users / peoplePerGroup), prepared: true });
  const source = { url: from.sourceUrl ?? sandbox?.url ?? '', token: from.sourceToken ?? sandbox?.token ?? null };
  const rig = await openRig();
  try {
    const before = await bareScim(rig.pool, source.url, source.token);
    // 1 % of 300,000 takes 600 people away: more than the guard lets pass without an answer.
    const options = { usersWithoutGroup: 'accept', guards: { users: { count: users, percent: 50 } } };
    const connection = await rig.connect('scim', source.url, source.token, options);
    const full = await rig.run(connection);
    const none = await rig.run(connection);
    const changed = sandbox
      ? await changeAndRun(rig, connection, () => sandbox.change({ share: 0.01, seed: 7 }))
      : null;
    const after = await bareScim(rig.pool, source.url, source.token);
    const limit = Math.max(before.rows / before.seconds, after.rows / after.seconds);
    const rows = before.rows;
    await expectRows(rig, connection, after.rows);
    figures.add(name, 'limit_rows_per_s', limit, '');
    figures.add(name, 'full_rows_per_s', rows / full.seconds, '');
    figures.add(name, 'full_ratio', rows / full.seconds / limit, '', { atLeast: 0.4 });
    if (changed) figures.add(name, 'incremental_1pct_s', changed.seconds, 's');
    figures.add(name, 'incremental_none_rows_per_s', rows / none.seconds, '');
    figures.add(name, 'incremental_none_ratio', rows / none.seconds / limit, '', { atLeast: 0.7 });
    figures.add(name, 'worker_rss_mb', rig.rssMb(), 'MB', { atMost: 250 });
    figures.add(name, 'history_events', Math.max(full.events, none.events, changed?.events ?? 0), '', {
      atMost: 1_000,
    });
    figures.add(name, 'source_requests', full.result.requests, '');
    process.stdout.write(
      `${name}  full ${full.seconds.toFixed(1)} s, none ${none.seconds.toFixed(1)} s, bare ${before.seconds.toFixed(1)} and ${after.seconds.toFixed(1)} s\n`,
    );
  } finally {
    await rig.close();
    await sandbox?.stop();
  }
}

async function changeAndRun(rig: Rig, connection: string, change: () => Promise<unknown>) {
  await change();
  return rig.run(connection);
}

/** A benchmark of a sync that lost rows is no benchmark. */
async function expectRows(rig: Rig, connection: string, expected: number): Promise<void> {
  const { rows } = await rig.pool.query(
    `SELECT (SELECT count(*) FROM org.groups WHERE connection_id = $1 AND deleted_at IS NULL)::int
          + (SELECT count(*) FROM org.users WHERE connection_id = $1 AND deleted_at IS NULL)::int
          + (SELECT count(*) FROM org.memberships WHERE connection_id = $1)::int AS n`,
    [connection],
  );
  if (rows[0].n !== expected)
    throw new Error(
      `The copy holds ${rows[0].n} rows, the source ${expected}: no figure is given for a sync that lost rows`,
    );
}
