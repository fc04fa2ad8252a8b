import { randomBytes } from 'node:crypto';
import { Agent } from 'undici';
import { saveCampaign } from '../../db/audience/campaigns.ts';
import { countFilter } from '../../db/audience/people.ts';
import { startReceiverProcess } from '../../sandbox/process.ts';
import { connectClient } from '../../workers/temporal.ts';
import type { CampaignResult } from '../../workflows/audience.ts';
import { mapping } from '../harness/audience.ts';
import { openRig, type Rig } from './rig.ts';
import type { Figures } from './table.ts';

const million = Number(process.env.SYNCLINE_BENCH_RECIPIENTS ?? 1_000_000);
/** The goals of the issue. */
const goals = { perSecond: 4_000, share: 0.95, freezeSeconds: 15, startMs: 300, outcomeMs: 50, rssMb: 250 };

/** Cases by name. */
export const audienceCases: Record<string, (figures: Figures, name: string) => Promise<void>> = {
  'webhook,latency=0': (figures, name) =>
    send(figures, name, { channel: 'webhook', recipients: million, latencyMs: 0, perSecond: null }),
  'wechat,latency=100,limit=1000': (figures, name) =>
    send(figures, name, { channel: 'wechat', recipients: Math.min(million, 60_000), latencyMs: 100, perSecond: 1_000 }),
  tags: tagCase,
};

interface Load {
  channel: 'webhook' | 'wechat';
  recipients: number;
  latencyMs: number;
  perSecond: number | null;
}

async function send(
  figures: Figures,
  name: string,
  { channel, recipients, latencyMs, perSecond }: Load,
): Promise<void> {
  const receiver = await startReceiverProcess<Record<string, string>>(channel, {
    ...{ latencyMs, keepKeys: false, grantsOfEach: 10 },
    ...(perSecond !== null && { perSecond }),
  });
  const rig = await openRig({ SYNCLINE_POOL_SIZE: '40' });
  try {
    const limit = perSecond ?? (await bareSend(receiver.url, Math.min(100_000, recipients)));
    const members = await rig.connect('database', 'https://database.invalid', null, mapping);
    await fillUsers(rig, members, recipients);
    const account = await connectAccount(rig, channel, receiver.url, receiver.account, perSecond);
    if (channel === 'wechat')
      await rig.pool.query(
        `INSERT INTO audience.grants (connection_id, address, template, remaining)
         SELECT $1, data->>'wx_openid', $2, 1 FROM audience.users WHERE connection_id = $3`,
        [account, receiver.account.templateId, members],
      );
    const before = await receiver.counts();
    const template =
      channel === 'wechat'
        ? { templateId: receiver.account.templateId, data: { thing1: '{{name}}', date2: '2026-11-30' } }
        : { title: 'Hello {{name}}', text: 'Good news from {{city}}' };
    const campaign = `bench-${randomBytes(4).toString('hex')}`;
    await saveCampaign(rig.pool, campaign, { audience: { connection: members }, channel: account, template } as never);
    const ran = await runCampaign(rig, campaign);
    const after = await receiver.counts();
    if (
      ran.result.states.sent !== recipients ||
      after.reached - before.reached !== recipients ||
      after.twice > before.twice
    )
      throw new Error(
        `${JSON.stringify(ran.result.states)} of ${recipients}, reached ${after.reached - before.reached}: no figure is given`,
      );
    const speed = recipients / ran.sendSeconds;
    figures.add(name, 'limit_per_s', limit, '');
    figures.add(name, 'messages_per_s', speed, '', perSecond === null ? { atLeast: goals.perSecond } : {});
    figures.add(name, 'ratio_to_limit', speed / limit, '', perSecond === null ? {} : { atLeast: goals.share });
    figures.add(name, 'outcome_p99_ms', await outcomeP99(rig, campaign, after.answered), 'ms', {
      atMost: goals.outcomeMs,
    });
    figures.add(name, 'freeze_s', ran.freezeSeconds, 's', { atMost: goals.freezeSeconds });
    figures.add(name, 'start_ms', ran.startMs, 'ms', { atMost: goals.startMs });
    figures.add(name, 'worker_rss_mb', rig.rssMb(), 'MB', { atMost: goals.rssMb });
    figures.add(name, 'refused_by_limit', after.limited - before.limited, '', { atMost: recipients / 1_000 });
    figures.add(name, 'most_at_once', after.mostAtOnce, '');
    figures.add(name, 'history_events', ran.events, '');
  } finally {
    await rig.close();
    await receiver.stop();
  }
}

