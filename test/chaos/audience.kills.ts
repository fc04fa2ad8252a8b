import { startSmtpSink } from '../../sandbox/smtp.ts';
import { startWebhookSandbox } from '../../sandbox/webhook.ts';
import { startWechatSandbox } from '../../sandbox/wechat.ts';
import type { CampaignRun } from '../harness/audience.ts';
import { define, launch, mailOf, openidOf, people, userOf } from '../harness/audience.ts';
import type { Ground } from '../harness/ground.ts';
import { until } from '../harness/until.ts';
import { randomOf } from './kills.ts';

export interface AudienceKillOptions {
  ground: Ground;
  kills: number;
  /** Recipients of each of the six campaigns. */
  recipients: number;
  seed: number;
  tell: (line: string) => void;
}

export interface AudienceKillReport {
  kills: number;
  /** Kills that met a campaign with messages on their way, e.g. {"webhook at-most-once": 12}. */
  hit: Record<string, number>;
  /** Recipients of at-most-once campaigns that ended unknown, by channel. */
  unknown: Record<string, number>;
  /** Messages that came twice under at-least-once, by channel. */
  twice: Record<string, number>;
}

/** On their way at once, of each campaign. */
const inFlight = 48;

interface Account {
  kind: string;
  connection: string;
  received: Map<string, number>;
  addressOf: (n: number) => string;
  template: Record<string, unknown>;
}

interface Open {
  name: string;
  policy: 'at-most-once' | 'at-least-once';
  account: Account;
  run: CampaignRun;
  ended: boolean;
  /** Places in the sandbox's count that belong to this campaign's people. */
  offset: number;
  kills: number;
  /** Attempts that a kill ended: what they left behind as sending was on its way then, and is not any more. */
  killed: Set<string>;
}

/**
 * Campaigns of both policies on every channel at once; kill the worker at a moment that the seed chooses, start another one,
 * again and again until all have ended; then compare what each person got with what is written down. While there is a channel
 * that no kill has met with messages on their way, a kill waits for some of it.
 * @throws the difference that was found
 */
export async function killAudiencesAtRandom(options: AudienceKillOptions): Promise<AudienceKillReport> {
  const { ground, tell } = options;
  const random = randomOf(options.seed);
  const accounts = await openAccounts(ground);
  const report: AudienceKillReport = { kills: 0, hit: {}, unknown: {}, twice: {} };
  let worker = ground.worker();
  let offset = 0;
  while (report.kills < options.kills) {
    const open: Open[] = [];
    for (const account of accounts)
      for (const policy of ['at-most-once', 'at-least-once'] as const) {
        open.push(await begin(ground, account, policy, options.recipients, offset));
        offset += options.recipients;
      }
    while (report.kills < options.kills && !over(open)) {
      const total = () => accounts.reduce((sum, { received }) => sum + received.size, 0);
      const wanted = total() + 1 + Math.floor(random() * options.recipients);
      await until(
        'the moment to kill',
        async () => (total() >= wanted && (await meetsAnother(ground, open, report))) || over(open),
        300_000,
      );
      await noteEnds(open);
      await worker.kill();
      report.kills++;
      const takers = await Promise.all(open.map((one) => takersOfSending(ground, one)));
      worker = ground.worker();
      for (const [i, one] of open.entries()) {
        if (one.ended) continue;
        const sending = takers[i] as string[];
        if (sending.length > inFlight)
          throw new Error(
            `${nameOf(one)}: ${sending.length} rows were sending, at most ${inFlight} may be on their way`,
          );
        one.kills++;
        if (onTheWay(one, sending) > 0) report.hit[nameOf(one)] = (report.hit[nameOf(one)] ?? 0) + 1;
      }
      const met = (one: Open, i: number) =>
        one.ended ? 'done' : `${onTheWay(one, takers[i] as string[])} on their way`;
      tell(`kill ${report.kills}: ${open.map((one, i) => `${one.account.kind} ${met(one, i)}`).join(', ')}`);
      for (const [i, one] of open.entries()) for (const taker of takers[i] as string[]) one.killed.add(taker);
    }
    await worker.whileAlive(Promise.all(open.map(({ run }) => run.result())));
    for (const one of open) await compare(ground, one, options.recipients, report);
    tell(`${open.length} campaigns of ${options.recipients} compared`);
  }
  await worker.kill();
  return report;
}

async function openAccounts(ground: Ground): Promise<Account[]> {
  const webhook = await startWebhookSandbox({ latencyMs: 5, keepKeys: false });
  const wechat = await startWechatSandbox({ latencyMs: 5, grantsOfEach: 1_000_000 });
  const sink = await startSmtpSink({ latencyMs: 2 });
  for (const one of [webhook, wechat, sink]) ground.onClose(() => one.stop());
  const options = { inFlight };
  return [
    {
      kind: 'webhook',
      connection: await ground.connect({
        platform: 'webhook',
        baseUrl: webhook.url,
        credential: JSON.stringify({ signSecret: webhook.secret }),
        options,
      }),
      received: webhook.received,
      addressOf: userOf,
      template: { text: 'Hello {{name}}' },
    },
    {
      kind: 'wechat',
      connection: await ground.connect({
        ...{ platform: 'wechat', baseUrl: wechat.url },
        credential: JSON.stringify({ appSecret: wechat.appSecret }),
        options: { ...options, appId: wechat.appId },
      }),
      received: wechat.received,
      addressOf: openidOf,
      template: { templateId: wechat.templateId, data: { thing1: '{{name}}' } },
    },
    {
      kind: 'smtp',
      connection: await ground.connect({
        ...{ platform: 'smtp', baseUrl: sink.url, credential: null },
        options: { ...options, from: 'Shop <news@shop.example>' },
      }),
      received: sink.received,
      addressOf: mailOf,
      template: { subject: 'Hello {{name}}', text: 'Good news from {{city}}' },
    },
  ];
}

