import { execFile, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream, existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as wait } from 'node:timers/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);
const binary = '/usr/sbin/slapd';
const modules = '/usr/lib/ldap';
const schemas = '/etc/ldap/schema';
const readyMs = 15_000;

export const suffix = 'dc=example,dc=org';
/** Exempt from limits and ACLs: loads and changes the directory, never reads it for a test. */
export const rootDn = `cn=root,${suffix}`;
/** The user that tests read as. */
export const readerDn = `cn=reader,${suffix}`;
export const rootPassword = 'root-secret';
export const readerPassword = 'reader-secret';

export interface SlapdOptions {
  /** Entries below the suffix; the suffix itself and the reader are there already. */
  ldif: string | Iterable<string>;
  /** Lines of slapd.conf for the database, e.g. `limits dn.exact="…" size=500`. Default: the reader has no limits. */
  limits?: string[];
  /** Lines of slapd.conf `access to …`. Default: everybody reads all but passwords. */
  access?: string[];
  /** Certificate for 127.0.0.1 and localhost, signed by a CA of its own; listens on ldaps too. */
  tls?: boolean;
}

export interface Slapd {
  url: string;
  /** Only with `tls`. */
  secureUrl: string;
  /** PEM files: the CA that signed the server's certificate, and one that signed nothing. Only with `tls`. */
  caFile: string;
  otherCaFile: string;
  /** Applies LDIF with changes (`changetype: …`) as the root user. */
  change(ldif: string): Promise<void>;
  /** Kills the server as a power cut does. */
  kill(): Promise<void>;
  /** Resident memory of the server's process is not ours; its id is, for tests that look. */
  pid: number;
  stop(): Promise<void>;
}

/** Null when slapd can be started here, else the line that installs it. */
export function slapdMissing(): string | null {
  const there = existsSync(binary) && existsSync(join(modules, 'back_mdb.so')) && existsSync(schemas);
  const tools = ['ldapmodify', 'openssl'].every((tool) => spawnSync(tool, ['-VV']).error === undefined);
  return there && tools ? null : 'apt-get install -y slapd ldap-utils openssl';
}

