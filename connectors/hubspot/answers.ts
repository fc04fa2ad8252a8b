import type { BatchKind } from '../hubspot.ts';
import { isObject, type Json, listOf, textsOf } from './json.ts';
import { nameRows, type Refusal, refusalOf } from './refusals.ts';

/** One input of a batch call, as the answer is joined back to it. */
export interface SentRow {
  /** Its id in the call. */
  id: string;
  values: Readonly<Record<string, string>>;
}

/** What became of one row. Codes are the platform's own, in small letters; no text of the platform stands in them. */
export type RowOutcome =
  | { kind: 'ok'; hubspotId: string | null }
  /** `contact`: record id of the contact that has the value already, where the answer names it. */
  | { kind: 'bad'; code: string; property: string | null; contact?: string }
  /** An update found no such contact. */
  | { kind: 'absent' }
  /**
   * A creation found a contact in its way, which may be another's: `contact` is named by the answer, `hubspotId` proven to be
   * the row's own.
   */
  | { kind: 'present'; hubspotId: string | null; contact?: string }
  /** The answer says nothing of it: neither written nor refused is proved. */
  | { kind: 'unaccounted' };

/** What an answer to a batch means. */
export type BatchVerdict =
  /** One outcome a row, in the order of the rows. */
  | { kind: 'rows'; outcomes: RowOutcome[] }
  /** The whole batch is refused and nobody is written. `named`: rows that the answer itself tells; `suspects`: rows it may mean. */
  | {
      kind: 'refused';
      code: string;
      property: string | null;
      /** Number under which HubSpot's support finds the call. */
      correlationId?: string;
      contact?: string;
      named: Map<number, { code: string; property: string | null }>;
      suspects: number[];
    }
  /** The mapping does not fit the account: every row would be refused. `outcomes`: of a 207, which may have written some of them. */
  | { kind: 'config'; code: string; property: string | null; outcomes?: RowOutcome[] }
  | { kind: 'token' }
  /** `scopes`: what the token lacks, as HubSpot names them. */
  | { kind: 'forbidden'; scopes: string[] }
  /** Nobody is written; the call may be made again after `waitMs`, or at the account's midnight. */
  | { kind: 'wait'; why: 'burst' | 'second' | 'daily' | 'locked' | 'migrating'; waitMs: number | null }
  /** Too many bytes: the batch must be cut. */
  | { kind: 'too-big' }
  /** Whether it was applied nobody knows: 5xx and their like. */
  | { kind: 'unknown'; status: number }
  /** Not the protocol: a login page, a cut answer. After a 2xx nobody knows whether it was applied. */
  | { kind: 'strange'; status: number };

export interface BatchAnswer {
  status: number;
  headers: Readonly<Record<string, string | string[] | undefined>>;
  /** Undefined where the body is no JSON. */
  body: unknown;
}

/** A burst limit's wait where the answer names none, ms: the window. Search and the like count by the second. */
const waits = { burst: 10_000, second: 1_000, locked: 2_000, migrating: 10_000 } as const;
const policies: Record<string, 'burst' | 'second' | 'daily'> = {
  TEN_SECONDLY_ROLLING: 'burst',
  SECONDLY: 'second',
  DAILY: 'daily',
};

