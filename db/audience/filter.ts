import type { Pool } from '../client.ts';
import { type Expression, parseExpression } from './expression.ts';

/** Puts a value among a statement's parameters and returns its name there, e.g. `$3`. */
export type Put = (value: unknown) => string;

/**
 * SQL of a filter over `audience.users AS u`, exact by containment in the tag arrays, which the GIN indexes answer. Siblings
 * of one kind become one containment: `1 AND 2` is `tags @> {1,2}`, `1 OR 2` is `tags && {1,2}`. No text: everybody.
 * @throws FilterError
 */
export function filterSql(text: string | undefined, put: Put): string {
  return text === undefined ? 'true' : compile(parseExpression(text), put);
}

function compile(expression: Expression, put: Put): string {
  switch (expression.kind) {
    case 'tag':
      return tagsSql([expression.tag], '@>', put)[0] as string;
    case 'segment':
      return `EXISTS (SELECT 1 FROM audience.memberships m WHERE m.connection_id = u.connection_id AND m.segment_id = ${put(expression.id)}
        AND m.user_id = u.id AND m.deleted_at IS NULL)`;
    case 'not':
      // Nobody has a tag that is unknown: a null array is no match, and its NOT is one.
      return `(${compile(expression.of, put)}) IS NOT TRUE`;
    default: {
      const tags = expression.of.flatMap((one) => (one.kind === 'tag' ? [one.tag] : []));
      const own = tagsSql(tags, expression.kind === 'and' ? '@>' : '&&', put);
      const parts = [...own, ...expression.of.filter((one) => one.kind !== 'tag').map((one) => compile(one, put))];
      return `(${parts.join(expression.kind === 'and' ? ' AND ' : ' OR ')})`;
    }
  }
}

function tagsSql(tags: readonly (number | string)[], operator: '@>' | '&&', put: Put): string[] {
  const numbers = tags.filter((tag) => typeof tag === 'number');
  const words = tags.filter((tag) => typeof tag === 'string');
  return [
    ...(numbers.length > 0 ? [`u.tags ${operator} ${put(numbers)}::bigint[]`] : []),
    ...(words.length > 0 ? [`u.labels ${operator} ${put(words)}::text[]`] : []),
  ];
}

/** Segments that a filter names and nobody is in: a misspelt one meets nobody in silence. @throws FilterError */
export async function emptySegments(pool: Pool, connection: string, text: string | undefined): Promise<string[]> {
  const named = text === undefined ? [] : segmentsOf(parseExpression(text));
  const { rows } = await pool.query(
    `SELECT s.id FROM unnest($2::text[]) s(id) WHERE NOT EXISTS (SELECT FROM audience.memberships m
       WHERE m.connection_id = $1 AND m.segment_id = s.id AND m.deleted_at IS NULL) ORDER BY s.id`,
    [connection, [...new Set(named)]],
  );
  return rows.map((row) => row.id);
}

function segmentsOf(one: Expression): string[] {
  if (one.kind === 'segment') return [one.id];
  if (one.kind === 'tag') return [];
  return (one.kind === 'not' ? [one.of] : one.of).flatMap(segmentsOf);
}
