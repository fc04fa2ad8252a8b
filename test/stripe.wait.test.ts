import { describe, expect, inject, it } from 'vitest';
import { nameObject } from '../activities/stripe/look.ts';
import { resources } from '../connectors/stripe/catalog.ts';
import { serveApi } from '../workers/api.ts';
import { createWorker } from '../workers/worker.ts';
import { pause, resume } from '../workflows/control.ts';
import { openStripeAccount } from './harness/stripes.ts';
import { until } from './harness/until.ts';
import { openWorld } from './harness/world.ts';

const world = await openWorld({ worker: false });
const token = 'a-token-of-26-characters-x';
const config = { ...world.config, apiToken: token };
const parts = await createWorker(config, world.servers, world.key, inject('shared').bundle);
const running = parts.worker.run();
const api = await serveApi(0, { ...parts, config });
world.onClose(async () => {
  await api.close();
  parts.worker.shutdown();
  await running;
  await parts.close();
});

const account = await openStripeAccount(world, {
  counts: { customers: 40, coupons: 5, subscriptions: 10, invoices: 5 },
});
const { source } = account;
const run = await account.start();
await account.untilLive(run);
world.onClose(async () => {
  await run.cancel().catch(() => undefined);
  await run.result().catch(() => undefined);
});

async function ask(path: string, authorization = `Bearer ${token}`) {
  const answer = await fetch(`http://127.0.0.1:${api.port}${path}`, { headers: { authorization } });
  return { status: answer.status, headers: answer.headers, body: (await answer.json()) as Record<string, unknown> };
}
const wait = (query: string) => ask(`/wait/${account.name}?${query}`);
const row = async (table: string, id: string) => (await account.rows(table)).get(id);