/** Reads the answer to a batch by status and body, never by what a version's description promises. */
export function readBatch(
  kind: BatchKind,
  idProperty: string,
  sent: readonly SentRow[],
  answer: BatchAnswer,
): BatchVerdict {
  const { status, body } = answer;
  if (kind === 'archive' && status === 204)
    return { kind: 'rows', outcomes: sent.map(() => ({ kind: 'ok', hubspotId: null })) };
  if (status >= 200 && status < 300)
    return isObject(body) ? readRows(kind, idProperty, sent, body) : { kind: 'strange', status };
  const error = isObject(body) ? body : {};
  switch (status) {
    case 401:
      return { kind: 'token' };
    case 403:
      return { kind: 'forbidden', scopes: scopesOf(error) };
    case 413:
    case 414:
      return { kind: 'too-big' };
    case 423:
      return { kind: 'wait', why: 'locked', waitMs: Math.max(waits.locked, retryAfterMs(answer) ?? 0) };
    case 429: {
      const why = policies[String(error.policyName)] ?? 'burst';
      return { kind: 'wait', why, waitMs: why === 'daily' ? null : (retryAfterMs(answer) ?? waits[why]) };
    }
    case 477:
      return { kind: 'wait', why: 'migrating', waitMs: retryAfterMs(answer) ?? waits.migrating };
    case 400:
    case 409:
      return isObject(body) ? refused(sent, body) : { kind: 'strange', status };
    default:
      return status >= 500 || status === 408 ? { kind: 'unknown', status } : { kind: 'strange', status };
  }
}

/** Joins results and errors back to the rows: sent = written + refused is proved here, row by row. */
function readRows(kind: BatchKind, idProperty: string, sent: readonly SentRow[], body: Json): BatchVerdict {
  const unaccounted: RowOutcome = { kind: 'unaccounted' };
  const outcomes: RowOutcome[] = sent.map(() => unaccounted);
  const find = finder(idProperty, sent);
  for (const result of listOf(body.results)) {
    const at =
      placeOf(result.objectWriteTraceId, sent) ??
      find(textsOf(result.objectWriteTraceId), [propertyOf(result, idProperty), result.id]);
    if (at !== undefined) outcomes[at] = { kind: 'ok', hubspotId: typeof result.id === 'string' ? result.id : null };
  }
  const nameless: RowOutcome[] = [];
  let config: Refusal | undefined;
  for (const error of listOf(body.errors)) {
    const refusal = refusalOf(error);
    if (refusal.config) config ??= refusal;
    const outcome = outcomeOf(kind, refusal, error);
    const context = isObject(error.context) ? error.context : {};
    const traces = textsOf(context.objectWriteTraceId);
    const ids = textsOf(context.ids ?? context.id).filter((id) => id !== '');
    const places = traces.length > 0 ? traces.map((trace) => find([trace], [])) : ids.map((id) => find([], [id]));
    const known = places.filter((at) => at !== undefined);
    // Of several alike nobody can tell whose contact is whose.
    if (known.length === 0) nameless.push(outcome.kind === 'bad' ? { ...outcome, contact: undefined } : outcome);
    for (const at of known) outcomes[at] = outcome;
  }
  bySubtraction(outcomes, nameless, Number(body.numErrors));
  if (config) return { kind: 'config', code: config.code, property: config.property, outcomes };
  return { kind: 'rows', outcomes };
}

/** Errors that name nobody are about the rows that are left, where their numbers agree. */
function bySubtraction(outcomes: RowOutcome[], nameless: readonly RowOutcome[], told: number): void {
  const left = outcomes.flatMap((one, at) => (one.kind === 'unaccounted' ? [at] : []));
  if (nameless.length === 0 || left.length === 0) return;
  const alike = new Set(nameless.map((one) => JSON.stringify(one))).size === 1;
  const refused = outcomes.filter(({ kind }) => kind !== 'unaccounted' && kind !== 'ok').length;
  // One error may stand for several rows, which `numErrors` then counts.
  if (left.length !== nameless.length && !(alike && told === refused + left.length)) return;
  // Of several kinds nobody can tell which is whose.
  const outcome: RowOutcome = alike ? nameless[0]! : { kind: 'bad', code: 'unnamed', property: null };
  for (const at of left) outcomes[at] = outcome;
}

function outcomeOf(
  kind: BatchKind,
  { code, property }: { code: string; property: string | null },
  error: Json,
): RowOutcome {
  if (kind === 'update' && code === 'object_not_found') return { kind: 'absent' };
  if (kind === 'create' && code === 'conflict') return { kind: 'present', hubspotId: existingId(error) };
  return { kind: 'bad', code, property, ...ownerOf(code, error) };
}

