import { createInterface } from 'node:readline';
import type { Change } from './scim/change.ts';
import type { Fault } from './scim/faults.ts';
import { startScimSandbox } from './scim.ts';

/**
 * One simulated platform in a process of its own, for benchmarks: `node --import tsx sandbox/serve.ts scim '{"users":30000,"groups":2000}'`.
 * Prints `{"url","token"}` when ready, then answers each command line with one line; a command that fails answers `{"error"}`.
 * Ends with `{"op":"stop"}` or when its input closes.
 */
type Command = ({ op: 'change' } & Change) | { op: 'setFaults'; faults: Fault[] } | { op: 'requests' } | { op: 'stop' };

const platforms = { scim: startScimSandbox };
const [name = '', options = '{}'] = process.argv.slice(2);
const start = Object.hasOwn(platforms, name) ? platforms[name as keyof typeof platforms] : undefined;
if (!start) {
  const known = Object.keys(platforms).join(', ');
  throw new RangeError(`serve: no platform is called ${JSON.stringify(name)}; accepted: ${known}`);
}

const sandbox = await start(JSON.parse(options));
const say = (answer: object) => process.stdout.write(`${JSON.stringify(answer)}\n`);
say({ url: sandbox.url, token: sandbox.token });

const lines = createInterface({ input: process.stdin });
for await (const line of lines) {
  try {
    const command = JSON.parse(line) as Command;
    say(obey(command));
    if (command.op === 'stop') break;
  } catch (error) {
    say({ error: (error as Error).message });
  }
}
lines.close();
process.stdin.destroy();
await sandbox.stop();

function obey(command: Command): object {
  if (command.op === 'change') return sandbox.change({ share: command.share, seed: command.seed });
  if (command.op === 'requests') return sandbox.requests;
  if (command.op === 'stop') return { stopped: true };
  if (command.op === 'setFaults') {
    sandbox.setFaults(command.faults);
    return { faults: command.faults.length };
  }
  throw new RangeError(`serve: no such op in ${JSON.stringify(command)}; accepted: change, setFaults, requests, stop`);
}