async function begin(
  ground: Ground,
  account: Account,
  policy: Open['policy'],
  count: number,
  offset: number,
): Promise<Open> {
  const members = await people(ground, { count, from: offset });
  if (account.kind === 'wechat') await grantAll(ground, account, count, offset);
  const name = await define(ground, { connection: members }, account.connection, {
    policy,
    template: account.template,
    attempts: 20,
  });
  const run = await launch(ground, name);
  const one: Open = { name, policy, account, run, ended: false, offset, kills: 0, killed: new Set() };
  const done = () => {
    one.ended = true;
  };
  // How it ended is asked for when all have.
  void run.result().then(done, done);
  return one;
}

const over = (open: Open[]) => open.every(({ ended }) => ended);

/** Notes which campaigns have ended, also those whose news of it is still on its way. */
async function noteEnds(open: Open[]): Promise<void> {
  for (const one of open) one.ended ||= (await one.run.describe()).status.name !== 'RUNNING';
}

async function grantAll(
  ground: Ground,
  { connection, template }: Account,
  count: number,
  offset: number,
): Promise<void> {
  await ground.pool.query(
    `INSERT INTO audience.grants (connection_id, address, template, remaining) SELECT $1, a, $2, 1 FROM unnest($3::text[]) AS a`,
    [connection, template.templateId, Array.from({ length: count }, (_, n) => openidOf(offset + n))],
  );
}

async function rowsOf(ground: Ground, name: string): Promise<{ address: string; state: string }[]> {
  const { rows } = await ground.pool.query(
    'SELECT d.address, d.state FROM audience.deliveries d JOIN audience.campaigns c ON c.no = d.campaign_no WHERE c.id = $1',
    [name],
  );
  return rows;
}

const nameOf = ({ account, policy }: Open) => `${account.kind} ${policy}`;

/** The attempt that holds it, of each row that is sending. */
async function takersOfSending(ground: Ground, { name }: Open): Promise<string[]> {
  const { rows } = await ground.pool.query(
    `SELECT d.taker FROM audience.deliveries d JOIN audience.campaigns c ON c.no = d.campaign_no WHERE c.id = $1 AND d.state = 'sending'`,
    [name],
  );
  return rows.map(({ taker }) => String(taker));
}

const onTheWay = ({ killed }: Open, takers: string[]) => takers.filter((taker) => !killed.has(taker)).length;

/** Whether a kill now would meet a channel that none has met yet; true also where none of those is open. */
async function meetsAnother(ground: Ground, open: Open[], { hit }: AudienceKillReport): Promise<boolean> {
  const isMet = ({ account }: Open) => Object.keys(hit).some((name) => name.startsWith(`${account.kind} `));
  const others = open.filter((one) => !one.ended && !isMet(one));
  for (const one of others) if (onTheWay(one, await takersOfSending(ground, one)) > 0) return true;
  return others.length === 0;
}

async function compare(ground: Ground, one: Open, count: number, report: AudienceKillReport): Promise<void> {
  const { account, policy, offset } = one;
  const where = nameOf(one);
  const states = new Map((await rowsOf(ground, one.name)).map(({ address, state }) => [address, state]));
  if (states.size !== count) throw new Error(`${where}: ${states.size} rows of ${count} recipients`);
  let [unknown, twice] = [0, 0];
  for (let n = offset; n < offset + count; n++) {
    const address = account.addressOf(n);
    const times = account.received.get(address) ?? 0;
    const state = states.get(address);
    if (state === 'unknown') unknown++;
    if (times > 1) twice++;
    if (state !== 'sent' && state !== 'unknown')
      throw new Error(`${where}: a recipient ended ${state} and got ${times}`);
    if (state === 'sent' && times === 0) throw new Error(`${where}: a recipient counts as sent and got nothing`);
    if (policy === 'at-most-once' && times > 1) throw new Error(`${where}: a recipient got ${times} messages`);
    if (policy === 'at-least-once' && times === 0) throw new Error(`${where}: a recipient was missed (${state})`);
  }
  if (unknown > one.kills * inFlight)
    throw new Error(`${where}: ${unknown} unknown after ${one.kills} kills with ${inFlight} on their way`);
  if (policy === 'at-least-once' && unknown > 0)
    throw new Error(`${where}: ${unknown} unknown, which are to be sent again`);
  if (twice > one.kills * inFlight) throw new Error(`${where}: ${twice} messages came twice after ${one.kills} kills`);
  if (policy === 'at-most-once') report.unknown[account.kind] = (report.unknown[account.kind] ?? 0) + unknown;
  else report.twice[account.kind] = (report.twice[account.kind] ?? 0) + twice;
  if (account.kind === 'wechat') await compareGrants(ground, one, count);
}

/** No grant is lost and none is used twice: each of one was used by the message, or is still there. */
async function compareGrants(ground: Ground, { account, offset, name }: Open, count: number): Promise<void> {
  const { rows } = await ground.pool.query(
    `SELECT count(*)::int AS n FROM audience.grants g JOIN audience.deliveries d ON d.address = g.address JOIN audience.campaigns c ON c.no = d.campaign_no AND c.id = $1
     WHERE g.connection_id = $2 AND (g.remaining <> 0 OR d.state = 'sent' AND d.granted)`,
    [name, account.connection],
  );
  if (rows[0].n > 0)
    throw new Error(`wechat: ${rows[0].n} of ${count} grants from ${offset} on were kept although a message left`);
}