function existingId({ context, message }: Json): string | null {
  const told = isObject(context) ? textsOf(context.existingId)[0] : undefined;
  return told ?? /Existing ID: (\d+)/.exec(String(message))?.[1] ?? null;
}

/** A number and nothing else is kept: it stands where people look without --show-records. */
function ownerOf(code: string, error: Json): { contact?: string } {
  const contact = code === 'conflict' ? existingId(error) : null;
  return contact !== null && /^\d{1,20}$/.test(contact) ? { contact } : {};
}

function refused(sent: readonly SentRow[], body: Json): BatchVerdict {
  const refusal = refusalOf(body);
  if (refusal.config) return { kind: 'config', code: refusal.code, property: refusal.property };
  const { code, property } = refusal;
  const { correlationId } = body;
  const known = typeof correlationId === 'string' && /^[0-9a-f-]{1,64}$/i.test(correlationId) ? { correlationId } : {};
  return { kind: 'refused', code, property, ...known, ...ownerOf(code, body), ...nameRows(sent, body) };
}

/** Trace ids are places in the batch, as texts. */
function placeOf(trace: unknown, sent: readonly SentRow[]): number | undefined {
  return typeof trace === 'string' && /^\d{1,3}$/.test(trace) && Number(trace) < sent.length
    ? Number(trace)
    : undefined;
}

/** Finds the row of a trace id, else of an id as it was sent; the platform writes e-mail addresses in small letters. */
function finder(idProperty: string, sent: readonly SentRow[]) {
  const plain = idProperty === 'email' ? (id: string) => id.toLowerCase() : (id: string) => id;
  let byId: Map<string, number> | undefined;
  return (traces: readonly string[], ids: readonly unknown[]): number | undefined => {
    for (const trace of traces) {
      const at = placeOf(trace, sent);
      if (at !== undefined) return at;
    }
    byId ??= new Map(sent.map(({ id }, at) => [plain(id), at]));
    for (const id of ids) {
      const at = typeof id === 'string' ? byId.get(plain(id)) : undefined;
      if (at !== undefined) return at;
    }
    return undefined;
  };
}

const propertyOf = ({ properties }: Json, name: string) => (isObject(properties) ? properties[name] : undefined);

function scopesOf(error: Json): string[] {
  const scopes = listOf(error.errors).flatMap(({ context }) =>
    isObject(context) ? textsOf(context.requiredGranularScopes) : [],
  );
  return [...new Set(scopes)].filter((scope) => /^[\w.-]{1,80}$/.test(scope)).slice(0, 10);
}

/** Retry-After in seconds; null where there is none that can be read. */
export function retryAfterMs({ headers }: Pick<BatchAnswer, 'headers'>): number | null {
  const header = headers['retry-after'];
  const text = (Array.isArray(header) ? header[0] : header)?.trim() ?? '';
  return /^\d{1,7}(\.\d+)?$/.test(text) ? Math.max(100, Math.ceil(Number(text) * 1_000)) : null;
}

/** Milliseconds until the next midnight in a zone. */
export function untilMidnight(timeZone: string, nowMs: number): number {
  const parts = new Intl.DateTimeFormat('en', {
    timeZone,
    hourCycle: 'h23',
    hour: 'numeric',
    minute: 'numeric',
    second: 'numeric',
  });
  const [hour = 0, minute = 0, second = 0] = parts
    .formatToParts(nowMs)
    .flatMap(({ type, value }) => (['hour', 'minute', 'second'].includes(type) ? [Number(value)] : []));
  return 86_400_000 - ((hour * 60 + minute) * 60 + second) * 1_000 - (nowMs % 1_000);
}

/**
 * Whether a wait is the daily limit's: the budget keeps when a block ends and not why, and no other ends at midnight. A
 * minute is for clocks and turns.
 */
export function isDaily(waitMs: number, timeZone: string): boolean {
  return waitMs > 60_000 && Math.abs(untilMidnight(timeZone, Date.now()) - waitMs) < 60_000;
}
