import type * as v from 'valibot';

type Nested = {
  entries?: Record<string, unknown>;
  wrapped?: unknown;
  pipe?: { type: string; message?: string }[];
  expects?: string;
};

/**
 * Says of a wrong value what people need: field, what came, what is accepted. Values come out only where the schema
 * asked for a word or a pattern; of everything else the kind is told.
 */
export function explain(schema: v.GenericSchema, issue: v.BaseIssue<unknown>): string {
  const keys = (issue.path ?? []).map((item) => String(item.key));
  const field = keys.join('.') || 'input';
  if (issue.expected === 'never') {
    return `unknown field "${field}" (accepted: ${entriesAt(schema, keys.slice(0, -1)).join(', ')})`;
  }
  if (issue.type === 'strict_object' && issue.path) {
    const { pipe, expects } = partAt(schema, keys);
    return `${field}: got undefined, accepted ${pipe?.find((rule) => rule.type === 'regex')?.message ?? expects}`;
  }
  const told = ['regex', 'picklist', 'check', 'min_value', 'max_value'].includes(issue.type);
  const own = ['regex', 'check'].includes(issue.type);
  return `${field}: got ${issue.received.slice(0, told ? 80 : 20)}, accepted ${own ? issue.message : (issue.expected ?? issue.message)}`;
}

function entriesAt(schema: unknown, keys: string[]): string[] {
  return Object.keys(partAt(schema, keys).entries ?? {});
}

function partAt(schema: unknown, keys: string[]): Nested {
  return keys.reduce((at, key) => unwrap(at.entries?.[key]), unwrap(schema));
}

function unwrap(schema: unknown): Nested {
  let at = (schema ?? {}) as Nested;
  while (at.wrapped !== undefined) at = at.wrapped as Nested;
  return at;
}
