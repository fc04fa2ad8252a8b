import { afterAll, beforeAll, expect, inject, it } from 'vitest';
import { type Ground, openGround } from '../harness/ground.ts';
import { killAudiencesAtRandom } from './audience.kills.ts';

const kills = 5;
const seed = Math.floor(Date.now() / 1000) % 1_000_000;

let ground: Ground;
beforeAll(async () => {
  ground = await openGround({ durable: true, bundle: inject('shared').bundle });
});
afterAll(() => ground.close());

it('workers killed at random moments: at-least-once misses nobody, at-most-once reaches nobody twice, every unknown is listed', async () => {
  const told: string[] = [];
  const report = await killAudiencesAtRandom({
    ground,
    kills,
    recipients: 2_500,
    seed,
    tell: (line) => told.push(line),
  }).catch((cause) => {
    throw new Error([`seed ${seed}`, ...told, (cause as Error).message].join('\n'), { cause });
  });
  process.stdout.write(`seed ${seed}\n${told.join('\n')}\n`);
  expect(report.kills).toBe(kills);
  const channels = new Set(Object.keys(report.hit).map((name) => name.split(' ')[0]));
  expect([...channels].sort(), 'channels with messages on their way when their worker was killed').toEqual([
    'smtp',
    'webhook',
    'wechat',
  ]);
}, 240_000);