describe('/wait', () => {
  it('object: reads the object and lands it, whatever the feed shows', async () => {
    const [id] = source.truth('customers').keys();
    source.feed.options.lagMs = 60_000;
    source.update('customers', id as string);
    expect(await wait(`object=${id}`)).toMatchObject({
      status: 200,
      body: { met: 'object', deleted: false, object: id },
    });
    expect(await row('customers', id as string)).toEqual(source.truth('customers').get(id as string));
    source.feed.options.lagMs = 0;
  });

  it('object: every one of many changes in a second, each read by who wrote it', async () => {
    const id = [...source.truth('customers').keys()][1] as string;
    for (let i = 0; i < 12; i++) {
      source.update('customers', id);
      const now = source.truth('customers').get(id);
      expect((await wait(`object=${id}`)).status).toBe(200);
      expect(await row('customers', id), `change ${i}`).toEqual(now);
    }
  });

  it('object: says that it was deleted, and the copy has it no longer', async () => {
    const id = [...source.truth('coupons').keys()][0] as string;
    source.remove('coupons', id);
    expect((await wait(`object=coupons/${id}`)).body).toMatchObject({ met: 'object', deleted: true });
    expect(await row('coupons', id)).toBeUndefined();
  });

  it('object: an id that never existed ends with 404 and leaves no row', async () => {
    const answer = await wait('object=coupons/cou_typo');
    expect(answer).toMatchObject({ status: 404, body: { error: expect.stringContaining('no coupons "cou_typo"') } });
    const { rows } = await world.pool.query(`SELECT id FROM stripe.coupons WHERE id = 'cou_typo'`);
    expect(rows).toEqual([]);
  });

  it('object: one that was deleted before the copy saw it is told by its stub', async () => {
    source.feed.options.lagMs = 60_000;
    const id = source.create('customers');
    source.remove('customers', id);
    source.feed.options.lagMs = 0;
    expect(await wait(`object=${id}`)).toMatchObject({ status: 200, body: { deleted: true } });
    expect(await row('customers', id)).toBeUndefined();
  });

  it('object: a look that nobody waits for holds up none of the next, and each ends at its own time', async () => {
    const id = [...source.truth('customers').keys()][5] as string;
    source.setFaults([{ type: 'hang', path: `/v1/customers/${id}`, times: 2 }]);
    const timed = async (query: string) => {
      const began = Date.now();
      return { ...(await wait(query)), ms: Date.now() - began };
    };
    const late = 'object: not read within 0.5 s';
    const first = timed(`object=${id}&timeout=0.5`);
    const second = timed(`object=${id}&timeout=0.5`);
    for (const one of [await first, await second]) {
      expect(one).toMatchObject({ status: 504, body: { error: late } });
      expect(one.ms, 'waited, ms').toBeLessThan(2_000);
    }
    const third = await timed(`object=${id}&timeout=0.5`);
    const next = await timed(`object=${id}&timeout=5`);
    source.setFaults([]);
    expect([third.status, next.status]).toEqual([504, 200]);
  });

  it('object: a hundred who ask for one object at once share a few requests', async () => {
    const id = [...source.truth('customers').keys()][2] as string;
    const endpoint = 'GET /v1/customers/:id';
    const before = source.requests.byEndpoint[endpoint] ?? 0;
    const all = await Promise.all(Array.from({ length: 100 }, () => wait(`object=${id}`)));
    expect(all.every(({ status }) => status === 200)).toBe(true);
    expect((source.requests.byEndpoint[endpoint] ?? 0) - before).toBeLessThanOrEqual(20);
  });

  it('request: waits for the event of a request, by its id and by its idempotency key', async () => {
    const waiting = wait('request=req_later&timeout=20');
    const id = source.create('customers', 'req_later');
    expect(await waiting).toMatchObject({ status: 200, body: { met: 'request' } });
    expect(await row('customers', id)).toBeDefined();
    expect((await wait('request=key_req_later')).body).toMatchObject({ met: 'request' });
  });

  it('request: waits for every event of a request that made several', async () => {
    const { options } = source.feed;
    const [customer] = source.truth('customers').keys() as Iterable<string>;
    const coupon = [...source.truth('coupons').keys()][1] as string;
    // One object is read by id, and only at the fourth try; the other event is applied before that.
    source.setFaults([{ type: 'status', status: 500, path: `/v1/coupons/${coupon}`, times: 3 }]);
    // None stands behind an event of its second that was read before, from here on.
    options.shuffled = false;
    options.thinShare = 1;
    source.update('coupons', coupon, 'req_many');
    options.thinShare = 0;
    source.update('customers', customer as string, 'req_many');
    await until('the first event', async () => {
      const told = await world.pool.query(`SELECT FROM syncline.stripe_events WHERE request_id = 'req_many'`);
      return told.rowCount === 1;
    });
    const answer = await wait('request=req_many&timeout=20');
    const held = await row('coupons', coupon);
    source.setFaults([]);
    expect(answer).toMatchObject({ status: 200, body: { met: 'request' } });
    expect(held).toEqual(source.truth('coupons').get(coupon));
  });

  it('neither: waits for what the feed shows', async () => {
    const id = source.create('customers');
    expect(await wait('timeout=20')).toMatchObject({ status: 200, body: { met: 'seen' } });
    expect(await row('customers', id)).toBeDefined();
  });

  it('settled: waits for an event that appears late', async () => {
    source.feed.options.lagMs = 2_000;
    const ids = Array.from({ length: 5 }, () => source.create('customers'));
    source.feed.options.lagMs = 0;
    // The longest that may be asked for is more than the 92 s after which a feed settles by the usual settings.
    expect(await wait('settled=1&timeout=120')).toMatchObject({ status: 200, body: { met: 'settled' } });
    for (const id of ids) expect(await row('customers', id), id).toBeDefined();
  });

  it('a thousand who wait cost next to nothing at the source', async () => {
    const feed = 'GET /v1/events';
    await until('a quiet moment', async () => (await wait('timeout=20')).status === 200);
    const before = source.requests.byEndpoint[feed] ?? 0;
    const began = Date.now();
    const all = await Promise.all(Array.from({ length: 1_000 }, () => wait('timeout=30')));
    const usual = ((Date.now() - began) / 100) * 1.5;
    expect(all.map(({ status }) => status).filter((status) => status !== 200)).toEqual([]);
    expect((source.requests.byEndpoint[feed] ?? 0) - before, 'looks at the feed').toBeLessThanOrEqual(usual + 10);
  });

  it.each([
    ['timeout=0', 400, 'timeout: got 0, accepted a number of seconds from 0.1 to 120'],
    ['settled=1&timeout=121', 400, 'timeout: got 121, accepted a number of seconds from 0.1 to 120'],
    ['object=nobody', 400, 'object: got "nobody", accepted an id that begins with acct_, apwc_, bpc_, ch_, '],
    ['object=src_3abc', 400, 'webhook_endpoints'],
    ['object=ba_3abc', 400, 'or <resource>/<id> with a resource of: accounts,'],
    ['object=cus_1%2F..%2F..', 400, 'object: got "cus_1/../.."'],
    ['object=coupons%2F..', 400, 'object: got "coupons/..", accepted'],
    ['object=coupons%2F.', 400, 'object: got "coupons/.", accepted'],
    [
      'object=cus_1&request=req_1',
      400,
      'The query has object= and request=, accepted one of object=, request= and settled=1',
    ],
    ['request=req_1&settled=1', 400, 'The query has request= and settled=1, accepted one of'],
    ['object=cus_1&object=cus_2', 400, 'object= stands 2 times in the query, accepted once'],
    ['for=ever', 400, 'unknown field "for" (accepted: object, request, settled, timeout)'],
    ['object=ch_3abc', 400, 'charges are not copied by connection'],
    ['object=py_3abc', 400, 'charges are not copied by connection'],
    ['object=%ff', 400, 'object: got "'],
    ['request=req_never&timeout=0.2', 504, 'request: not met within 0.2 s; the copy has seen up to 2'],
  ])('%s ends with %i', async (query, status, message) => {
    const answer = await wait(query);
    expect(answer.status).toBe(status);
    expect(answer.body.error).toContain(message);
  });

  it('an unknown connection ends with 404, a wrong token with 401', async () => {
    expect(await ask('/wait/nobody')).toMatchObject({
      status: 404,
      body: { error: 'Connection "nobody" does not exist' },
    });
    for (const path of ['/wait/a%00b', '/wait/a%00b?object=cus_1', `/wait/${'a'.repeat(65)}`])
      expect(await ask(path), path).toMatchObject({
        status: 404,
        body: { error: expect.stringContaining('does not exist') },
      });
    const refused = await ask(`/wait/${account.name}`, 'Bearer another-token-of-26-chars');
    expect(refused).toMatchObject({ status: 401 });
    expect(refused.headers.get('www-authenticate')).toBe('Bearer');
  });

  it('a path that is no text ends with 400, in the shape of every other refusal', async () => {
    for (const path of ['/wait/%ff', '/wait/%ff?object=cus_1', '/%e0%a4%a'])
      expect(await ask(path)).toMatchObject({ status: 400, body: { error: expect.stringContaining('malformed') } });
    expect(Object.keys((await ask('/wait/%ff')).body)).toEqual(['error']);
  });

  it('knows the resource of every id that has a mark', () => {
    for (const { key, prefix } of resources)
      if (prefix !== '' && key !== 'plans') expect(nameObject(`${prefix}1abc`).resource.key, prefix).toBe(key);
    expect(nameObject('pyr_1abc').resource.key).toBe('refunds');
    expect(nameObject('du_1abc').resource.key).toBe('disputes');
  });

  it('a connection without a copy ends with 409 and the command that begins one', async () => {
    const idle = await openStripeAccount(world, { counts: { customers: 1 } });
    const answer = await ask(`/wait/${idle.name}`);
    expect(answer.status).toBe(409);
    expect(answer.body.error).toContain(`npx syncline start stripeSync ${idle.name}`);
    const [id] = idle.source.truth('customers').keys();
    const object = await ask(`/wait/${idle.name}?object=${id}`);
    expect(object.status).toBe(409);
    expect(object.body.error).toContain(`npx syncline start stripeSync ${idle.name}`);
  });

  it('a source that refuses the key ends with 502 and what to do', async () => {
    source.setFaults([{ type: 'revoked', path: '/v1/customers/' }]);
    const id = [...source.truth('customers').keys()][3] as string;
    const answer = await wait(`object=${id}`);
    source.setFaults([]);
    expect(answer.status).toBe(502);
    expect(answer.body.error).toContain('refused the credential');
    expect(answer.body.error).toContain(`npx syncline connect ${account.name} --credential-env`);
  });

  it('a source that has enough for now ends with 429 and when to come again, one that fails with 503', async () => {
    const id = [...source.truth('customers').keys()][4] as string;
    const answer = async (status: number) => {
      source.setFaults([{ type: 'status', status, path: '/v1/customers/' }]);
      const said = await wait(`object=${id}`);
      source.setFaults([]);
      return said;
    };
    const failed = await answer(503);
    expect(failed.status).toBe(503);
    expect(failed.body.error).toContain('503');
    const enough = await answer(429);
    expect(enough).toMatchObject({ status: 429, body: { error: 'The limits of the source are used up for now' } });
    expect(Number(enough.headers.get('retry-after'))).toBeGreaterThan(0);
  });
});

