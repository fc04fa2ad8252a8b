import { randomBytes } from 'node:crypto';
import type { Client, WorkflowHandleWithFirstExecutionRunId } from '@temporalio/client';
import { saveCampaign } from '../../db/audience/campaigns.ts';
import type { Pool } from '../../db/client.ts';
import type { campaign } from '../../workflows/index.ts';

/** What World and Ground have in common. */
export interface Place {
  pool: Pool;
  client: Client;
  config: { taskQueue: string };
  connect(input: {
    platform: string;
    baseUrl: string;
    credential: string | null;
    options?: Record<string, unknown>;
  }): Promise<string>;
}

export interface PeopleOptions {
  count: number;
  /** Number of the first. Default 0. */
  from?: number;
  /** Number tags of the n-th person, from 0 on. Default: none. */
  tags?: (n: number) => number[];
  /** Changes of the n-th person's record. */
  record?: (n: number) => Record<string, unknown>;
}

/** Columns of the records that `people` makes. */
export const mapping = {
  users: {
    from: 'crm.members',
    id: 'id',
    tags: 'tags',
    addresses: { openid: 'wx_openid', email: 'mail' },
    fields: { name: 'full_name', city: 'city' },
    timeZone: 'tz',
  },
  orders: { from: 'crm.orders', id: 'id', user: 'member_id', at: 'ordered_at' },
};

export const openidOf = (n: number) => `oWx_${String(n).padStart(10, '0')}`;
export const mailOf = (n: number) => `person${n}@example.org`;
export const userOf = (n: number) => `u${String(n).padStart(8, '0')}`;

/** Writes people as segmentSync would have landed them, by one statement. @returns the connection */
export async function people(place: Place, { count, from: first = 0, tags, record }: PeopleOptions): Promise<string> {
  const connection = await place.connect({
    platform: 'database',
    baseUrl: 'https://database.invalid',
    credential: null,
    options: mapping,
  });
  for (let from = 0; from < count; from += 20_000) {
    const rows = Array.from({ length: Math.min(20_000, count - from) }, (_, i) => {
      const n = first + from + i;
      const data = {
        id: userOf(n),
        full_name: `Person ${n}`,
        city: `City ${n % 7}`,
        wx_openid: openidOf(n),
        mail: mailOf(n),
        ...record?.(n),
      };
      return { i: userOf(n), t: tags ? `{${tags(n).join(',')}}` : null, d: data };
    });
    await place.pool.query(
      `INSERT INTO audience.users (connection_id, id, data, generation, synced_at, tags)
       SELECT $1, r->>'i', r->'d', 0, now(), (r->>'t')::bigint[] FROM jsonb_array_elements($2::jsonb) r`,
      [connection, JSON.stringify(rows)],
    );
  }
  return connection;
}

export type CampaignRun = WorkflowHandleWithFirstExecutionRunId<typeof campaign>;

/** Stores a campaign under a fresh name. @returns its name */
export async function define(
  place: Place,
  audience: { connection: string } & Record<string, unknown>,
  channel: string,
  more: Record<string, unknown> = {},
): Promise<string> {
  const name = `c${randomBytes(5).toString('hex')}`;
  const definition = { audience, channel, template: { text: 'Hello {{name}}' }, ...more };
  await saveCampaign(place.pool, name, definition as never);
  return name;
}

export const launch = (place: Place, name: string, more: Record<string, unknown> = {}): Promise<CampaignRun> =>
  place.client.workflow.start<typeof campaign>('campaign', {
    args: [{ campaign: name, ...more }],
    taskQueue: place.config.taskQueue,
    workflowId: `campaign-${name}-${randomBytes(4).toString('hex')}`,
  });

/** State of each recipient by address, and those left out by user. */
export async function deliveries(
  pool: Pool,
  name: string,
): Promise<{ user: string; address: string | null; state: string; reason: string | null; attempt: number }[]> {
  const { rows } = await pool.query(
    `SELECT d.user_id AS user, d.address, d.state, d.reason, d.attempt FROM audience.deliveries d JOIN audience.campaigns c ON c.no = d.campaign_no
     WHERE c.id = $1 ORDER BY d.no`,
    [name],
  );
  return rows;
}

/** Recipients by state and reason, e.g. `{"sent": 3, "skipped unsubscribed": 1}`. */
export async function tally(pool: Pool, name: string): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const { state, reason } of await deliveries(pool, name)) {
    const key = reason === null ? state : `${state} ${reason}`;
    counts[key] = (counts[key] ?? 0) + 1;
  }
  return counts;
}
