import pg from 'pg';

/** Data exceptions, several rows from a subquery, constraints, errors raised by functions: of one row's values, whatever the others do. */
const ofValues = /^(21|22|23|P0)/;
/**
 * Of no row: a server that ends, and collations that meet, which Postgres finds where it compares the first values. All
 * others a function may raise of its own for one row, a limit of time is reached by one, and what passes a moment later
 * passes when the row is read alone.
 */
const ofNobody = /^(57P|42P21|42P22)/;

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
