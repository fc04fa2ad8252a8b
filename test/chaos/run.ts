import { Command, InvalidArgumentError, Option } from 'commander';
import { openGround } from '../harness/ground.ts';
import { killAtRandom } from './kills.ts';
import { killPlatformsAtRandom } from './platform.kills.ts';

/** `npm run chaos -- --kills 200 --seed 5 --pipeline platform`: kills workers for as long as it is told to; the first difference ends it with exit code 1. */
const whole = (text: string) => {
  if (/^\d{1,7}$/.test(text)) return Number(text);
  throw new InvalidArgumentError(`got "${text.slice(0, 20)}", accepted: a whole number from 0 to 9999999`);
};
const options = new Command('chaos')
  .description('Kills workers at random moments and compares source and copy after each.')
  .addOption(new Option('--pipeline <name>', 'what is at work').choices(['org', 'platform']).default('org'))
  .option('--kills <n>', 'workers to kill, about 12 s each', whole, 100)
  .option('--seed <n>', 'changes and moments; default: the time', whole, Math.floor(Date.now() / 1000) % 1_000_000)
  .option('--directories <n>', 'connections of org that sync at once', whole, 4)
  .parse()
  .opts<{ pipeline: 'org' | 'platform'; kills: number; seed: number; directories: number }>();

/** Sources of a platform are fresh every second kill: servers are too from time to time, so that they do not pile up. */
const killsOfGround = { org: Number.MAX_SAFE_INTEGER, platform: 20 };

const print = (line: string) => process.stdout.write(`${line}\n`);
print(`${options.pipeline}: seed ${options.seed}, ${options.kills} kills`);
const counted: Record<string, number> = {};
try {
  for (let done = 0; done < options.kills; done += killsOfGround[options.pipeline]) {
    const kills = Math.min(options.kills - done, killsOfGround[options.pipeline]);
    for (const [what, n] of Object.entries(await killSome(kills, options.seed + done)))
      counted[what] = (counted[what] ?? 0) + n;
  }
  print(`${options.kills} kills, no difference; what they met:`);
  for (const [what, n] of Object.entries(counted).sort(([, a], [, b]) => b - a)) print(`  ${what}: ${n}`);
} catch (error) {
  const { message, cause } = error as Error;
  print(`seed ${options.seed}: ${message}${cause instanceof Error ? `: ${cause.message}` : ''}`);
  process.exitCode = 1;
}

/** Kills so many workers on servers of their own; says what they had in hand. */
async function killSome(kills: number, seed: number): Promise<Record<string, number>> {
  const ground = await openGround({ durable: true });
  try {
    if (options.pipeline === 'platform') {
      const { hit, repeatedSeconds } = await killPlatformsAtRandom({ ground, kills, seed, tell: print });
      print(`at most asked again by one kill: ${JSON.stringify(repeatedSeconds)} (seconds of an undisturbed run)`);
      return hit;
    }
    const { directories } = options;
    return (await killAtRandom({ ground, kills, seed, directories, tell: print })).steps;
  } finally {
    await ground.close();
  }
}