it('/status tells how far each connection is', async () => {
  const { body } = await ask('/status');
  const [one] = body.connections as Record<string, unknown>[];
  expect(one).toMatchObject({ connection: account.name, platform: 'stripe', feed: { phase: 'live' } });
  expect(one).toMatchObject({ streams: expect.arrayContaining([expect.objectContaining({ stream: 'customers' })]) });
  expect(one).toMatchObject({ run: 'running' });
});

it('/status tells why and since when a source is not read, until it is', async () => {
  interface Told {
    run: string;
    trouble: { step: string; type: string; failure: string; since: string }[];
    notes: string[];
  }
  const told = async () => {
    const { body } = await ask('/status');
    return (body.connections as (Told & { connection: string })[]).find(
      ({ connection }) => connection === account.name,
    ) as Told;
  };
  expect(await told()).toMatchObject({ trouble: [], notes: [] });
  const began = Date.now();
  source.setFaults([{ type: 'status', status: 503, path: '/v1/events' }]);
  const held = await until('the trouble', async () => {
    const one = await told();
    return one.trouble.length > 0 ? one : undefined;
  });
  expect(held).toMatchObject({
    run: 'running',
    trouble: [{ step: 'followFeed', type: 'Unavailable', failure: expect.stringContaining('/v1/events answered 503') }],
  });
  const since = Date.parse(held.trouble[0]?.since ?? '');
  expect(Math.abs(since - began), 'its last look that succeeded, ms').toBeLessThan(5_000);
  expect(JSON.stringify(held)).not.toContain(source.key);
  source.setFaults([]);
  await until('no trouble', async () => (await told()).trouble.length === 0);
});

