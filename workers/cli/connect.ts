import type { Connector } from '../../activities/platform/catalog.ts';
import type { Pool } from '../../db/client.ts';
import {
  type Connection,
  ConnectionLeaving,
  ConnectionUnknown,
  loadConnection,
  type StoredConnection,
  saveConnection,
} from '../../db/connections.ts';
import { livingRows } from '../../db/org/living.ts';
import { secretKeyOf } from '../secret.ts';
import {
  checkHubspotDraft,
  hubspotBaseUrl,
  isHubspot,
  nextOfHubspot,
  probeHubspot,
  withMapping,
} from './connect.hubspot.ts';
import {
  askFields,
  changePlatformOptions,
  checkPlatformOptions,
  credentialText,
  findReaders,
  type Readers,
} from './connect.platform.ts';
import { probe, shown } from './connect.probe.ts';
import { changeOptions } from './options.ts';
import type { Session } from './session.ts';
import { CommandError, wrongUse } from './trouble.ts';

interface ConnectOptions {
  platform?: string;
  url?: string;
  tenant?: string;
  option?: string[];
  /** File with the mapping of a connection to HubSpot. */
  mapping?: string;
  unset?: string[];
  credentialEnv?: string;
  /** A text: somebody put the credential on the command line. */
  credential: boolean | string;
  token?: string;
  password?: string;
  probe: boolean;
}

/** Makes a connection, or changes of a known one what was given; reads one page of each list before it is saved. */
export async function connect(session: Session, name: string, options: ConnectOptions): Promise<undefined> {
  refuseSecrets(options);
  const pool = await session.pool();
  const before = await find(session, name, pool);
  const given = credentialFromVariable(session, options);
  const readers = await findReaders(session, { name, before, platform: options.platform });
  const { connector, isDirectory } = readers;
  const draft = drafted(name, before, options, connector);
  if (before && draft.tenant !== before.tenant) await refuseMove(pool, name, before.tenant);
  // Before anything is asked for: what is typed wrong is said at once.
  await checkPlatformOptions(name, readers, draft.options);
  if (isHubspot(draft.platform)) await checkHubspotDraft(pool, before, { ...draft, credential: null });
  else if (options.mapping !== undefined) throw wrongUse('--mapping belongs to platform hubspot');
  if (isDirectory) {
    const { directoryOptionsOf } = await import('../../activities/org/sources.ts');
    asUse(() => directoryOptionsOf({ ...draft, credential: null }));
  }
  const key = secretKeyOf(session.config);
  const credential =
    given === undefined
      ? await keptOrAsked(session, { name, before, options, connector, pool, key })
      : checkedCredential(connector, given);
  const connection: Connection = { ...draft, credential };
  const { print } = session.terminal;
  const toHubspot = isHubspot(draft.platform);
  const report = toHubspot && options.probe ? await probeHubspot(session, connection) : null;
  if (!toHubspot && options.probe) for (const line of await probe(connection, pool, key, readers)) print(line);
  const { no: _assigned, ...row } = connection;
  await saveConnection(pool, key, row);
  const secret = credential === null ? 'no credential' : 'credential sealed';
  // The address of a database stands in its credential.
  const address = readers.audience?.kind === 'database' ? '' : ` ${shown(draft.baseUrl)},`;
  print(
    `${before ? 'Changed' : 'Saved'} connection ${name}: ${draft.platform}, tenant ${draft.tenant},${address} ${secret}.`,
  );
  for (const line of await leftOut(readers, connection)) print(line);
  const nexts = toHubspot ? [nextOfHubspot(name, report)] : await nextOf(name, draft.platform, readers);
  for (const next of nexts) print(`Next: ${next}`);
  return undefined;
}

async function nextOf(name: string, platform: string, { audience }: Readers): Promise<string[]> {
  if (audience?.kind === 'channel') return ['npx syncline campaign create NAME FILE, with this name as its channel'];
  const { workflowsOf } = await import('../pipelines.ts');
  const startOf = (workflow: string) =>
    `npx syncline start ${workflow} ${name}${workflow === 'orgSync' ? ' --dry-run' : ''} --wait`;
  return workflowsOf(platform).reverse().map(startOf);
}

/** What an option could bring of the history and does not. */
async function leftOut({ connector, isDirectory }: Readers, connection: Connection): Promise<string[]> {
  if (!connector || isDirectory) return [];
  const { cutAhead, cutLines, usualStreams } = await import('../../activities/platform/list.ts');
  const chosen = (connection.options.streams as string[] | undefined) ?? usualStreams(connector, connection);
  return cutLines(chosen.map((stream) => ({ stream, cut: cutAhead(connector.streams, stream, connection.options) })));
}

function refuseSecrets({ credential, token, password, url }: ConnectOptions): void {
  const why = 'the shell keeps it in its history and every user of the machine can see it';
  const how =
    'Put it into an environment variable and name that: --credential-env NAME. Or leave it out and type it when asked.';
  if (typeof credential === 'string' || token !== undefined || password !== undefined)
    throw wrongUse(`A credential is not taken as an argument: ${why}. ${how}`);
  if (url !== undefined && URL.canParse(url) && (new URL(url).username || new URL(url).password))
    throw wrongUse(`--url: a user or password inside the address is not taken: ${why}. ${how}`);
}

