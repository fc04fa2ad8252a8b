import type { HttpAnswer } from './request.ts';
import { textOf } from './text.ts';

/** A body that is no JSON: what it is instead, for an error text. */
export interface NoJson {
  kind: 'HTML' | 'an empty body' | 'truncated or broken JSON';
  /** First characters, to be matched and never shown. */
  start: string;
}

const shownStart = 4_096;
/** Fewer digits are always exact in a double. */
const longNumber = /\d{16}/;
const number = /-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;

/**
 * Parses JSON. Whole numbers that a double cannot hold become texts of the same digits: order numbers of 19 digits are
 * keys, and JSON.parse would round two of them into one.
 * @throws SyntaxError
 */
export function parseJson(text: string): unknown {
  return JSON.parse(longNumber.test(text) ? quoteLongNumbers(text) : text);
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

/** Numbers stand outside of strings alone, so the text is walked string by string. */
function quoteLongNumbers(text: string): string {
  const parts: string[] = [];
  let from = 0;
  while (from < text.length) {
    const open = text.indexOf('"', from);
    const outside = open < 0 ? text.slice(from) : text.slice(from, open);
    parts.push(longNumber.test(outside) ? outside.replace(number, quoteUnsafe) : outside);
    if (open < 0) break;
    from = endOfString(text, open);
    parts.push(text.slice(open, from));
  }
  return parts.join('');
}

function quoteUnsafe(literal: string): string {
  return /^-?\d+$/.test(literal) && !Number.isSafeInteger(Number(literal)) ? `"${literal}"` : literal;
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
