import { Command, InvalidArgumentError } from 'commander';
import { openGround } from '../harness/ground.ts';
import { killAtRandom } from './kills.ts';

/** `npm run chaos -- --kills 200 --seed 5`: kills workers for as long as it is told to; the first difference ends it with exit code 1. */
const whole = (text: string) => {
  if (/^\d{1,7}$/.test(text)) return Number(text);
  throw new InvalidArgumentError(`got "${text.slice(0, 20)}", accepted: a whole number from 0 to 9999999`);
};
const options = new Command('chaos')
  .description('Kills workers at random moments of orgSync and compares source and copy after each.')
  .option('--kills <n>', 'workers to kill, about 12 s each', whole, 100)
  .option('--seed <n>', 'changes and moments; default: the time', whole, Math.floor(Date.now() / 1000) % 1_000_000)
  .option('--directories <n>', 'connections that sync at once', whole, 4)
  .parse()
  .opts<{ kills: number; seed: number; directories: number }>();

const print = (line: string) => process.stdout.write(`${line}\n`);
print(`seed ${options.seed}, ${options.kills} kills, ${options.directories} directories`);
const ground = await openGround({ durable: true });
try {
  const report = await killAtRandom({ ...options, ground, tell: print });
  print(`${report.kills} kills, ${report.runs} runs, ${report.interrupted} of them interrupted, no difference`);
  for (const [step, n] of Object.entries(report.steps).sort(([, a], [, b]) => b - a)) print(`  ${step}: ${n}`);
} catch (error) {
  print(`seed ${options.seed}: ${(error as Error).message}`);
  process.exitCode = 1;
} finally {
  await ground.close();
}
