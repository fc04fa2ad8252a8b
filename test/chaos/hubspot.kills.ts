import type { HubspotFault } from '../../sandbox/hubspot.ts';
import { changeUsers, disagreement, modelRules } from '../harness/crm.changes.ts';
import { type Crm, openCrm } from '../harness/crm.ts';
import type { Ground } from '../harness/ground.ts';
import { until } from '../harness/until.ts';
import { randomOf } from './kills.ts';

export interface HubspotKillOptions {
  ground: Ground;
  /** Workers killed, one a run; every second run meets failures of the platform, and changes while it sends. */
  kills: number;
  /** The same seed changes the same things and aims at the same moments. */
  seed: number;
  /** Receives one plain line a kill. */
  tell: (line: string) => void;
}

export interface HubspotKillReport {
  kills: number;
  /** Kills by the activity in hand. */
  hit: Record<string, number>;
  /** Most rows that one kill of an undisturbed run made the platform write twice. */
  repeatedRows: number;
}

export const inFlight = 4;
const users = 3_000;

/** Failures by chance, each in about one call of a hundred. */
const failures: HubspotFault[] = [
  { type: 'silent', applied: true, share: 0.01 },
  { type: 'silent', applied: false, lateMs: 1_500, share: 0.01 },
  { type: 'status', status: 503, share: 0.01 },
  { type: 'status', status: 423, share: 0.005 },
  { type: 'rate', policy: 'SECONDLY', share: 0.005 },
  { type: 'empty', share: 0.01 },
  { type: 'partial', rows: 3, share: 0.01 },
];

/**
 * Run after run: change rows, start, kill the worker at a moment chosen by the seed, start another one, and compare what
 * HubSpot holds with the mapped rows: equal but for exactly the rows that are bad, and those are parked.
 * @throws the disagreement that was found
 */
export async function killHubspotAtRandom({
  ground,
  kills,
  seed,
  tell,
}: HubspotKillOptions): Promise<HubspotKillReport> {
  const random = randomOf(seed);
  const options = { mode: 'mirror', rejectPercent: 100, callsPerWindow: 10_000, inFlight, settleSeconds: 2 };
  const crm = await openCrm(ground, { users, options, sandbox: { rules: modelRules, latencyMs: 20, seed } });
  let worker = ground.worker();
  await worker.whileAlive(crm.sync());
  const report: HubspotKillReport = { kills: 0, hit: {}, repeatedRows: 0 };
  for (let kill = 1; kill <= kills; kill++) {
    const disturbed = kill % 2 === 0;
    await changeUsers(crm, random, 4 + Math.floor(random() * 4), kill);
    if (!disturbed)
      await crm.sql(`UPDATE users SET name = 'All ${kill}' WHERE id % 3 > 0 AND name NOT LIKE 'Mallory%'`);
    crm.source.setFaults(disturbed ? failures : []);
    const before = batchCalls(crm);
    const written = writes(crm);
    const run = await crm.start();
    let over = false;
    const done = run.result().finally(() => {
      over = true;
    });
    done.catch(() => undefined);
    const wanted = before + 1 + Math.floor(random() * 20);
    await until('the moment to kill', async () => over || batchCalls(crm) >= wanted);
    if (disturbed) await changeUsers(crm, random, 2, kill + 1_000);
    await worker.kill();
    const pending = (await run.describe()).raw.pendingActivities?.[0]?.activityType?.name ?? 'between';
    report.hit[pending] = (report.hit[pending] ?? 0) + 1;
    if (disturbed) await changeUsers(crm, random, 2, kill + 2_000);
    worker = ground.worker();
    const result = (await worker.whileAlive(done)) as { outcome: string };
    crm.source.setFaults([]);
    // A call may have landed late, and changes may have come behind the last look at the log.
    await worker.whileAlive(crm.sync());
    const wrong = await disagreement(crm);
    if (wrong) throw new Error(`kill ${kill} (${pending}): ${JSON.stringify(wrong)}`);
    const repeated = disturbed ? null : repeatedRows(crm, written);
    report.repeatedRows = Math.max(report.repeatedRows, repeated ?? 0);
    report.kills += 1;
    tell(
      `kill ${kill}, ${disturbed ? 'disturbed' : 'undisturbed'}: in ${pending} behind ${batchCalls(crm) - before} calls; ${result.outcome}, equal${repeated === null ? '' : `; ${repeated} rows written twice`}`,
    );
  }
  await worker.kill();
  return report;
}

function batchCalls({ source }: Crm): number {
  const { upsert = 0, archive = 0 } = source.calls.byName;
  return upsert + archive;
}

function writes({ source }: Crm): Map<string, number> {
  return new Map([...source.contacts.all()].map((contact) => [contact.id, contact.writes]));
}

/** Writes of this round beyond the first of each contact. */
function repeatedRows(crm: Crm, before: ReadonlyMap<string, number>): number {
  let repeated = 0;
  for (const { id, writes: now } of crm.source.contacts.all()) repeated += Math.max(0, now - (before.get(id) ?? 0) - 1);
  return repeated;
}
