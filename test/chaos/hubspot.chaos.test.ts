import { afterAll, beforeAll, expect, inject, it } from 'vitest';
import { type Ground, openGround } from '../harness/ground.ts';
import { inFlight, killHubspotAtRandom } from './hubspot.kills.ts';

const kills = 5;
const seed = Math.floor(Date.now() / 1000) % 1_000_000;

let ground: Ground;
beforeAll(async () => {
  ground = await openGround({ durable: true, bundle: inject('shared').bundle });
});
afterAll(() => ground.close());

it('workers killed at random moments miss nobody, send the batches in flight again at most, and write no older version over a newer one', async () => {
  const told: string[] = [];
  const report = await killHubspotAtRandom({ ground, kills, seed, tell: (line) => told.push(line) }).catch((cause) => {
    throw new Error([`seed ${seed}`, ...told, (cause as Error).message].join('\n'), { cause });
  });
  process.stdout.write(`seed ${seed}\n${told.join('\n')}\n`);
  expect(report.kills).toBe(kills);
  expect(report.repeatedRows, `seed ${seed}`).toBeLessThanOrEqual(inFlight * 100);
}, 240_000);
