import type { Envelope, EnvelopeShape, Level, Verdict, VerdictRule } from '../../connectors/shape.ts';
import { SyncError } from '../errors.ts';
import { type NoJson, parseJson, readBody, typeOf } from './json.ts';
import type { HttpAnswer } from './request.ts';
import { valueAt } from './values.ts';
import { retryAfterMs } from './verdict.ts';

/** What an answer means. */
export interface Judgement {
  verdict: Verdict;
  /** Payload of `ok`; null of `empty`; undefined of everything else. */
  data: unknown;
  /** Whole body; undefined where it was no JSON. */
  body: unknown;
  /** Code to be shown: the platform's, or `HTTP 429` where it gave none. Never a text. */
  code: string;
  /** How long to wait, for `retry-after`, `busy` and `quota`. */
  waitMs: number;
  level: Level;
  /** What the connector tells an operator about this failure. */
  hint?: string;
}

const defaultWaitMs = 5_000;
const longestWaitMs = 24 * 3600 * 1000;
const dayMs = 24 * 3600 * 1000;
const beijingMs = 8 * 3600 * 1000;
/** A header's number from here on is a moment in seconds since 1970 (the year 2001), not a wait. */
const momentSeconds = 1e9;
const longestText = 2_048;

/** What a failed answer says of itself. */
interface Failure {
  codes: string[];
  text: string;
  json: boolean;
}

/**
 * Judges an answer by the connector's envelope. `place` is what an error may say of the address (`where` of request.ts).
 * @throws SyncError BadAnswer for HTML, cut JSON, an empty body, a body of no known shape; Unavailable for 408 and 5xx that
 * no rule names. Neither bodies nor texts of the platform reach an error.
 */
export function judge(answer: HttpAnswer, place: string, envelope: Envelope): Judgement {
  const read = readBody(answer);
  const good = answer.status >= 200 && answer.status < 300;
  if (!('body' in read)) return failed(answer, place, envelope, { codes: [], text: read.start, json: false }, read);
  const { body } = read;
  const shape = envelope.shapes.find(({ when }) => when === undefined || isThere(valueAt(body, when)));
  if (good && !shape)
    throw new SyncError('BadAnswer', `${place} answered ${answer.status} with JSON of none of the known shapes`);
  if (good && shape && isOk(shape, body)) return success(payload(shape, body, place), body);
  const judgement = failed(answer, place, envelope, failureOf(shape, body));
  if (judgement.verdict === 'ok' && shape) return success(payload(shape, body, place), body);
  return { ...judgement, body };
}

function failed(answer: HttpAnswer, place: string, envelope: Envelope, failure: Failure, broken?: NoJson): Judgement {
  const rule = ruleFor(envelope.rules, answer, failure);
  const code = failure.codes.find(isCode) ?? `HTTP ${answer.status}`;
  const told = { data: rule?.verdict === 'empty' ? null : undefined, body: undefined, code };
  if (rule)
    return {
      ...told,
      verdict: rule.verdict,
      waitMs: waitOf(answer, failure.text, rule),
      level: rule.level ?? 'connection',
      hint: rule.hint,
    };
  const verdict = byStatus(answer, place, code, broken);
  return { ...told, verdict, waitMs: waitOf(answer, failure.text), level: 'connection' };
}

/** The most exact code is tried against all rules first; rules without codes are judged in the same round. */
function ruleFor(rules: readonly VerdictRule[], answer: HttpAnswer, failure: Failure): VerdictRule | undefined {
  for (const code of failure.codes.length > 0 ? failure.codes : [undefined]) {
    const rule = rules.find((r) => fits(r, answer, code, failure));
    if (rule) return rule;
  }
  return undefined;
}

function fits(rule: VerdictRule, { status, headers }: HttpAnswer, code: string | undefined, failure: Failure): boolean {
  if (rule.header && !rule.header.is.includes(String(headers[rule.header.name.toLowerCase()]))) return false;
  if (rule.status && !rule.status.includes(status)) return false;
  if (rule.code && (code === undefined || !rule.code.some((c) => String(c) === code))) return false;
  // The page of a proxy holds any word: a text rule sees it only when it asks for pages.
  if (failure.json ? rule.notJson : !rule.notJson && (rule.text !== undefined || status < 300)) return false;
  return rule.text === undefined || patternOf(rule.text).test(failure.text);
}

const patterns = new Map<string, RegExp>();

