import { createInterface } from 'node:readline';
import * as fixtures from './fixtures.ts';
import { type HubspotFault, startHubspotSandbox } from './hubspot.ts';
import { type Fixture, type Fault as PlatformFault, startPlatformSandbox } from './platform.ts';
import type { Change } from './scim/change.ts';
import type { Fault } from './scim/faults.ts';
import { startScimSandbox } from './scim.ts';

/**
 * One simulated platform in a process of its own, for benchmarks: `node --import tsx sandbox/serve.ts scim '{"users":30000,"groups":2000}'`,
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
const own = { scim: () => scim(options as Parameters<typeof scim>[0]), hubspot: () => hubspot(options) };
const start = Object.hasOwn(own, name) ? own[name as keyof typeof own] : fixture && (() => platform(fixture, options));
if (!start) {
  throw new RangeError(
    `serve: no platform is called ${JSON.stringify(name)}; accepted: ${Object.keys(own).join(', ')}, ${[...known.keys()].join(', ')}`,
  );
}
const served = await start();
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