/**
 * Milliseconds from the receiver's answer to the statement that stores and commits it, of a sample, by the clock of this machine.
 * The row has the moment at which that statement began: the rest of it, one commit of a group, is not in the figure.
 */
async function outcomeP99(
  rig: Rig,
  campaign: string,
  answered: readonly [address: string, atMs: number][],
): Promise<number> {
  const { rows } = await rig.pool.query(
    `SELECT extract(epoch FROM d.at)::float8 * 1000 - s.ms AS took FROM unnest($2::text[], $3::float8[]) AS s(address, ms)
     JOIN audience.campaigns c ON c.id = $1 JOIN audience.deliveries d ON d.campaign_no = c.no AND d.address = s.address ORDER BY took`,
    [campaign, answered.map(([address]) => address), answered.map(([, ms]) => ms)],
  );
  if (rows.length === 0) throw new Error('The receiver answered too few messages for a sample: no figure is given');
  return rows[Math.ceil(rows.length * 0.99) - 1].took;
}

async function connectAccount(
  rig: Rig,
  channel: Load['channel'],
  url: string,
  account: Record<string, string>,
  perSecond: number | null,
): Promise<string> {
  const options = perSecond === null ? {} : { requestsPerSecond: perSecond };
  if (channel === 'webhook')
    return rig.connect('webhook', url, JSON.stringify({ signSecret: account.secret }), options);
  return rig.connect('wechat', url, JSON.stringify({ appSecret: account.appSecret }), {
    ...options,
    appId: account.appId,
  });
}

async function runCampaign(rig: Rig, campaign: string) {
  const client = await connectClient(rig.servers.temporal);
  try {
    const workflowId = `bench-${randomBytes(6).toString('hex')}`;
    const asked = performance.now();
    const handle = await client.workflow.start('campaign', { args: [{ campaign }], taskQueue: 'syncline', workflowId });
    const startMs = performance.now() - asked;
    const result = (await handle.result()) as CampaignResult;
    const events = (await handle.fetchHistory()).events ?? [];
    const at = (found: (typeof events)[number] | undefined) =>
      Number(found?.eventTime?.seconds ?? 0) + Number(found?.eventTime?.nanos ?? 0) / 1e9;
    const frozen = events
      ?.filter((e) => e.activityTaskScheduledEventAttributes?.activityType?.name === 'freezeAudience')
      .at(-1);
    const froze = events.find(
      (e) => Number(e.activityTaskCompletedEventAttributes?.scheduledEventId) === Number(frozen?.eventId),
    );
    const last = events.filter((e) => e.activityTaskCompletedEventAttributes).at(-2);
    return {
      result,
      startMs,
      freezeSeconds: at(froze) - at(frozen),
      sendSeconds: at(last) - at(froze),
      events: events.length,
    };
  } finally {
    await client.connection.close();
  }
}