function patternOf(source: string): RegExp {
  let pattern = patterns.get(source);
  if (!pattern) {
    pattern = new RegExp(source, 'i');
    patterns.set(source, pattern);
  }
  return pattern;
}

/** What HTTP alone says, where no rule of the connector fits. */
function byStatus(answer: HttpAnswer, place: string, code: string, broken?: NoJson): Verdict {
  const { status } = answer;
  if (status === 429 || (status === 503 && answer.headers['retry-after'] !== undefined)) return 'retry-after';
  if (status === 401) return 'token';
  if (status === 403) return 'permission';
  if (status >= 500 || status === 408) {
    const shown = code.startsWith('HTTP') ? '' : ` (${code})`;
    throw new SyncError('Unavailable', `${place} answered ${status}${shown}`);
  }
  if (!broken || status >= 400) return 'unknown';
  throw new SyncError(
    'BadAnswer',
    `${place} answered ${status} with ${broken.kind} (${typeOf(answer)}, ${answer.body.length} bytes) instead of JSON: a login page, a proxy or a cut answer`,
  );
}

function success(data: unknown, body: unknown): Judgement {
  return { verdict: 'ok', data, body, code: '', waitMs: 0, level: 'connection' };
}

function isOk({ ok }: EnvelopeShape, body: unknown): boolean {
  if (ok === 'failure') return false;
  if ('absent' in ok) return !isThere(valueAt(body, ok.absent));
  const value = valueAt(body, ok.path);
  // One platform writes the same code as a number here and as a text there.
  return ['string', 'number', 'boolean'].includes(typeof value) && ok.is.some((word) => String(word) === String(value));
}

function isThere(value: unknown): boolean {
  return value !== undefined && value !== null;
}

function payload(shape: EnvelopeShape, body: unknown, place: string): unknown {
  const value = valueAt(body, shape.data);
  if (!shape.nested || typeof value !== 'string') return value;
  try {
    return parseJson(value);
  } catch {
    throw new SyncError(
      'BadAnswer',
      `${place}: the JSON text at "${shape.data}" is cut or broken (${value.length} characters)`,
    );
  }
}

function failureOf(shape: EnvelopeShape | undefined, body: unknown): Failure {
  const scalars = (paths: readonly string[] = []) =>
    paths.map((path) => valueAt(body, path)).flatMap((v) => (['string', 'number'].includes(typeof v) ? [`${v}`] : []));
  const text = scalars(shape?.text).join('\n').slice(0, longestText);
  return { codes: scalars(shape?.code).filter((code) => code !== ''), text, json: true };
}

/** Codes are words and numbers; a sentence in their place may quote values and is not shown. */
function isCode(code: string): boolean {
  return /^[\w.:/-]{1,80}$/.test(code);
}

/** The answer's own word first, then the rule's; between 100 ms and a day. */
function waitOf(answer: HttpAnswer, text: string, rule?: VerdictRule): number {
  if (rule?.until === 'midnight') return dayMs - ((Date.now() + beijingMs) % dayMs);
  const header = rule?.waitHeader && secondsOf(answer.headers[rule.waitHeader.toLowerCase()]);
  const own = typeof header === 'number' ? header : rule?.waitText && secondsIn(text, rule.waitText);
  if (typeof own === 'number') return Math.min(Math.max(Math.ceil(own * 1000), 100), longestWaitMs);
  if (answer.headers['retry-after'] !== undefined) return retryAfterMs(answer);
  return rule?.waitMs ?? defaultWaitMs;
}

function secondsIn(text: string, pattern: string): number | undefined {
  const told = patternOf(pattern).exec(text)?.[1] ?? '';
  return /^\d{1,11}(\.\d+)?$/.test(told) ? Number(told) : undefined;
}

function secondsOf(header: string | string[] | undefined): number | undefined {
  const text = (Array.isArray(header) ? header[0] : header)?.trim() ?? '';
  if (!/^\d{1,11}(\.\d+)?$/.test(text)) return undefined;
  const seconds = Number(text);
  return seconds >= momentSeconds ? seconds - Date.now() / 1000 : seconds;
}

const waits: Partial<Record<Verdict, string>> = {
  quota: 'says that a quota is used up',
  busy: 'is busy',
};

/** Why an answer asks to wait, for people: the platform's code and the connector's hint, never the platform's text. */
export function whyWait({ verdict, code, hint }: Judgement, place: string): string {
  return `${place} ${waits[verdict] ?? 'asks to wait'} (${code}).${hint ? ` ${hint}` : ''}`;
}
