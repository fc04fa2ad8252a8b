import { createInterface } from 'node:readline';
import * as fixtures from './fixtures.ts';
import { type HubspotFault, startHubspotSandbox } from './hubspot.ts';
import { type Fixture, type Fault as PlatformFault, startPlatformSandbox } from './platform.ts';
import type { Change } from './scim/change.ts';
import type { Fault } from './scim/faults.ts';
import { startScimSandbox } from './scim.ts';
import type { SmtpSinkOptions } from './smtp.ts';
import { type Paced, type StripeSandboxOptions, startStripeSandbox } from './stripe.ts';
import { startWebhookSandbox } from './webhook.ts';
import { startWechatSandbox } from './wechat.ts';

/**
 * One simulated platform in a process of its own, for benchmarks and for trying out: `node --import tsx sandbox/serve.ts scim '{"users":30000,"groups":2000}'`,
 * `… sandbox/serve.ts kuaishou '{"rows":200000}'`. Prints `{"url",…}` when ready, then answers each command line with one
 * line; a command that fails answers `{"error"}`. Ends with `{"op":"stop"}` or when its input closes.
 */
interface Served {
  /** Said when it is ready. */
  ready: object;
  /** Commands besides `stop`; each answers with an object. */
  commands: Record<string, (command: Record<string, unknown>) => object>;
  stop(): Promise<void>;
}

async function scim(options: Parameters<typeof startScimSandbox>[0]): Promise<Served> {
  const sandbox = await startScimSandbox(options);
  return {
    ready: { url: sandbox.url, token: sandbox.token },
    commands: {
      change: ({ share, seed }) => sandbox.change({ share, seed } as Change),
      requests: () => sandbox.requests,
      setFaults: ({ faults }) => {
        sandbox.setFaults(faults as Fault[]);
        return { faults: (faults as Fault[]).length };
      },
    },
    stop: sandbox.stop,
  };
}

async function stripe(options: StripeSandboxOptions): Promise<Served> {
  const sandbox = await startStripeSandbox(options);
  let stopPace = (): Paced[] => [];
  return {
    ready: { url: sandbox.url, key: sandbox.key },
    commands: {
      requests: () => sandbox.requests,
      ids: ({ list, limit }) => ({ ids: [...sandbox.truth(String(list)).keys()].slice(0, Number(limit)) }),
      update: ({ list, id }) => {
        sandbox.update(String(list), String(id));
        return {};
      },
      pace: ({ list, perSecond }) => {
        stopPace = sandbox.pace(String(list), Number(perSecond));
        return {};
      },
      paced: () => ({ changes: stopPace() }),
    },
    async stop() {
      // Its timer would keep the process.
      stopPace();
      await sandbox.stop();
    },
  };
}

async function platform(fixture: Fixture, options: object): Promise<Served> {
  const sandbox = await startPlatformSandbox(fixture, options);
  return {
    ready: { url: sandbox.url },
    commands: {
      connection: ({ account }) => sandbox.connection(account as string | undefined),
      requests: () => sandbox.requests,
      change: ({ list, account = 'main', share, seed }) => ({
        changed: sandbox.account(String(account)).change(String(list), { share, seed } as Change),
      }),
      keys: ({ stream }) => ({
        keys: [...sandbox.truth(String(stream))].map(([key, { updated, removed }]) => [key, updated, removed]),
      }),
      setFaults: ({ faults }) => {
        sandbox.setFaults(faults as PlatformFault[]);
        return { faults: (faults as PlatformFault[]).length };
      },
    },
    stop: sandbox.stop,
  };
}

/** Receivers of messages: what came, without the addresses but for a sample. */
async function receiver(
  start: typeof startWebhookSandbox | typeof startWechatSandbox,
  options: object,
): Promise<Served> {
  const sandbox = await start(options);
  const { url, received, answered, counts } = sandbox;
  const account =
    'appId' in sandbox
      ? { appId: sandbox.appId, appSecret: sandbox.appSecret, templateId: sandbox.templateId }
      : { secret: sandbox.secret };
  return {
    ready: { url, ...account },
    commands: {
      counts: () => ({
        ...counts,
        reached: received.size,
        twice: [...received.values()].filter((times) => times > 1).length,
        answered: [...answered],
      }),
    },
    stop: sandbox.stop,
  };
}

/** A mail server. Its package is none of those that production installs. */
async function smtp(options: SmtpSinkOptions): Promise<Served> {
  const { startSmtpSink } = await import('./smtp.ts');
  const { url, received, counts, stop } = await startSmtpSink(options);
  return { ready: { url }, commands: { counts: () => ({ ...counts, reached: received.size }) }, stop };
}

async function hubspot(options: object): Promise<Served> {
  const sandbox = await startHubspotSandbox(options);
  return {
    ready: { url: sandbox.url, token: sandbox.token },
    commands: {
      calls: () => sandbox.calls,
      contacts: () => {
        let [contacts, writes] = [0, 0];
        for (const contact of sandbox.contacts.all()) {
          contacts += 1;
          writes += contact.writes;
        }
        return { contacts, writes };
      },
      setFaults: ({ faults }) => {
        sandbox.setFaults(faults as HubspotFault[]);
        return { faults: (faults as HubspotFault[]).length };
      },
    },
    stop: sandbox.stop,
  };
}

const [name = '', text = '{}'] = process.argv.slice(2);
const options = JSON.parse(text) as object;
const known = new Map(Object.entries(fixtures));
const fixture = known.get(name);
const own: Record<string, (options: never) => Promise<Served>> = {
  scim,
  stripe,
  hubspot,
  webhook: (given) => receiver(startWebhookSandbox, given),
  wechat: (given) => receiver(startWechatSandbox, given),
  smtp,
};
const start = Object.hasOwn(own, name) ? own[name] : fixture && ((given: never) => platform(fixture, given));
if (!start) {
  const accepted = [...Object.keys(own), ...known.keys()].join(', ');
  throw new RangeError(`serve: no platform is called ${JSON.stringify(name)}; accepted: ${accepted}`);
}
const served = await start(options as never);
const say = (answer: object) => process.stdout.write(`${JSON.stringify(answer)}\n`);
say(served.ready);

const lines = createInterface({ input: process.stdin });
for await (const line of lines) {
  try {
    const command = JSON.parse(line) as Record<string, unknown>;
    if (command.op === 'stop') {
      say({ stopped: true });
      break;
    }
    say(obey(command));
  } catch (error) {
    say({ error: (error as Error).message });
  }
}
lines.close();
process.stdin.destroy();
await served.stop();

function obey(command: Record<string, unknown>): object {
  const op = String(command.op);
  if (Object.hasOwn(served.commands, op)) return served.commands[op]!(command);
  const ops = [...Object.keys(served.commands), 'stop'].join(', ');
  throw new RangeError(`serve: no such op in ${JSON.stringify(command)}; accepted: ${ops}`);
}
