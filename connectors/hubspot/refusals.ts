import type { SentRow } from './answers.ts';
import { isObject, type Json, listOf, textsOf } from './json.ts';

/** What one error of an answer says. */
export interface Refusal {
  /** The most exact code it carries, in small letters, e.g. `invalid_email`. */
  code: string;
  property: string | null;
  /** True: it is about the mapping and hits every row. */
  config: boolean;
}

/** One failed property inside a message. */
interface Failed {
  code: string;
  property: string | null;
  message: string;
}

const configCodes = new Set(['property_doesnt_exist', 'missing_scopes', 'non_unique']);
const nonUnique = /^Unable to perform (update|upsert) by non-unique/;
const duplicateIds = /^Duplicate IDs found in batch input/;

/** Reads one error, of a 207 or of a whole answer. Texts are matched and never kept: they quote values. */
export function refusalOf(error: Json): Refusal {
  const message = String(error.message ?? '');
  if (nonUnique.test(message)) return { code: 'non_unique', property: null, config: true };
  if (duplicateIds.test(message)) return { code: 'duplicate_id', property: null, config: false };
  const [first, ...more] = failedOf(error);
  const fault = [first, ...more].find((one) => one && configCodes.has(one.code)) ?? first;
  const code = fault?.code ?? codeOf(error.subCategory) ?? codeOf(error.category) ?? 'refused';
  return { code, property: fault?.property ?? null, config: configCodes.has(code) };
}

/** Failed properties: the JSON list inside the message, and the list of errors beside it. */
function failedOf(error: Json): Failed[] {
  const message = String(error.message ?? '');
  const start = message.indexOf('[');
  const listed = start >= 0 && message.startsWith('Property values were not valid') ? parsed(message.slice(start)) : [];
  const inMessage = listed.map((one) => ({
    code: codeOf(one.error) ?? 'invalid',
    property: nameOf(one.name),
    message: String(one.message ?? ''),
  }));
  const beside = listOf(error.errors).map((one) => ({
    code: codeOf(one.code) ?? codeOf(one.subCategory) ?? 'invalid',
    property: nameOf(isObject(one.context) ? textsOf(one.context.propertyName)[0] : undefined),
    message: String(one.message ?? ''),
  }));
  return [...inMessage, ...beside];
}

/** A long list of options makes the message huge and may be cut: then the part before counts. */
function parsed(text: string): Json[] {
  try {
    return listOf(JSON.parse(text));
  } catch {
    const found = [...text.matchAll(/"error"\s*:\s*"(\w+)"\s*,\s*"name"\s*:\s*"(\w+)"/g)];
    return found.map(([, error, name]) => ({ error, name, message: '' }));
  }
}

const codeOf = (value: unknown) =>
  typeof value === 'string' && /^[A-Za-z_]{1,60}$/.test(value) ? value.toLowerCase() : undefined;
const nameOf = (value: unknown) => (typeof value === 'string' && /^\w{1,100}$/.test(value) ? value : null);

/** Bad rows of a batch by their place in it. */
export type Named = Map<number, { code: string; property: string | null }>;

/** Sentences that quote a refused value whole. */
const quoting = [
  /^Email address (.+) is invalid$/s,
  /^(.+) was not one of the allowed options/s,
  /^(\S+) is at \S+ UTC, not midnight!?$/,
  /^(.+) was not a valid (?:number|date|boolean|phone number)\.?$/s,
];

/**
 * Finds the rows that a refusal of a whole batch is about. `named` are certain: the answer quotes the very value that
 * such a row has for the property, or its id. `suspects` hold a value that the text seems to quote; they are tried by
 * themselves.
 */
export function nameRows(sent: readonly SentRow[], body: Json): { named: Named; suspects: number[] } {
  const named: Named = new Map();
  const suspects = new Set<number>();
  if (duplicateIds.test(String(body.message))) nameDuplicates(sent, body, named);
  for (const { code, property, message } of failedOf(body)) {
    if (property === null) continue;
    const quoted = quoting.map((pattern) => pattern.exec(message)?.[1]).find((value) => value !== undefined);
    for (const [at, { values }] of sent.entries()) {
      const value = values[property];
      if (value === undefined || value === '') continue;
      if (quoted !== undefined ? same(quoted, value, property) : false) named.set(at, { code, property });
      else if (quoted === undefined && value.length > 3 && message.includes(value)) suspects.add(at);
    }
  }
  // When everybody is suspected nobody is.
  const some = suspects.size > 0 && suspects.size < sent.length;
  return { named, suspects: some ? [...suspects].filter((at) => !named.has(at)) : [] };
}

const same = (quoted: string, value: string, property: string) =>
  quoted === value || (property === 'email' && quoted.toLowerCase() === value.toLowerCase());

/** The first of each id stays, the others are the ones too many. */
function nameDuplicates(sent: readonly SentRow[], body: Json, named: Named): void {
  const context = isObject(body.context) ? body.context : {};
  const doubled = new Set(textsOf(context.ids));
  const met = new Set<string>();
  for (const [at, { id }] of sent.entries()) {
    if (!doubled.has(id)) continue;
    if (met.has(id)) named.set(at, { code: 'duplicate_id', property: null });
    met.add(id);
  }
}
