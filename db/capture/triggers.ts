import pg from 'pg';
import { bodyOf, events, functionPrefix, isPlain, settings } from './functions.ts';
import { beginsUpdate, endsUpdate, movedBody, moves, whenMoved } from './moves.ts';
import type { CaptureMapping, Part, ReadTable } from './probe.ts';

/** A trigger and the function behind it, as they are made. */
export interface CaptureTrigger {
  event: string;
  table: Part;
  /** Name of the trigger on its table. */
  trigger: string;
  /** Name of the function in syncline_capture. */
  function: string;
  /** Body of the function, which tells whether what is installed is what the mapping wants. */
  body: string;
  /** When it fires, as CREATE TRIGGER has it around its table: `AFTER INSERT`, `FOR EACH STATEMENT`. */
  fires: readonly [before: string, behind: string];
  /** Its function names all by schema and writes texts that no setting changes: with settings a call costs 24 µs, without 10. */
  plain: boolean;
  /** A row trigger of a partitioned table, which each of its partitions gets as well. */
  spreads: boolean;
}

const id = pg.escapeIdentifier;

const rows = {
  insert: 'REFERENCING NEW TABLE AS new_rows',
  update: 'REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows',
  delete: 'REFERENCING OLD TABLE AS old_rows',
  truncate: '',
};
const whole = 'FOR EACH STATEMENT';

/**
 * The triggers of a mapping: statement-level, one an event, with transition tables. Each writes what changed by one
 * INSERT … SELECT into the log, which has no index: two transactions that touch the same users in whatever order never
 * wait for each other there. A table whose rows may move between partitions has those for moves as well.
 */
export function captureTriggers(no: number, mapping: CaptureMapping, tables: readonly ReadTable[]): CaptureTrigger[] {
  type Kind = Pick<CaptureTrigger, 'event' | 'body' | 'fires'> & { plain?: boolean; spreads?: true };
  const made = (part: Part, { event, ...kind }: Kind): CaptureTrigger => ({
    ...{ plain: false, spreads: false, event, table: part, ...kind },
    trigger: `syncline_${no}_${event}`,
    function: `${functionPrefix(no)}${part.oid}_${event}`,
  });
  return tables.flatMap((table) =>
    [table, ...table.parts].flatMap((part) => {
      const kinds: Kind[] = events.map((event) => {
        const body = bodyOf(no, event, mapping, table);
        return {
          event,
          body: event === 'update' && part.partitioned ? endsUpdate(no, table, body) : body,
          fires: [`AFTER ${event.toUpperCase()}`, `${rows[event]} ${whole}`],
        };
      });
      if (part.partitioned)
        kinds.push({ event: 'moving', body: beginsUpdate(no, table), fires: ['BEFORE UPDATE', whole], plain: true });
      if (part.partitioned && part === table)
        for (const event of moves)
          kinds.push({
            event,
            body: movedBody(no, event, mapping, table),
            fires: [
              `AFTER ${event === 'moved_in' ? 'INSERT' : 'DELETE'}`,
              `FOR EACH ROW WHEN (${whenMoved(no, event, table)})`,
            ],
            plain: isPlain(table.key),
            spreads: true,
          });
      return kinds.map((kind) => made(part, kind));
    }),
  );
}

/**
 * Statements that make the function: it runs with our rights, so that whoever writes the table needs none on our schema.
 * Who adds a partition makes its row triggers, and must be allowed to run them; our schema stays closed to him.
 */
export function createFunction({ function: name, body, plain, spreads }: CaptureTrigger): string[] {
  const called = `syncline_capture.${id(name)}()`;
  const sets = plain ? '' : `SET search_path = pg_catalog, pg_temp SET work_mem = '64MB' ${settings('SET', ' ')}`;
  return [
    `CREATE OR REPLACE FUNCTION ${called} RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER ${sets} AS ${pg.escapeLiteral(body)}`,
    spreads ? `GRANT EXECUTE ON FUNCTION ${called} TO PUBLIC` : `REVOKE ALL ON FUNCTION ${called} FROM PUBLIC`,
  ];
}

/** Statement that makes the trigger, or replaces an older one in one step. */
export function createTrigger({ trigger, table, fires, function: name }: CaptureTrigger): string {
  const [before, behind] = fires;
  return `CREATE OR REPLACE TRIGGER ${id(trigger)} ${before} ON ${table.sql} ${behind} EXECUTE FUNCTION syncline_capture.${id(name)}()`;
}
