import { listPlans } from '../../db/org/report.ts';
import { readDirectory } from '../../db/org/rows.ts';
import { readStage } from '../../db/org/stage.ts';
import type { OrgSyncResult } from '../../workflows/org.result.ts';
import { orgSyncId } from '../../workflows/org.ts';
import { count } from '../cli/words.ts';
import { changeDirectory } from './change.ts';
import { compare, describeComparison } from './compare.ts';
import { connect, connection, type Ground } from './ground.ts';
import type { Screen } from './screen.ts';
import { describeChanges, describeResult, describeRound, describeTables } from './tell.ts';
import { Watch } from './watch.ts';
import type { DemoWorker } from './worker.ts';

/** Pages that the directory is read in: enough of them to be caught in the middle. */
const pages = 60;
/** The most rows that the simulated directory gives a page. */
const largestPage = 200;
/** Milliseconds that the slow source of the third run needs for all people. */
const slowMs = 5_000;
/** Share of people that have been read when the worker is killed. */
const killAt = 0.75;

/**
 * Three runs over a simulated directory: everything, a day's changes, and another day's changes with the worker killed.
 * Source and copy are compared after each, and what they wrote is shown at the end.
 */
export class Story {
  private readonly ground: Ground;
  private readonly screen: Screen;
  private readonly worker: DemoWorker;
  private readonly pageSize: number;
  private equal = true;

  private constructor(ground: Ground, screen: Screen, worker: DemoWorker, pageSize: number) {
    this.ground = ground;
    this.screen = screen;
    this.worker = worker;
    this.pageSize = pageSize;
  }

  /** Starts the first worker and makes the connection. */
  static async begin(ground: Ground, screen: Screen): Promise<Story> {
    const { users, groups } = ground.source.directory.counts();
    const pageSize = Math.min(largestPage, Math.ceil(users / pages));
    screen.line(`  Source: ${count(users)} people in ${count(groups)} groups, SCIM at ${ground.source.url}`);
    const worker = await ground.worker();
    screen.line(`  Worker: process ${worker.pid}`);
    await connect(ground, pageSize);
    return new Story(ground, screen, worker, pageSize);
  }

  /** Tells it all. @returns whether source and copy were equal each time. @throws Error when a run fails or a worker is lost. */
  async tell(): Promise<boolean> {
    const { screen, worker, ground } = this;
    screen.line('\n1. The first run copies everything');
    await this.finish(await worker.with((await this.start()).result()));

    screen.line('\n2. A day later: only the difference is written');
    screen.line(`  at the source: ${describeRound(changeDirectory(ground.source.directory, 1))}`);
    const second = await worker.with((await this.start()).result());
    await this.finish(second);

    screen.line('\n3. Another day: the source is slow, and the worker is killed');
    screen.line(`  at the source: ${describeRound(changeDirectory(ground.source.directory, 2))}`);
    await this.finish(await this.interrupted());

    const copy = await readDirectory(ground.pool, connection);
    const changes = await describeChanges(ground.pool, second.plan ?? 0, copy);
    this.show('Some of what the second run changed (view org.changes)', changes);
    this.show('Some of the rows written last', describeTables(copy));
    const found = compare(copy, ground.source.directory);
    screen.line(`\n${this.equal ? 'All well' : 'NOT well'}: ${describeComparison(found)}`);
    return this.equal;
  }

  private async start(): Promise<Watch> {
    const { client } = this.ground;
    const handle = await client.workflow.start('orgSync', {
      workflowId: orgSyncId(connection),
      taskQueue: this.ground.taskQueue,
      args: [{ connection }],
    });
    return new Watch(client, this.screen, { workflowId: handle.workflowId, runId: handle.firstExecutionRunId });
  }

  /** A run whose worker is killed while it reads people, and that another worker finishes. */
  private async interrupted(): Promise<OrgSyncResult> {
    const { screen, worker, ground } = this;
    const { source } = ground;
    const asked = () => source.requests.byPath['/Users'] ?? 0;
    const before = { people: asked(), all: source.requests.total };
    const needed = Math.ceil(source.directory.people.length / this.pageSize);
    source.setFaults([{ type: 'latency', ms: Math.ceil(slowMs / needed), path: '/Users', only: 'list' }]);
    const run = await this.start();
    await worker.with(run.middleOf('stageUsers', () => asked() - before.people >= needed * killAt));
    await worker.kill();
    const kept = await this.committed();
    const all = count(source.directory.people.length);
    screen.line(`  killed worker ${worker.pid} (SIGKILL) in stageUsers; ${count(kept)} of ${all} people are committed`);
    const next = await ground.worker();
    screen.line(`  worker ${next.pid} takes its place; Temporal gives the killed one 10 s for a sign of life`);
    await next.with(run.handedOver('stageUsers', (seconds) => screen.bars([`  waiting: ${seconds} s`])));
    source.setFaults([]);
    screen.line(`  worker ${next.pid} goes on with stageUsers behind person ${count(kept)}`);
    const result = await next.with(run.result());
    const again = source.requests.total - before.all - result.requests;
    screen.line(`  requests: ${count(result.requests)} needed, ${count(again)} made twice because of the kill`);
    return result;
  }

  /** People of the run's plan that stand in the stage for good. */
  private async committed(): Promise<number> {
    const [plan] = await listPlans(this.ground.pool, connection, 1);
    return plan ? (await readStage(this.ground.pool, plan.id, 'users')).rows : 0;
  }

  private async finish(result: OrgSyncResult): Promise<void> {
    for (const line of await describeResult(this.ground.pool, result)) this.screen.line(`  ${line}`);
    const found = await this.compared();
    this.screen.line(`  ${describeComparison(found)}`);
    for (const line of found.differences.slice(0, 5)) this.screen.line(`    ${line}`);
    if (found.differences.length > 0 || result.outcome !== 'applied') this.equal = false;
  }

  private async compared() {
    return compare(await readDirectory(this.ground.pool, connection), this.ground.source.directory);
  }

  private show(title: string, lines: readonly string[]): void {
    this.screen.line(`\n${title}`);
    for (const line of lines) this.screen.line(`  ${line}`);
  }
}
