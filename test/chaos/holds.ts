import pg from 'pg';
import type { Pool } from '../../db/client.ts';
import { until } from '../harness/until.ts';

/** Any constant will do; nobody else in the database uses it. */
const lock = 4_711;
const watched = ['org.plans', 'org.stages', 'org.changes', 'org.users', 'org.groups', 'org.memberships'];

/**
 * Holds transactions of one step of one connection inside the database: each names itself (`syncline addUsers c3`), and
 * a trigger lets those that are listed wait after their first writing statement, before anything is committed. Needs a
 * superuser's connection of its own, since the lock belongs to the session.
 */
export class Holds {
  private readonly session: pg.Client;

  private constructor(session: pg.Client) {
    this.session = session;
  }

  static async open(url: string): Promise<Holds> {
    const session = new pg.Client({ connectionString: url });
    // The server may be crashed under it; the next statement tells.
    session.on('error', () => undefined);
    await session.connect();
    await session.query(`
      CREATE SCHEMA IF NOT EXISTS chaos;
      CREATE TABLE IF NOT EXISTS chaos.held (name text PRIMARY KEY);
      CREATE OR REPLACE FUNCTION chaos.hold() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF EXISTS (SELECT 1 FROM chaos.held WHERE name = current_setting('application_name')) THEN
          PERFORM pg_advisory_xact_lock_shared(${lock});
        END IF;
        RETURN NULL;
      END $$`);
    for (const table of watched)
      await session.query(
        `CREATE OR REPLACE TRIGGER chaos_hold AFTER INSERT OR UPDATE OR DELETE ON ${table} FOR EACH STATEMENT EXECUTE FUNCTION chaos.hold()`,
      );
    return new Holds(session);
  }

  /** Holds these transactions from now on, e.g. `addUsers c3`, `stage groups c1`, `finish c2`. */
  async hold(names: readonly string[]): Promise<void> {
    await this.session.query('SELECT pg_advisory_lock($1)', [lock]);
    await this.session.query(`INSERT INTO chaos.held SELECT 'syncline ' || unnest($1::text[])`, [names]);
  }

  /** Names of the transactions that wait at this moment. */
  async waiting(): Promise<string[]> {
    const { rows } = await this.session.query(
      `SELECT substr(application_name, 10) AS name FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND wait_event = 'advisory' ORDER BY 1`,
    );
    return rows.map((row) => row.name);
  }

  /** Waits until exactly these transactions wait. */
  async untilHeld(names: readonly string[]): Promise<void> {
    const wanted = [...names].sort();
    let seen: string[] = [];
    await until(
      `transactions held: ${wanted.join(', ')}`,
      async () => {
        seen = (await this.waiting()).sort();
        return wanted.every((name) => seen.includes(name));
      },
      30_000,
    );
  }

  /** Lets everybody go. */
  async release(): Promise<void> {
    await this.session.query('DELETE FROM chaos.held');
    await this.session.query('SELECT pg_advisory_unlock_all()');
  }

  async close(): Promise<void> {
    await this.session.end();
  }
}

/** Counts committed writes of rows, so that a change applied twice shows even where the second one changes nothing. */
export async function auditWrites(pool: Pool): Promise<void> {
  await pool.query(`
    CREATE TABLE chaos.writes (tbl text, connection_id text, id text, generation bigint);
    CREATE FUNCTION chaos.note() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE r jsonb := to_jsonb(NEW);
    BEGIN
      -- A name that is freed before somebody else takes it is a write beside the plan's own.
      IF TG_TABLE_NAME = 'users' AND r->>'user_name_key' IS NULL AND r->>'deleted_at' IS NULL THEN RETURN NULL; END IF;
      INSERT INTO chaos.writes VALUES (TG_TABLE_NAME, r->>'connection_id', coalesce(r->>'id', (r->>'user_id') || '/' || (r->>'group_id')), (r->>'generation')::bigint);
      RETURN NULL;
    END $$`);
  for (const table of ['users', 'groups', 'memberships'])
    await pool.query(
      `CREATE TRIGGER chaos_note AFTER INSERT OR UPDATE ON org.${table} FOR EACH ROW EXECUTE FUNCTION chaos.note()`,
    );
}

/** Changes of a connection's applied plans whose row was not committed exactly once, and rows of any other plan; removed memberships leave no row. */
export async function notWrittenOnce(pool: Pool, connection: string): Promise<unknown[]> {
  const { rows } = await pool.query(
    `WITH planned AS (
       SELECT c.kind || 's' AS tbl, c.source_id || coalesce('/' || c.group_id, '') AS id, c.plan_id AS generation
       FROM org.changes c JOIN org.plans p ON p.id = c.plan_id WHERE p.connection_id = $1 AND p.verdict = 'applied' AND c.action <> 'remove'),
     written AS (SELECT tbl, id, generation, count(*) AS n FROM chaos.writes WHERE connection_id = $1 GROUP BY 1, 2, 3)
     SELECT coalesce(w.tbl, p.tbl) AS tbl, coalesce(w.id, p.id) AS id, coalesce(w.generation, p.generation)::int AS plan, coalesce(w.n, 0)::int AS times
     FROM planned p FULL JOIN written w USING (tbl, id, generation) WHERE w.n IS DISTINCT FROM 1 OR p.id IS NULL LIMIT 5`,
    [connection],
  );
  return rows;
}
