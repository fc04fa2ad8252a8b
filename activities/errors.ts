import { ApplicationFailure, CancelledFailure } from '@temporalio/activity';

/** Failure types a run can end with or a step can count; the names are what retry policies and people match. */
export type FailureType =
  /** The input or the connection's options are wrong; nothing was changed. */
  | 'InvalidInput'
  | 'ConnectionUnknown'
  /** The worker's SYNCLINE_SECRET_KEY is missing or another one. */
  | 'SealBroken'
  /** The source refused the credential (401) or its rights (403, LDAP 49, 50). */
  | 'Unauthorized'
  | 'Forbidden'
  /** The source answered something that is not its protocol: HTML, cut JSON, no list, a page that repeats. */
  | 'BadAnswer'
  /** Empty where there were rows before: nothing is deleted, somebody must look. */
  | 'EmptyAnswer'
  /** The page chain broke (expired cursor): the list is read from its start. */
  | 'ChainBroken'
  | 'UserLimit'
  | 'ClaimLost'
  | 'StageLost'
  /** The options that say what of a directory is read were changed while it was read. */
  | 'ScopeChanged'
  /** More rows of a run were refused than its connection allows. */
  | 'TooManyRejects'
  /** A run would archive more contacts than its connection allows. */
  | 'TooManyArchives'
  /** HubSpot refused every row of a run and does not say why. */
  | 'NothingTaken'
  /** The calls for finding the bad rows of refused batches are used up. */
  | 'IsolationSpent'
  /** Postgres refused a statement for its data (SQLSTATE 22, 23). */
  | 'DataRefused'
  /** Nobody to send to: nothing was frozen. */
  | 'EmptyAudience'
  /** The campaign's deadline is over. */
  | 'DeadlinePassed'
  /** The channel refuses the account or the template: the next recipient would fare the same. */
  | 'CampaignStopped'
  /** Postgres holds less than this run was told of: it was set back to a backup. */
  | 'WentBack'
  | 'CampaignUnknown'
  /** A defect of ours. */
  | 'Defect'
  /** Network, server, timeouts, 5xx, Postgres away: retried without a limit. */
  | 'Unavailable';

/** Born where the fault is seen; `failure()` turns it into what Temporal is told. */
export class SyncError extends Error {
  override name = 'SyncError';
  readonly type: FailureType;
  constructor(type: FailureType, message: string, options?: ErrorOptions) {
    super(message, options);
    this.type = type;
  }
}

/** The source asks to wait: the slice ends and the workflow sleeps, so that no slot is held. */
export class RetryLater extends Error {
  override name = 'RetryLater';
  readonly waitMs: number;
  /** The refusal that asked for it, with the platform's code and the connector's hint; null for a share of ours that is used up. */
  readonly why: string | null;
  constructor(waitMs: number, why: string | null = null) {
    super(`The source asks to wait ${Math.ceil(waitMs / 1000)} s`);
    this.waitMs = waitMs;
    this.why = why;
  }
}

/** Errors of connectors and db that a person's input caused. */
const wrongInput = ['PlatformUnknown', 'ColumnConflict', 'ChannelUnknown', 'FilterError', 'CampaignFrozen'];
/** Our own SQL is wrong, not the data. */
const defectSql = '42';
/** First characters of SQLSTATEs that mean "the server or the connection, not the data". */
const unavailableSql = ['08', '53', '57', '58', '40', '55', 'XX'];
const unavailableNode = /^(ECONN|EPIPE|ENOTFOUND|EAI_|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|UND_ERR)/;
/** Deadline exceeded, resource exhausted, unavailable: of Temporal, which is asked whether a run is open. */
const unavailableGrpc = [4, 8, 14];
const poolTimeout =
  /timeout exceeded when trying to connect|Connection terminated|Client has encountered a connection error/;

/** Types Temporal retries by itself, without a limit. All others end the step and are counted by the workflow. */
const retried: ReadonlySet<FailureType> = new Set(['Unavailable']);

/**
 * One table from error to failure. Messages of foreign errors never pass: drivers and servers quote SQL parameters and
 * values. What passes is a code, a class name, and sentences written here. Where a sentence is born nobody knows for
 * which connection: the command `connect NAME` in it gets the name of `connection` here.
 */
export function failure(error: unknown, step: string, connection?: string): Error {
  if (error instanceof CancelledFailure || error instanceof ApplicationFailure) return error;
  const { type, message } = classify(error, step);
  const told = connection === undefined ? message : forConnection(message, connection);
  return ApplicationFailure.create({ type, message: told, nonRetryable: !retried.has(type) });
}

/** A sentence with its command made for a connection. */
export function forConnection(message: string, connection: string): string {
  return message.replaceAll('connect NAME', `connect ${connection}`);
}

function classify(error: unknown, step: string): { type: FailureType; message: string } {
  if (error instanceof SyncError) return { type: error.type, message: error.message };
  if (!(error instanceof Error)) return { type: 'Defect', message: `${step}: something that is no error was thrown` };
  if (
    error.name === 'ClaimLost' ||
    error.name === 'StageLost' ||
    error.name === 'ConnectionUnknown' ||
    error.name === 'CampaignUnknown' ||
    error.name === 'EmptyAudience' ||
    error.name === 'SealBroken'
  ) {
    return { type: error.name, message: error.message };
  }
  if (wrongInput.includes(error.name)) return { type: 'InvalidInput', message: error.message };
  const code = codeOf(error);
  const grpc = (error.cause as { code?: unknown } | undefined)?.code;
  if (error.name === 'ServiceError' && unavailableGrpc.some((one) => one === grpc))
    return { type: 'Unavailable', message: `${step}: Temporal does not answer (gRPC code ${grpc})` };
  // Readers of sources name the address they could not reach, so what comes here is our own database.
  if (unavailableNode.test(code) || poolTimeout.test(error.message))
    return { type: 'Unavailable', message: `${step}: Postgres does not answer (${code || 'no answer in time'})` };
  if (/^[0-9A-Z]{5}$/.test(code)) {
    const place = [(error as { table?: string }).table, (error as { constraint?: string }).constraint]
      .filter(Boolean)
      .join(', ');
    if (unavailableSql.includes(code.slice(0, 2)))
      return {
        type: 'Unavailable',
        message:
          code === '57014'
            ? `${step}: a statement took longer than it may (SQLSTATE 57014); it is tried again`
            : `${step}: Postgres is not available (SQLSTATE ${code})`,
      };
    return {
      type: code.startsWith(defectSql) ? 'Defect' : 'DataRefused',
      message: `${step}: Postgres refused a statement (SQLSTATE ${code}${place ? `, ${place}` : ''}). The worker's log has the place in the code, that of Postgres the statement. What stands and what is open: npx syncline status`,
    };
  }
  return { type: 'Defect', message: `${step}: ${error.name} (${code || 'no code'}); the worker's log has the stack` };
}

function codeOf(error: Error): string {
  const code = (error as { code?: unknown }).code ?? (error.cause as { code?: unknown } | undefined)?.code;
  return typeof code === 'string' ? code : '';
}
