import { randomBytes } from 'node:crypto';
import type { WorkflowHandle, WorkflowHandleWithFirstExecutionRunId } from '@temporalio/client';
import { expect } from 'vitest';
import { type StripeSandbox, type StripeSandboxOptions, startStripeSandbox } from '../../sandbox/stripe.ts';
import { stripeSync } from '../../workflows/index.ts';
import type { StripeSyncResult } from '../../workflows/stripe.ts';
import type { StripeProgress } from '../../workflows/stripe.view.ts';
import type { ShopGround } from './platforms.ts';
import { until } from './until.ts';

/** A simulated Stripe account, connected. */
export interface StripeAccount {
  name: string;
  source: StripeSandbox;
  start(input?: Record<string, unknown>): Promise<WorkflowHandleWithFirstExecutionRunId<typeof stripeSync>>;
  /** Copies up to the present and ends. */
  copy(): Promise<StripeSyncResult>;
  progress(run: WorkflowHandle): Promise<StripeProgress>;
  /** Waits until the run follows the feed. */
  untilLive(run: WorkflowHandle): Promise<void>;
  /** Waits until everything that the source has told so far is settled in the copy. */
  untilSettled(timeoutMs?: number): Promise<void>;
  /** Living rows of a table by id. */
  rows(table: string): Promise<Map<string, Record<string, unknown>>>;
  /** What differs between source and copy, a few of each kind; empty when nothing does. */
  differences(): Promise<string[]>;
}

/** Lists of a sandbox account that has something of every kind. */
export const everyKind = {
  customers: 230,
  products: 40,
  coupons: 12,
  subscriptions: 90,
  invoices: 120,
  checkout_sessions: 60,
  payment_methods: 110,
  balance_transactions: 150,
  webhook_endpoints: 25,
};

/** Settles within seconds, so that tests need not wait for minutes. */
export const quickSettling = {
  settleSeconds: [1, 3],
  pollMs: 100,
  share: 1,
  requestsPerSecond: 5000,
  endpointRequestsPerSecond: 5000,
};

export async function openStripeAccount(
  world: ShopGround,
  sandbox: StripeSandboxOptions = {},
  options: Record<string, unknown> = {},
): Promise<StripeAccount> {
  const source = await startStripeSandbox({ counts: everyKind, ...sandbox });
  world.onClose(() => source.stop());
  const types = Object.keys(source.stores);
  const name = await world.connect({
    platform: 'stripe',
    baseUrl: source.url,
    credential: source.key,
    options: { types, ...quickSettling, ...options },
  });
  const account: StripeAccount = {
    name,
    source,
    start: (input = {}) =>
      world.client.workflow.start(stripeSync, {
        args: [{ connection: name, ...input }],
        taskQueue: world.config.taskQueue,
        workflowId: `test-${randomBytes(8).toString('hex')}`,
      }),
    copy: async () => (await account.start({ follow: false })).result(),
    progress: (run) => run.query<StripeProgress>('progress'),
    async untilLive(run) {
      await until('the run to follow', async () => (await account.progress(run)).phase === 'follow');
    },
    async untilSettled(timeoutMs) {
      const last = Math.max(source.feed.lastVisibleMs(), source.nowMs());
      await until(
        'the feed to settle',
        async () => {
          const { rows } = await world.pool.query(
            'SELECT extract(epoch FROM settled_at)::float8 * 1000 AS ms FROM syncline.stripe_feeds WHERE connection_id = $1',
            [name],
          );
          return rows[0]?.ms > last + 1_000;
        },
        timeoutMs,
      );
    },
    async rows(table) {
      const { rows } = await world.pool.query(
        `SELECT id, data FROM stripe.${table} WHERE connection_id = $1 AND deleted_at IS NULL`,
        [name],
      );
      return new Map(rows.map((row) => [row.id, row.data]));
    },
    async differences() {
      const found: string[] = [];
      for (const [list, store] of Object.entries(source.stores)) {
        found.push(...differ(list, source.truth(list), await account.rows(list)));
        for (const { field } of store.shape.lists)
          found.push(
            ...differ(`${list}_${field}`, source.truthOf(list, field), await account.rows(`${list}_${field}`)),
          );
      }
      if (source.stores.subscriptions && options.upcomingInvoices !== false)
        found.push(...differ('upcoming_invoices', source.previews(), await account.rows('upcoming_invoices')));
      return found;
    },
  };
  return account;
}

/** Says which rows differ, at most three of a kind. */
export function differ(
  table: string,
  theirs: Map<string, Record<string, unknown>>,
  ours: Map<string, Record<string, unknown>>,
): string[] {
  const missing = [...theirs.keys()].filter((id) => !ours.has(id));
  const extra = [...ours.keys()].filter((id) => !theirs.has(id));
  const other = [...theirs].filter(([id, row]) => ours.has(id) && sorted(row) !== sorted(ours.get(id)));
  const tell = (what: string, ids: string[]) =>
    ids.length > 0 ? [`${table}: ${ids.length} ${what}: ${ids.slice(0, 3).join(', ')}`] : [];
  return [
    ...tell('missing', missing),
    ...tell('not deleted', extra),
    ...tell(
      'stale',
      other.map(([id]) => id),
    ),
  ];
}

function sorted(value: unknown): string {
  return JSON.stringify(value, (_key, one) =>
    typeof one === 'object' && one !== null && !Array.isArray(one)
      ? Object.fromEntries(Object.entries(one).sort(([a], [b]) => (a < b ? -1 : 1)))
      : one,
  );
}

export async function expectSame(account: StripeAccount): Promise<void> {
  expect(await account.differences()).toEqual([]);
}
