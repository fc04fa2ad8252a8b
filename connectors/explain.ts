import type * as v from 'valibot';

type Nested = {
  type?: string;
  entries?: Record<string, unknown>;
  wrapped?: unknown;
  pipe?: { type: string; message?: string; requirement?: unknown }[];
  /** Of a list of so many: the schema of each. */
  items?: unknown[];
  /** Of a list: the schema of its values. Of a union: those one of which must fit. */
  item?: unknown;
  options?: unknown[];
  value?: unknown;
  expects?: string;
};

/** Rules whose value is a word or number of the person's; of others only the beginning is told. */
const toldWhole = ['regex', 'picklist', 'check', 'min_value', 'max_value'];

/**
 * Says of a wrong value what people need: field, what came, what is accepted. Values come out only where the schema
 * asked for a word or a pattern; of everything else the kind is told.
 */
export function explain(schema: v.GenericSchema, issue: v.BaseIssue<unknown>): string {
  const keys = (issue.path ?? []).map((item) => String(item.key));
  const field = keys.join('.') || 'input';
  if (issue.expected === 'never') {
    return `unknown field "${field}" (accepted: ${Object.keys(partAt(schema, keys.slice(0, -1)).entries ?? {}).join(', ')})`;
  }
  // Of a key that is not there valibot expects the key itself.
  if (issue.expected === `"${keys.at(-1)}"`)
    return `${field}: got nothing, accepted ${acceptedBy(partAt(schema, keys))}${misspelt(schema, keys, issue)}`;
  if (issue.path?.at(-1)?.origin === 'key')
    return `unknown field "${field}" (accepted: ${issue.type === 'regex' ? issue.message : issue.expected?.replace(/^\(|\)$/g, '')})`;
  return `${field}: got ${got(issue)}, accepted ${accepted(schema, keys, issue)}`;
}

/** What stands beside a field that is not there, and is none. */
function misspelt(schema: v.GenericSchema, keys: string[], { path }: v.BaseIssue<unknown>): string {
  const known = partAt(schema, keys.slice(0, -1)).entries ?? {};
  const others = Object.keys(path?.at(-1)?.input ?? {}).filter((name) => !Object.hasOwn(known, name));
  return others.length === 0 ? '' : `; beside it: unknown field "${others.join('", "')}"`;
}

function got({ type, input, received }: v.BaseIssue<unknown>): string {
  if (type === 'min_length' || type === 'max_length' || type === 'raw_check')
    return typeof input === 'string' ? `a text of ${input.length} characters` : `a list of ${received} values`;
  return received.slice(0, toldWhole.includes(type) ? 80 : 20);
}

function accepted(schema: v.GenericSchema, keys: string[], issue: v.BaseIssue<unknown>): string {
  const { type, expected, message } = issue;
  if (type === 'min_length' || type === 'max_length')
    return `${type === 'min_length' ? 'at least' : 'at most'} ${expected?.slice(2)}`;
  if (type === 'integer' || type === 'min_value' || type === 'max_value')
    return boundsOf(partAt(schema, keys).pipe ?? []) ?? (type === 'integer' ? 'a whole number' : (expected ?? message));
  if (type === 'regex' || type === 'check' || type === 'raw_check') return message;
  return issue.kind === 'schema' && keys.length > 0 ? acceptedBy(partAt(schema, keys)) : (expected ?? message);
}

/** What a schema accepts: the words of its own rule where it has one, else its bounds or its kind. */
function acceptedBy({ type, pipe, options, item, expects }: Nested): string {
  const bounds = boundsOf(pipe ?? []);
  if (bounds !== null) return bounds;
  if (type === 'boolean') return 'true or false';
  const rule = pipe?.find((one) => one.type === 'regex' || one.type === 'check')?.message;
  if (rule !== undefined) return rule;
  if (type === 'union') return (options ?? []).map((option) => acceptedBy(unwrap(option))).join(', or ');
  if (type === 'array') return `a list, each ${acceptedBy(unwrap(item))}`;
  return expects ?? 'another value';
}

/** `a whole number from 1 to 32`; null for what has no bounds. */
function boundsOf(pipe: NonNullable<Nested['pipe']>): string | null {
  const of = (type: string) => pipe.find((one) => one.type === type)?.requirement;
  const [least, most] = [of('min_value'), of('max_value')];
  if (typeof least !== 'number' && typeof most !== 'number') return null;
  const what = pipe.some(({ type }) => type === 'integer') ? 'a whole number' : 'a number';
  const from = typeof least === 'number' ? ` from ${least}` : '';
  return `${what}${from}${typeof most === 'number' ? `${from ? ' to' : ' up to'} ${most}` : ' on'}`;
}

function partAt(schema: unknown, keys: string[]): Nested {
  return keys.reduce(
    (at, key) => unwrap(at.entries?.[key] ?? at.items?.[Number(key)] ?? at.item ?? at.value),
    unwrap(schema),
  );
}

function unwrap(schema: unknown): Nested {
  let at = (schema ?? {}) as Nested;
  while (at.wrapped !== undefined) at = at.wrapped as Nested;
  return at;
}
