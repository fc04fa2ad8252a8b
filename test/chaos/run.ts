import { Argument, Command, InvalidArgumentError } from 'commander';
import { type Ground, openGround } from '../harness/ground.ts';
import { killAudiencesAtRandom } from './audience.kills.ts';
import { killHubspotAtRandom } from './hubspot.kills.ts';
import { killAtRandom } from './kills.ts';
import { killPlatformsAtRandom } from './platform.kills.ts';
import { killStripeAtRandom } from './stripe.kills.ts';

interface Round {
  ground: Ground;
  kills: number;
  seed: number;
  /** How much is at work, where the pipeline has a size; undefined: its own. */
  size: number | undefined;
  tell: (line: string) => void;
}

/** How a pipeline is killed. A new pipeline is an entry here. */
interface Pipeline {
  /** Servers are fresh after so many kills, where the sources of a round pile up on them. Default: never. */
  killsOfGround?: number;
  /** Kills, compares, and counts what the kills met; throws the first difference. */
  kill(round: Round): Promise<Record<string, number>>;
}

const pipelines: Record<string, Pipeline> = {
  org: { kill: async (round) => (await killAtRandom({ ...round, directories: 4 })).steps },
  platform: {
    killsOfGround: 20,
    async kill(round) {
      const { hit, repeatedSeconds } = await killPlatformsAtRandom(round);
      round.tell(`at most asked again by one kill: ${JSON.stringify(repeatedSeconds)} (seconds of an undisturbed run)`);
      return hit;
    },
  },
  stripe: { killsOfGround: 30, kill: async (round) => (await killStripeAtRandom(round)).hit },
  hubspot: {
    async kill(round) {
      const { hit, repeatedRows } = await killHubspotAtRandom(round);
      round.tell(`at most written twice by one kill of an undisturbed run: ${repeatedRows} rows`);
      return hit;
    },
  },
  audience: {
    async kill(round) {
      const { hit, unknown, twice } = await killAudiencesAtRandom({ ...round, recipients: round.size ?? 50_000 });
      round.tell(
        `unknown under at-most-once: ${JSON.stringify(unknown)}; twice under at-least-once: ${JSON.stringify(twice)}`,
      );
      return hit;
    },
  },
};

const whole = (text: string) => {
  if (/^\d{1,7}$/.test(text)) return Number(text);
  throw new InvalidArgumentError(`got "${text.slice(0, 20)}", accepted: a whole number from 0 to 9999999`);
};
/** `npm run chaos -- platform --kills 200 --seed 5`: the first difference ends it with exit code 1. */
const command = new Command('npm run chaos --')
  .description('Kills workers at random moments and compares source and copy after each.')
  .addArgument(new Argument('<pipeline>', 'what is at work').choices(Object.keys(pipelines)))
  .option('--kills <n>', 'workers to kill, 12 to 25 s each', whole, 100)
  .option('--seed <n>', 'changes and moments; default: the time', whole, Math.floor(Date.now() / 1000) % 1_000_000)
  .option('--size <n>', 'audience: recipients of each campaign (default: 50000)', whole)
  .parse();
const [name] = command.processedArgs as [string];
const pipeline = pipelines[name] as Pipeline;
const { kills, seed, size } = command.opts<{ kills: number; seed: number; size?: number }>();

const print = (line: string) => process.stdout.write(`${line}\n`);
print(`${name}: seed ${seed}, ${kills} kills`);
const counted: Record<string, number> = {};
const step = pipeline.killsOfGround ?? Number.MAX_SAFE_INTEGER;
try {
  for (let done = 0; done < kills; done += step) {
    const ground = await openGround({ durable: true });
    try {
      const round = { ground, kills: Math.min(kills - done, step), seed: seed + done, size, tell: print };
      for (const [what, n] of Object.entries(await pipeline.kill(round))) counted[what] = (counted[what] ?? 0) + n;
    } catch (error) {
      // Told before the servers go: what still waits for them then ends this process.
      const { message, cause } = error as Error;
      print(`seed ${seed}: ${message}${cause instanceof Error ? `: ${cause.message}` : ''}`);
      process.exitCode = 1;
      throw error;
    } finally {
      await ground.close();
    }
  }
  print(`${kills} kills, no difference; what they met:`);
  for (const [what, n] of Object.entries(counted).sort(([, a], [, b]) => b - a)) print(`  ${what}: ${n}`);
} catch (error) {
  if (process.exitCode !== 1) throw error;
}
