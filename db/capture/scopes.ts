import type { ReadTable } from './tables.ts';

/** A SELECT inside the expressions, by the server's own text of them. */
export interface Scope {
  /** All of it, with the queries inside. */
  text: string;
  /** Its own part, without them. */
  own: string;
}

/** A column as expressions name it, `alias.column`. */
export type Named = string;

/** The nested queries of a view's text. Texts in it are emptied, so that no parenthesis of theirs counts. */
export function scopesOf(view: string): Scope[] {
  const text = plain(view);
  const scopes: Scope[] = [];
  // Places of open parentheses, and whether a query begins there.
  const open: { at: number; own: string | null }[] = [];
  for (let i = 0; i < text.length; i++) {
    if (text[i] === '(') open.push({ at: i, own: /^\( ?(SELECT|WITH) /.test(text.slice(i, i + 10)) ? '' : null });
    const scope = open.findLast(({ own }) => own !== null);
    if (scope) scope.own = (scope.own ?? '') + text[i];
    if (text[i] !== ')') continue;
    const closed = open.pop();
    if (closed && closed.own !== null) scopes.push({ text: text.slice(closed.at, i + 1), own: closed.own });
  }
  return scopes;
}

/** One line without texts; a value that may be one of several columns is written as what the server makes of it: one or the other. */
export function plain(view: string): string {
  return view
    .replace(/'(?:[^']|'')*'/g, "''")
    .replace(/\s+/g, ' ')
    .replace(/(\w+\.\w+) = ANY \(ARRAY\[([^\]]+)\]\)/g, (_, one: string, list: string) =>
      list
        .split(', ')
        .map((other) => `(${one} = ${other})`)
        .join(' OR '),
    );
}

/** Names under which a query reads a table; without one the table's own. */
export function aliasesOf(text: string, { name }: Pick<ReadTable, 'name'>): string[] {
  const [schema = '', table = ''] = name.split('.').map((part) => part.replace(/\$/g, '\\$'));
  const found = text.matchAll(new RegExp(`(?:FROM|JOIN|,) \\(*(?:${schema}\\.)?${table}(?![.\\w$])(?: (\\w+))?`, 'g'));
  return [...found].map(([, alias]) => (alias && alias === alias.toLowerCase() ? alias : name.split('.')[1]!));
}

/** Two columns that are compared, and whether that is one of several conditions of which any suffices. */
export interface Pair {
  of: readonly [Named, Named];
  any: boolean;
}

export function pairsOf(text: string): Pair[] {
  const found = text.matchAll(/( OR \(*)?\b(\w+\.\w+)(?:::[\w ]+)?\)* = \(*(\w+\.\w+)(?:\)*::[\w ]+)?(?=(\)* OR )?)/g);
  return [...found].map(([, before, a, b, after]) => ({ of: [a!, b!], any: Boolean(before ?? after) }));
}

/** Everything that is equal to one of these, along all comparisons. */
export function reached(begin: readonly Named[], pairs: readonly Pair[]): Set<Named> {
  const found = new Set(begin);
  for (let size = -1; size !== found.size; ) {
    size = found.size;
    for (const { of } of pairs) if (of.some((one) => found.has(one))) for (const one of of) found.add(one);
  }
  return found;
}