/** People with seven tags of a hundred each, written by the database itself. */
async function fillUsers(rig: Rig, connection: string, count: number): Promise<void> {
  await rig.pool.query('SET statement_timeout = 0');
  await rig.pool.query(
    `INSERT INTO audience.users (connection_id, id, data, generation, synced_at, tags)
     SELECT $1, 'u' || lpad(n::text, 8, '0'),
       jsonb_build_object('id', 'u' || lpad(n::text, 8, '0'), 'full_name', 'Person ' || n, 'city', 'City ' || n % 7, 'wx_openid', 'oWx_' || lpad(n::text, 10, '0'), 'mail', 'person' || n || '@example.org'),
       0, now(), ARRAY(SELECT (n * 7919 + k * k * 104729 + k * n % 97) % 300 FROM generate_series(1, 7) k)::bigint[]
     FROM generate_series(1, $2::bigint) n`,
    [connection, count],
  );
  await rig.pool.query('ANALYZE audience.users');
}

/** The physical limit: prepared bodies over as many connections, nothing written down. */
async function bareSend(url: string, count: number): Promise<number> {
  const agent = new Agent({ connections: 64 });
  const { createHmac } = await import('node:crypto');
  const prepared = Array.from({ length: 1_000 }, (_, i) => {
    const body = JSON.stringify({
      key: `bare.0.${i}`,
      campaign: 'bare',
      user: `b${i}`,
      to: `bare${i}`,
      message: { title: 'Hello', text: 'Good news' },
    });
    const digest = createHmac('sha256', 'webhook-secret').update(`1.${body}`).digest('hex');
    return {
      body,
      headers: {
        'content-type': 'application/json',
        'idempotency-key': `bare.0.${i}`,
        'x-syncline-signature': `t=1,v1=${digest}`,
      },
    };
  });
  let next = 0;
  const began = performance.now();
  const lane = async () => {
    while (next < count) {
      const { body, headers } = prepared[next++ % prepared.length] as (typeof prepared)[number];
      const answer = await agent.request({ origin: url, path: '/', method: 'POST', headers, body });
      await answer.body.text();
    }
  };
  await Promise.all(Array.from({ length: 64 }, lane));
  await agent.close();
  return count / ((performance.now() - began) / 1_000);
}

const tagQueries = 100;

/** Counts of one tag of 300 among a million users, by containment beside matching in a text of commas. */
async function tagCase(figures: Figures, name: string): Promise<void> {
  const rig = await openRig();
  try {
    const connection = await rig.connect('database', 'https://database.invalid', null, mapping);
    await fillUsers(rig, connection, million);
    await rig.pool.query(
      `CREATE TABLE tag_texts AS SELECT id, ',' || array_to_string(tags, ',') || ',' AS tags FROM audience.users`,
    );
    await rig.pool.query('VACUUM (ANALYZE) audience.users');
    const exact = await percentile(tagQueries, async (i) =>
      countFilter(rig.pool, connection, `${i % 300} AND NOT ${(i + 1) % 300}`),
    );
    const matching = await percentile(10, async (i) => {
      const { rows } = await rig.pool.query(
        'SELECT count(*)::int AS n FROM tag_texts WHERE tags LIKE $1 AND tags NOT LIKE $2',
        [`%,${i % 300},%`, `%,${(i + 1) % 300},%`],
      );
      return rows[0].n;
    });
    for (const [i, n] of matching.results.entries())
      if (exact.results[i] !== n)
        throw new Error(`Tag ${i}: ${exact.results[i]} by containment, ${n} by matching: no figure is given`);
    figures.add(name, 'tag_query_p99_ms', exact.p99, 'ms');
    figures.add(name, 'string_match_p99_ms', matching.p99, 'ms');
    figures.add(name, 'tag_speedup', matching.p99 / exact.p99, '×');
  } finally {
    await rig.close();
  }
}

async function percentile(times: number, query: (i: number) => Promise<number>) {
  const results: number[] = [];
  const took: number[] = [];
  for (let i = 0; i < times; i++) {
    const began = performance.now();
    results.push(await query(i));
    took.push(performance.now() - began);
  }
  took.sort((a, b) => a - b);
  return { results, p99: took[Math.min(times - 1, Math.ceil(times * 0.99) - 1)] as number };
}