/** The stored connection, or undefined. A database without our tables gets them: `connect` is often the first command. */
async function find(session: Session, name: string, pool: Pool): Promise<StoredConnection | undefined> {
  try {
    return await session.connection(name);
  } catch (error) {
    if (error instanceof ConnectionLeaving) throw error;
    if (error instanceof ConnectionUnknown) return undefined;
    if ((error as { cause?: { code?: string } }).cause?.code !== '42P01') throw error;
    const { migrate } = await import('../../db/migrate.ts');
    await migrate(pool.options.connectionString as string);
    return undefined;
  }
}

/** People stay in the tenant they were written to: names and seats are counted there. */
async function refuseMove(pool: Pool, name: string, tenant: string): Promise<void> {
  const living = await livingRows(pool, name, 'users');
  if (living === 0) return;
  throw wrongUse(
    `--tenant: ${living} people of "${name}" live in tenant "${tenant}" and would stay there. Make another connection for the other tenant.`,
  );
}

function drafted(
  name: string,
  before: StoredConnection | undefined,
  options: ConnectOptions,
  connector: Connector | undefined,
) {
  const platform = options.platform ?? before?.platform;
  const own = isHubspot(platform) ? hubspotBaseUrl : connector?.baseUrl || undefined;
  const baseUrl = options.url ?? before?.baseUrl ?? own;
  if (platform === undefined || baseUrl === undefined) {
    const missing = [platform === undefined && '--platform NAME', baseUrl === undefined && '--url ADDRESS'];
    throw wrongUse(`Connection "${name}" does not exist yet; to make it, add ${missing.filter(Boolean).join(' and ')}`);
  }
  checkAddress(baseUrl, platform);
  const change = [before?.options ?? {}, options.option ?? [], options.unset ?? []] as const;
  return {
    id: name,
    no: before?.no ?? 0,
    tenant: options.tenant ?? before?.tenant ?? name,
    platform,
    baseUrl,
    options: connector
      ? changePlatformOptions(connector, ...change)
      : withMapping(changeOptions(...change), options.mapping),
  };
}

const schemesOf: Record<string, string[]> = { ldap: ['ldap:', 'ldaps:'], smtp: ['smtp:', 'smtps:'] };

function checkAddress(url: string, platform: string): void {
  const schemes = schemesOf[platform] ?? ['https:', 'http:'];
  if (URL.canParse(url) && schemes.includes(new URL(url).protocol) && new URL(url).host) return;
  throw wrongUse(
    `--url: got "${url.slice(0, 60)}", accepted for ${platform}: ${schemes.map((scheme) => `${scheme}//host`).join(' or ')}`,
  );
}

/** Runs a check whose failure means that something was typed wrong. */
function asUse(check: () => unknown): void {
  try {
    check();
  } catch (error) {
    throw wrongUse((error as Error).message);
  }
}

/** The credential in the variable that was named; undefined when none was; null with --no-credential. */
function credentialFromVariable(session: Session, options: ConnectOptions): string | null | undefined {
  const { credentialEnv: variable } = options;
  if (variable === undefined) return options.credential === false ? null : undefined;
  if (options.credential === false) throw wrongUse('--credential-env and --no-credential exclude each other');
  if (!/^[A-Za-z_]\w*$/.test(variable))
    throw wrongUse(
      '--credential-env: got something that is no name of a variable, accepted a name such as ACME_TOKEN, never the credential itself',
    );
  const value = session.terminal.env[variable];
  if (value) return value;
  throw new CommandError(
    `--credential-env: the variable ${variable} is ${value === '' ? 'empty' : 'not set'} here. Set it in this shell, e.g. with: read -rs ${variable} && export ${variable}`,
  );
}

const checkedCredential = (connector: Connector | undefined, given: string | null) =>
  connector ? credentialText(connector, given) : given;

async function keptOrAsked(
  session: Session,
  {
    name,
    before,
    options,
    connector,
    pool,
    key,
  }: {
    name: string;
    before: StoredConnection | undefined;
    options: ConnectOptions;
    connector: Connector | undefined;
    pool: Pool;
    key: Buffer;
  },
): Promise<string | null> {
  if (before) {
    // Another host must not be sent a credential that was given for this one.
    const moved = options.url !== undefined && serverOf(options.url) !== serverOf(before.baseUrl);
    if (!moved || !before.hasCredential) return (await loadConnection(pool, key, name)).credential;
    if (!session.terminal.interactive)
      throw new CommandError(
        `--url names another server than before, so the stored credential is not sent there by itself. Give it again: --credential-env NAME, or --no-credential`,
      );
  }
  if (connector && !Object.values(connector.settings).some(({ secret }) => secret)) return null;
  if (!session.terminal.interactive)
    throw new CommandError(
      'No credential: nobody can be asked here. Name an environment variable with --credential-env NAME, or say --no-credential',
    );
  if (connector) return credentialText(connector, await askFields(session, name, connector));
  const typed = await session.terminal.askSecret(`Credential of ${name} (not shown; empty for none): `);
  return typed === '' ? null : typed;
}

/** Scheme, host and port. `URL.origin` is "null" for every `ldap:` and `smtp:` address, and so the same for all of them. */
function serverOf(address: string): string {
  const { protocol, host } = new URL(address);
  return `${protocol}//${host}`;
}
