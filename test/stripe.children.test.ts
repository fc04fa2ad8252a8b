import { expect, inject, it } from 'vitest';
import { lookAt, nameObject } from '../activities/stripe/look.ts';
import { readNested } from '../activities/stripe/nested.ts';
import { openStripe } from '../activities/stripe/open.ts';
import { rowOf, type StripeObject } from '../activities/stripe/rows.ts';
import { requireResource } from '../activities/stripe/tables.ts';
import { noRows, writeOne } from '../activities/stripe/writer.ts';
import { heldClaim } from '../db/claims.ts';
import { createWorker } from '../workers/worker.ts';
import { openStripeAccount, type StripeAccount } from './harness/stripes.ts';
import { openWorld } from './harness/world.ts';

const world = await openWorld({ worker: false });
const parts = await createWorker(world.config, world.servers, world.key, inject('shared').bundle);
const running = parts.worker.run();
world.onClose(async () => {
  parts.worker.shutdown();
  await running;
  await parts.close();
});

/** Of these numbers are the invoices with 130 lines. */
const [first, second] = [7, 87];
const idOf = ({ source }: StripeAccount, n: number) => source.stores.invoices?.id(n) as string;

async function livingLines(account: StripeAccount, parent: string): Promise<number> {
  return [...(await account.rows('invoices_lines')).keys()].filter((id) => id.startsWith(`${parent}/`)).length;
}

/** Deletes an invoice, and its event is never told. */
function removeUntold({ source }: StripeAccount, id: string): void {
  source.remove('invoices', id);
  for (const event of source.feed.visible(Date.now() + 3_600_000)) source.feed.forget(event.id);
}

it('lines of a deleted invoice go with it, whoever learns of it first: a look, or a whole reading', async () => {
  const account = await openStripeAccount(world, { counts: { invoices: 120 } });
  await account.copy();
  const [looked, missed] = [idOf(account, first), idOf(account, second)];
  expect([await livingLines(account, looked), await livingLines(account, missed)]).toEqual([130, 130]);

  removeUntold(account, looked);
  const found = await lookAt(parts.deps, account.name, nameObject(looked), new AbortController().signal);
  expect(found).toMatchObject({ deleted: true });
  expect(await livingLines(account, looked)).toBe(0);
  expect(await livingLines(account, missed)).toBe(130);

  removeUntold(account, missed);
  await world.pool.query(
    `UPDATE syncline.stripe_feeds SET settled_at = settled_at - interval '31 days' WHERE connection_id = $1`,
    [account.name],
  );
  const { types } = await account.copy();
  expect(types.find(({ type }) => type === 'invoices')).toMatchObject({ deleted: 1, withheld: 0 });
  expect(await livingLines(account, missed)).toBe(0);
  expect(await account.differences()).toEqual([]);
});

it('an invoice that is deleted between its page and its lines is passed over; a line that is gone is no place', async () => {
  const account = await openStripeAccount(world, { counts: { invoices: 120 } });
  const [gone, cut] = [idOf(account, first), idOf(account, second)];
  account.source.setFaults([
    { type: 'gone', path: `/v1/invoices/${gone}/lines` },
    { type: 'gone', path: `/v1/invoices/${cut}/lines`, times: 1 },
  ]);
  const { types } = await account.copy();
  expect(types.find(({ type }) => type === 'invoices')).toMatchObject({ state: 'done', reason: null });
  removeUntold(account, gone);
  expect(await livingLines(account, cut)).toBe(130);
  expect(await account.differences()).toEqual([]);
});

/** Writes a state of an invoice, as a reader of events does. */
async function writeState(account: StripeAccount, object: StripeObject, timeMs: number, readMs: number): Promise<void> {
  const resource = requireResource('invoices');
  const opened = await openStripe(parts.deps, account.name, 'live');
  const claim = await heldClaim(world.pool, account.name, 'stripe');
  const origin = { timeMs, readMs, position: 'test' };
  const made = rowOf(resource, object, origin);
  if (!claim || !('row' in made)) throw new Error('nobody holds the connection, or the object is no invoice');
  const nested = await readNested(opened, resource, [{ object, origin }], new AbortController().signal);
  await writeOne(parts.deps, claim, { ...noRows(resource), rows: [made.row], nested });
}

it.each([
  ['by its second', 1_000, 0],
  ['by the moment of its reading, of one second', 0, 1],
])(
  'a line that left before it was ever written does not come with an older state that is written later: older %s',
  async (_, secondMs, readMs) => {
    const account = await openStripeAccount(world, { counts: { invoices: 5 } });
    await account.copy();
    const id = idOf(account, 1);
    const invoice = (await account.rows('invoices')).get(id) as { lines: { data: StripeObject[] } };
    const now = Date.now() + 60_000;
    const older = { ...invoice, lines: { ...invoice.lines, data: [...invoice.lines.data, { id: 'il_left' }] } };
    const newer = { ...invoice, number: 'NEWER' };
    await writeState(account, newer, now + secondMs, now + readMs);
    await writeState(account, older, now, now);
    expect((await account.rows('invoices')).get(id)).toMatchObject({ number: 'NEWER' });
    expect(await livingLines(account, id)).toBe(invoice.lines.data.length);
    expect((await account.rows('invoices_lines')).has(`${id}/il_left`)).toBe(false);

    const next = { ...newer, lines: older.lines };
    await writeState(account, next, now + 5_000, now + 5_000);
    expect(await livingLines(account, id)).toBe(invoice.lines.data.length + 1);
    await writeState(account, newer, now + 6_000, now + 6_000);
    expect(await livingLines(account, id)).toBe(invoice.lines.data.length);
  },
);