it('/status and a late /wait tell of a run that is parked, paused or was cancelled, and call its data live no longer', async () => {
  const told = async () => {
    const { body } = await ask('/status');
    return (body.connections as Record<string, unknown>[]).find(({ connection }) => connection === account.name);
  };
  // The look in hand is still applied.
  const late = () =>
    until('an answer that is late', async () => {
      const { status, body } = await wait('timeout=0.1');
      return status === 504 ? String(body.error).replace(/^.*; its phase is /, '') : undefined;
    });
  source.setFaults([{ type: 'revoked', path: '/v1/events' }]);
  await until('the run to park', async () => (await told())?.run === 'parked');
  expect(await late()).toMatch(/^parked: parked, tried again .*refused/);
  source.setFaults([]);
  await run.executeUpdate(resume);
  await until('the run to go on', async () => (await told())?.run === 'running');
  await run.executeUpdate(pause);
  expect(await late()).toMatch(/^paused: .*npx syncline resume/);
  expect(await told()).toMatchObject({ run: 'paused', feed: { phase: 'paused' } });
  await run.executeUpdate(resume);
  expect(await told()).toMatchObject({ run: 'running', feed: { phase: 'live' } });
  await run.cancel();
  await run.result().catch(() => undefined);
  expect(await told()).toMatchObject({ run: 'cancelled', feed: { phase: 'cancelled' } });
  expect(await late()).toBe(
    `cancelled: no run follows the feed; start one with: npx syncline start stripeSync ${account.name}`,
  );
});
