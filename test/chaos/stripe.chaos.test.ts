import { afterAll, beforeAll, expect, inject, it } from 'vitest';
import { type Ground, openGround } from '../harness/ground.ts';
import { killStripeAtRandom, phases } from './stripe.kills.ts';

const kills = 5;
const seed = Math.floor(Date.now() / 1000) % 1_000_000;

let ground: Ground;
beforeAll(async () => {
  ground = await openGround({ durable: true, bundle: inject('shared').bundle });
});
afterAll(() => ground.close());

it('workers killed at random moments of every phase leave accounts that change all the time and their copies equal', async () => {
  const told: string[] = [];
  const tell = (line: string) => told.push(line);
  const report = await killStripeAtRandom({ ground, kills, seed, tell }).catch((cause) => {
    throw new Error([`seed ${seed}`, ...told, (cause as Error).message].join('\n'), { cause });
  });
  process.stdout.write(`seed ${seed}\n${told.join('\n')}\n`);
  expect(report.kills).toBe(kills);
  for (const phase of phases) expect(report.hit[phase] ?? 0, `kills while ${phase} was in hand`).toBeGreaterThan(0);
}, 240_000);
