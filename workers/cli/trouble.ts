/** A command cannot do what was asked. The message is one sentence for the person, with the next command. */
export class CommandError extends Error {
  override name = 'CommandError';
  /** 1: it failed; 2: it was typed wrong. */
  readonly exitCode: 1 | 2;
  constructor(message: string, exitCode: 1 | 2 = 1) {
    super(message);
    this.exitCode = exitCode;
  }
}

/** Options or arguments that cannot be used: key, value got, values accepted. */
export function wrongUse(message: string): CommandError {
  return new CommandError(message, 2);
}

const unreachable = /^(ECONN|ENOTFOUND|EAI_|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|EPIPE)/;
/** SQLSTATEs of a server that goes down or comes up. */
const restarting = /^57P0[123]$/;
const noAnswer = /timeout exceeded when trying to connect|Connection terminated|timeout expired/;

/**
 * One line a person can act on, for whatever was thrown. Texts of drivers are replaced where they could quote a statement
 * or its values.
 */
export function plainMessage(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if ('problems' in error && Array.isArray(error.problems)) return error.problems.join('; ');
  const sql = sqlTrouble(error);
  if (sql !== null) return sql;
  const { details, code } = error as { details?: unknown; code?: unknown };
  const cause = error.cause as { details?: unknown; code?: unknown } | undefined;
  if (typeof code === 'number' && typeof details === 'string') return temporalTrouble(code, details);
  if (error.name === 'ServiceError' && typeof cause?.code === 'number' && typeof cause.details === 'string')
    return temporalTrouble(cause.code, cause.details);
  // Ours, in several lines on purpose: what was tried and what to do.
  if (['TemporalMissing', 'ServerStartError'].includes(error.name)) return error.message;
  return error.message.split('\n')[0] || `${error.name} without a message; --debug shows where`;
}

/** Postgres or Temporal does not answer, goes down or comes up: it may pass by itself. A run that failed for it has failed. */
export function isAway(error: unknown): boolean {
  if (!(error instanceof Error) || error instanceof CommandError) return false;
  const { code } = (error.name === 'ServiceError' ? (error.cause ?? error) : error) as { code?: unknown };
  return code === deadline || code === unavailable || isPostgresAway(originOf(error));
}

/** drizzle's own error quotes the statement's values; its cause does not. */
const originOf = (error: Error): Error =>
  error.message.startsWith('Failed query') && error.cause instanceof Error ? error.cause : error;

function isPostgresAway(origin: Error): boolean {
  const { code } = origin as { code?: unknown };
  return (
    noAnswer.test(origin.message) || (typeof code === 'string' && (unreachable.test(code) || restarting.test(code)))
  );
}

const where = '--debug shows where, the log of Postgres the statement';

/** Trouble of Postgres in one line, null for other errors. */
function sqlTrouble(error: Error): string | null {
  const origin = originOf(error);
  const { code } = origin as { code?: unknown };
  if (isPostgresAway(origin))
    return `Postgres does not answer (${typeof code === 'string' ? code : 'no answer in time'}). Is it running? DATABASE_URL names another one.`;
  if (typeof code !== 'string' || !/^[0-9A-Z]{5}$/.test(code))
    return origin === error ? null : `Postgres refused a statement; ${where}`;
  if (code === '42P01' || code === '3F000')
    return 'The tables are not there yet. A worker makes them when it starts: npm start';
  // Its text names the object, never a value.
  if (code === '42501')
    return `Postgres refused a statement: ${origin.message.split('\n')[0]} (SQLSTATE 42501). The rights that the user of DATABASE_URL needs, with the statements that grant them: docs/operate.md#rights-of-the-database-user`;
  if (code.startsWith('28'))
    return `Postgres refused the user of DATABASE_URL (SQLSTATE ${code}). Look at user, password and pg_hba.conf.`;
  if (code === '3D000') return 'The database of DATABASE_URL does not exist (SQLSTATE 3D000). Make it with: createdb';
  return `Postgres refused a statement (SQLSTATE ${code}); ${where}`;
}

/** gRPC codes that mean "no answer". */
const deadline = 4;
const unavailable = 14;

function temporalTrouble(code: number, details: string): string {
  if (code === deadline || code === unavailable)
    return `Temporal does not answer (${code === deadline ? 'no answer in time' : 'unavailable'}). Is it running? TEMPORAL_ADDRESS names another one.`;
  return `Temporal: ${details.split('\n')[0]}`;
}