/** Starts a real slapd on free ports of 127.0.0.1, as the current user, with its files in a folder that `stop` removes. */
export async function startSlapd(options: SlapdOptions): Promise<Slapd> {
  const folder = await mkdtemp(join(tmpdir(), 'syncline-slapd-'));
  try {
    const tls = options.tls ? await makeCertificates(folder) : null;
    await writeConfig(folder, options, tls);
    await load(folder, options.ldif);
    const [port, securePort] = [await freePort(), await freePort()];
    const url = `ldap://127.0.0.1:${port}`;
    const secureUrl = `ldaps://127.0.0.1:${securePort}`;
    const server = spawn(
      binary,
      ['-f', join(folder, 'slapd.conf'), '-h', tls ? `${url} ${secureUrl}` : url, '-d', '0'],
      { stdio: ['ignore', 'ignore', 'pipe'] },
    );
    let said = '';
    server.stderr.on('data', (chunk) => {
      said += chunk;
    });
    const gone = once(server, 'exit');
    const stop = async () => {
      if (server.exitCode === null && server.signalCode === null) server.kill('SIGKILL');
      await gone;
      await rm(folder, { recursive: true, force: true });
    };
    const until = Date.now() + readyMs;
    while (!(await answers(port))) {
      if (server.exitCode !== null || Date.now() > until) {
        await stop();
        throw new Error(`slapd did not start: ${said}`);
      }
      await wait(20);
    }
    return {
      url,
      secureUrl,
      caFile: tls?.ca ?? '',
      otherCaFile: tls?.otherCa ?? '',
      pid: server.pid as number,
      change: (ldif) => change(folder, url, ldif),
      kill: async () => {
        server.kill('SIGKILL');
        await gone;
      },
      stop,
    };
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
}

async function writeConfig(folder: string, options: SlapdOptions, tls: Certificates | null): Promise<void> {
  await mkdir(join(folder, 'db'));
  const access = options.access ?? [
    'access to attrs=userPassword by anonymous auth by * none',
    'access to * by * read',
  ];
  const limits = options.limits ?? [`limits dn.exact="${readerDn}" size=unlimited size.prtotal=unlimited`];
  const lines = [
    ...['core', 'cosine', 'inetorgperson', 'nis'].map((name) => `include ${schemas}/${name}.schema`),
    `modulepath ${modules}`,
    'moduleload back_mdb',
    `pidfile ${folder}/slapd.pid`,
    `argsfile ${folder}/slapd.args`,
    ...(tls
      ? [`TLSCACertificateFile ${tls.ca}`, `TLSCertificateFile ${tls.certificate}`, `TLSCertificateKeyFile ${tls.key}`]
      : []),
    'database mdb',
    `suffix "${suffix}"`,
    `rootdn "${rootDn}"`,
    `rootpw ${rootPassword}`,
    `directory ${folder}/db`,
    'maxsize 2147483648',
    'dbnosync',
    'index objectClass,entryUUID,uid eq',
    ...limits,
    ...access,
  ];
  await writeFile(join(folder, 'slapd.conf'), `${lines.join('\n')}\n`, { mode: 0o600 });
}

/** slapadd keeps member names as they are written, where ldapadd would bring them into one form. */
async function load(folder: string, ldif: string | Iterable<string>): Promise<void> {
  const file = join(folder, 'entries.ldif');
  const head = [
    entry(suffix, ['objectClass: dcObject', 'objectClass: organization', 'dc: example', 'o: Example']),
    entry(readerDn, [
      'objectClass: organizationalRole',
      'objectClass: simpleSecurityObject',
      'cn: reader',
      `userPassword: ${readerPassword}`,
    ]),
  ];
  const rest = typeof ldif === 'string' ? [ldif] : ldif;
  await pipeline(
    Readable.from(
      (function* () {
        yield* head;
        yield* rest;
      })(),
    ),
    createWriteStream(file),
  );
  await run('/usr/sbin/slapadd', ['-q', '-f', join(folder, 'slapd.conf'), '-l', file]);
}

async function change(folder: string, url: string, ldif: string): Promise<void> {
  const file = join(folder, 'change.ldif');
  await writeFile(file, ldif);
  await run('ldapmodify', ['-x', '-H', url, '-D', rootDn, '-w', rootPassword, '-f', file]);
}

interface Certificates {
  ca: string;
  otherCa: string;
  certificate: string;
  key: string;
}

async function makeCertificates(folder: string): Promise<Certificates> {
  const at = (name: string) => join(folder, name);
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  for (const name of ['ca', 'other'])
    await run('openssl', [
      ...['req', '-x509', ...newKey, '-days', '2', '-subj', `/CN=Test ${name}`],
      ...['-keyout', at(`${name}.key`), '-out', at(`${name}.pem`)],
    ]);
  await run('openssl', [
    ...['req', '-new', ...newKey, '-subj', '/CN=localhost', '-keyout', at('server.key'), '-out', at('server.csr')],
  ]);
  await writeFile(at('names'), 'subjectAltName=IP:127.0.0.1,DNS:localhost\n');
  await run('openssl', [
    ...['x509', '-req', '-in', at('server.csr'), '-CA', at('ca.pem'), '-CAkey', at('ca.key'), '-CAcreateserial'],
    ...['-days', '2', '-extfile', at('names'), '-out', at('server.pem')],
  ]);
  return { ca: at('ca.pem'), otherCa: at('other.pem'), certificate: at('server.pem'), key: at('server.key') };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}

/** One entry of LDIF: values that are not plain ASCII go in base64; slapadd takes the empty one only as it is. */
export function entry(dn: string, lines: string[]): string {
  return `${[`dn: ${dn}`, ...lines].map(safeLine).join('\n')}\n\n`;
}

function safeLine(line: string): string {
  const colon = line.indexOf(': ');
  const value = line.slice(colon + 2);
  if (/^([\x21-\x39\x3b-\x7e][\x20-\x7e]*)?$/.test(value) && !value.endsWith(' ')) return line;
  return `${line.slice(0, colon)}:: ${Buffer.from(value).toString('base64')}`;
}

export interface Company {
  people: number;
  units: number;
  /** Groups of names beside the units. Default 0. */
  groups?: number;
  /** Members of each. Default 100. */
  groupMembers?: number;
  /** Units below each unit. Default 10. */
  branch?: number;
}

/** Name of the n-th unit (from 0) and the n-th person (from 0) of `companyLdif`. */
export function unitDn(n: number, branch = 10): string {
  const parent = n === 0 ? suffix : unitDn(Math.floor((n - 1) / branch), branch);
  return `ou=${unitName(n)},${parent}`;
}

export function personDn(n: number, company: Company): string {
  return `uid=u${n},${unitDn(n % company.units, company.branch)}`;
}

/** Every seventh name carries a comma, every fifth letters beyond ASCII. */
function unitName(n: number): string {
  return `${n % 5 === 4 ? 'Søl' : 'Unit'} ${n}${n % 7 === 6 ? '\\, North' : ''}`;
}

/** Nested units with people spread evenly over them, and groups of names whose members repeat people's names. */
export function* companyLdif(company: Company): Generator<string> {
  const { people, units, groups = 0, groupMembers = 100, branch = 10 } = company;
  const dns: string[] = [];
  for (let n = 0; n < units; n++) {
    dns.push(unitDn(n, branch));
    yield entry(dns[n] as string, ['objectClass: organizationalUnit', `ou: ${unitName(n).replace('\\', '')}`]);
  }
  for (let n = 0; n < people; n++)
    yield entry(`uid=u${n},${dns[n % units]}`, [
      'objectClass: inetOrgPerson',
      `uid: u${n}`,
      `cn: Person ${n}`,
      `givenName: P${n}`,
      `sn: Ørn ${n}`,
      `mail: u${n}@example.org`,
      `telephoneNumber: +47 ${n}`,
      `title: Title ${n % 50}`,
      `employeeNumber: ${n}`,
    ]);
  for (let g = 0; g < groups; g++) {
    const members = Array.from({ length: groupMembers }, (_, m) => (g * 997 + m * 31) % people);
    yield entry(`cn=Group ${g},${suffix}`, [
      'objectClass: groupOfNames',
      `cn: Group ${g}`,
      ...[...new Set(members)].map((n) => `member: uid=u${n},${dns[n % units]}`),
    ]);
  }
}
