import type * as v from 'valibot';

type Nested = { entries?: Record<string, unknown>; wrapped?: unknown };

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
  const told = ['regex', 'picklist', 'check', 'min_value', 'max_value'].includes(issue.type);
  const own = ['regex', 'check'].includes(issue.type);
  return `${field}: got ${issue.received.slice(0, told ? 80 : 20)}, accepted ${own ? issue.message : (issue.expected ?? issue.message)}`;
}

function entriesAt(schema: unknown, keys: string[]): string[] {
  let at = schema as Nested;
  for (const key of keys) at = unwrap(unwrap(at).entries?.[key]);
  return Object.keys(unwrap(at).entries ?? {});
}

function unwrap(schema: unknown): Nested {
  let at = (schema ?? {}) as Nested;
  while (at.wrapped !== undefined) at = at.wrapped as Nested;
  return at;
}
