import { Agent } from 'undici';
import type { Pool } from '../../db/client.ts';
import type { HubspotProcess } from '../../sandbox/process.ts';

const path = '/crm/objects/2026-03/contacts/batch/upsert';
const columns = `id::text AS app_user_id, email, name AS firstname, plan AS app_plan, ((signed_up - DATE '1970-01-01')::bigint * 86400000)::text AS app_signed_up,
  (extract(epoch FROM seen_at) * 1000)::bigint::text AS app_seen_at, orders::text AS app_orders, active::text AS app_active`;

interface Input {
  id: string;
  idProperty: string;
  properties: Record<string, string>;
}

const inputOf = (row: Record<string, string>): Input => ({
  id: row.app_user_id!,
  idProperty: 'app_user_id',
  properties: row,
});

function sender({ url, token }: HubspotProcess, agent: Agent) {
  return async (body: string): Promise<number> => {
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
    const answer = await agent.request({ origin: url, path, method: 'POST', headers, body });
    await answer.body.dump();
    return answer.statusCode;
  };
}

/** The physical limit: bodies that lie ready, so many in flight, no database. Rows a second. */
export async function preparedBodies(
  pool: Pool,
  source: HubspotProcess,
  rows: number,
  inFlight: number,
): Promise<number> {
  const agent = new Agent({ connections: inFlight });
  const post = sender(source, agent);
  const inputs = (await pool.query(`SELECT ${columns} FROM bench.users ORDER BY id LIMIT ${rows}`)).rows.map(inputOf);
  const bodies: string[] = [];
  for (let at = 0; at < inputs.length; at += 100) bodies.push(JSON.stringify({ inputs: inputs.slice(at, at + 100) }));
  const began = performance.now();
  let next = 0;
  const lane = async () => {
    while (next < bodies.length) await post(bodies[next++]!);
  };
  await Promise.all(Array.from({ length: inFlight }, lane));
  const seconds = (performance.now() - began) / 1_000;
  await agent.close();
  return rows / seconds;
}

/**
 * What one writes on an afternoon: a flag column, read 100, send, clear the flag. It loses rows at the first trouble. Both
 * sides of its join begin behind the page before: else Postgres reads the users from the start for each page of 60,000.
 */
export async function naiveLoop(pool: Pool, source: HubspotProcess, rows: number): Promise<number> {
  const agent = new Agent({ connections: 1 });
  const post = sender(source, agent);
  await pool.query(`DROP TABLE IF EXISTS bench.flags; CREATE TABLE bench.flags AS SELECT id, true AS dirty FROM bench.users ORDER BY id LIMIT ${rows};
    CREATE UNIQUE INDEX ON bench.flags (id)`);
  const began = performance.now();
  for (let after = 0; ; ) {
    const { rows: page } = await pool.query(
      `SELECT ${columns}, u.id FROM bench.flags f JOIN bench.users u USING (id) WHERE f.dirty AND f.id > $1 AND u.id > $1 ORDER BY f.id LIMIT 100`.replace(
        'SELECT id::text',
        'SELECT u.id::text',
      ),
      [after],
    );
    if (page.length === 0) break;
    await post(JSON.stringify({ inputs: page.map(({ id: _own, ...row }) => inputOf(row)) }));
    await pool.query('UPDATE bench.flags SET dirty = false WHERE id = ANY ($1)', [page.map(({ id }) => id)]);
    after = Number(page.at(-1)!.id);
  }
  const seconds = (performance.now() - began) / 1_000;
  await agent.close();
  return rows / seconds;
}

/** Calls a batch of a sender that knows halving alone. */
export async function bisectOnly(pool: Pool, source: HubspotProcess, rows: number): Promise<number> {
  return counted(pool, source, rows, async (batch, post) => {
    const send = async (part: Input[]): Promise<void> => {
      if ((await post(JSON.stringify({ inputs: part }))) < 300 || part.length === 1) return;
      const middle = Math.ceil(part.length / 2);
      await send(part.slice(0, middle));
      await send(part.slice(middle));
    };
    await send(batch);
  });
}

/** Calls a batch of a sender that sends every row of a refused batch alone. */
export async function oneByOne(pool: Pool, source: HubspotProcess, rows: number): Promise<number> {
  return counted(pool, source, rows, async (batch, post) => {
    if ((await post(JSON.stringify({ inputs: batch }))) < 300) return;
    for (const input of batch) await post(JSON.stringify({ inputs: [input] }));
  });
}

async function counted(
  pool: Pool,
  source: HubspotProcess,
  rows: number,
  deliver: (batch: Input[], post: (body: string) => Promise<number>) => Promise<void>,
): Promise<number> {
  const agent = new Agent({ connections: 1 });
  let calls = 0;
  const send = sender(source, agent);
  const post = (body: string) => {
    calls += 1;
    return send(body);
  };
  const inputs = (await pool.query(`SELECT ${columns} FROM bench.users ORDER BY id LIMIT ${rows}`)).rows.map(inputOf);
  for (let at = 0; at < inputs.length; at += 100) await deliver(inputs.slice(at, at + 100), post);
  await agent.close();
  return calls / (rows / 100);
}
