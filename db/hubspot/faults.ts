import pg from 'pg';

/** Data exceptions, several rows from a subquery, constraints, errors raised by functions: of one row's values, whatever the others do. */
const ofValues = /^(21|22|23|P0)/;
/**
 * Of no row: of the server, a connection, a lock or a limit of time, so that the same statement passes a moment later; and
 * collations that meet, which Postgres finds where it compares the first values.
 */
const ofNobody = /^(08|40|53|55006|55P03|57|58|42P21|42P22)/;

/** A statement over many rows failed, and one of them may be why. */
export interface RowFault {
  code: string;
  /** True: it is a row. False: a row or the statement: `u.path::jsonpath` ends with 42601, and a table that is gone with 42P01. */
  sure: boolean;
}

/** Null where no row is to blame. */
export function rowFault(error: unknown): RowFault | null {
  if (!(error instanceof pg.DatabaseError) || error.code === undefined || ofNobody.test(error.code)) return null;
  return { code: error.code, sure: ofValues.test(error.code) };
}
