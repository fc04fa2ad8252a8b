import type { HttpAnswer } from './request.ts';
import { textOf } from './text.ts';

/** A body that is no JSON: what it is instead, for an error text. */
export interface NoJson {
  kind: 'HTML' | 'an empty body' | 'truncated or broken JSON';
  /** First characters, to be matched and never shown. */
  start: string;
}

const shownStart = 4_096;
/** Fifteen digits come out of a double as they went in, unless their exponent has three. */
const digitsKept = 15;
/** Hashes have both `e` and digits: only what ends as a number in JSON ends counts, so that a body of them is not walked for nothing. */
const longExponent = /[eE][+-]?\d{3,}\s*(?:[,}\]]|$)/;
const number = /-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;

/**
 * Parses JSON. Numbers that a double cannot hold become texts of the same digits: order numbers of 19 digits are keys,
 * and JSON.parse would round two of them into one. Compared by value: 1.0 and 1e3 stay numbers.
 * @throws SyntaxError
 */
export function parseJson(text: string): unknown {
  return JSON.parse(mayRound(text) ? quoteLongNumbers(text) : text);
}

/** The answer's body as JSON, or what came instead. */
export function readBody(answer: HttpAnswer): { body: unknown } | NoJson {
  const text = textOf(answer.body).replace(/^\uFEFF/, '');
  try {
    return { body: parseJson(text) };
  } catch {
    // What the parser says quotes the body.
    return { kind: kindOf(answer, text), start: text.slice(0, shownStart) };
  }
}

/** Media type of an answer, for an error text. */
export function typeOf(answer: HttpAnswer): string {
  const type = String(answer.headers['content-type'] ?? '').split(';')[0] ?? '';
  return /^[\w.+/-]{1,60}$/.test(type) ? type : 'no content type';
}

function kindOf(answer: HttpAnswer, text: string): NoJson['kind'] {
  if (text.trim() === '') return 'an empty body';
  return typeOf(answer) === 'text/html' || text.trimStart().startsWith('<') ? 'HTML' : 'truncated or broken JSON';
}

function mayRound(text: string): boolean {
  return hasLongNumber(text) || longExponent.test(text);
}

/** Looked at from the end of each stretch, one letter in sixteen decides: a regular expression took as long as JSON.parse. */
function hasLongNumber(text: string): boolean {
  for (let end = digitsKept; end < text.length; ) {
    let at = end;
    while (end - at <= digitsKept && isOfNumber(text.charCodeAt(at))) at -= 1;
    if (end - at > digitsKept) return true;
    end = at + 1 + digitsKept;
  }
  return false;
}

/** A digit or a point. */
const isOfNumber = (code: number) => (code >= 48 && code <= 57) || code === 46;

/** Numbers stand outside of strings alone, so the text is walked string by string. */
function quoteLongNumbers(text: string): string {
  const parts: string[] = [];
  let from = 0;
  while (from < text.length) {
    const open = text.indexOf('"', from);
    const outside = open < 0 ? text.slice(from) : text.slice(from, open);
    parts.push(mayRound(outside) ? outside.replace(number, quoteUnsafe) : outside);
    if (open < 0) break;
    from = endOfString(text, open);
    parts.push(text.slice(open, from));
  }
  return parts.join('');
}

function quoteUnsafe(literal: string): string {
  if (literal.length < 16 && !/[eE]/.test(literal)) return literal;
  const value = Number(literal);
  if (/^-?\d+$/.test(literal)) return Number.isSafeInteger(value) ? literal : `"${literal}"`;
  const shown = String(value);
  return shown === literal || plain(shown) === plain(literal) ? literal : `"${literal}"`;
}

const parts = /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/;

/** A number as sign, digits without zeros around them, and exponent: the same text for each spelling of it. */
function plain(text: string): string {
  const [, sign, whole, fraction = '', exponent = '0'] = parts.exec(text) ?? [];
  if (whole === undefined) return text;
  const digits = (whole + fraction).replace(/^0+/, '');
  // A regular expression would try each row of zeros inside.
  let end = digits.length;
  while (digits[end - 1] === '0') end -= 1;
  return end === 0 ? '0' : `${sign}${digits.slice(0, end)}e${Number(exponent) - fraction.length + digits.length - end}`;
}

/** Position behind the string that opens at `open`; a quote behind an odd number of backslashes does not end it. */
function endOfString(text: string, open: number): number {
  for (let at = text.indexOf('"', open + 1); at >= 0; at = text.indexOf('"', at + 1)) {
    let slashes = 0;
    while (text[at - 1 - slashes] === '\\') slashes += 1;
    if (slashes % 2 === 0) return at + 1;
  }
  return text.length;
}
