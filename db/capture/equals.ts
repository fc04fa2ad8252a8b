import { isNode, listOf, type Node, nodesOf, numberOf, type Tree, wordOf } from './tree.ts';

/** A column of one reading of a table: `query reading column`, by numbers. */
export type Named = string;

/** Two columns that are equal in every row that counts. */
export interface Equal {
  of: readonly [Named, Named];
  /** Operator family, within which equality carries over; empty: the same value. */
  by: string;
}

/** Operators of Postgres whose equality is an equality of values. */
export interface Equalities {
  /** Operator family by the operator's oid. */
  families: ReadonlyMap<string, string>;
  /** Collations under which different texts are equal. */
  loose: ReadonlySet<string>;
}

/** A query with those around it, to which its columns may refer. */
export interface Place {
  id: string;
  query: Node;
  above: Place | null;
}

/** What a column of a query inside is called outside. */
export type Outside = (column: number) => Named | null;

/** `JoinType` and `RTEKind` of the server. */
const joins = { inner: 0, left: 1, right: 3 };
export const kinds = { table: 0, query: 1, join: 2, common: 6, group: 9 };

/** What the conditions of queries say for certain: joined by AND, and comparing columns as they are. */
export class Comparisons {
  /** Columns as expressions write them. */
  readonly words = new Map<Named, string>();
  private readonly equalities: Equalities;

  constructor(equalities: Equalities) {
    this.equalities = equalities;
  }

  /** Columns of a query that are columns of its readings, so that what is asked of them outside is asked of these. */
  handedOut(place: Place, outside: Outside): Equal[] {
    const { fields } = place.query;
    const has = (field: string) => fields.get(field) !== '<>' && fields.get(field) !== 'false';
    if (['limitCount', 'limitOffset', 'hasWindowFuncs', 'setOperations', 'groupingSets', 'hasTargetSRFs'].some(has))
      return [];
    return nodesOf(fields.get('targetList')).flatMap(({ fields: target }) => {
      const from = outside(numberOf(target.get('resno')));
      const to = this.named(target.get('expr'), place);
      if (from === null || to === null || wordOf(target.get('resjunk')) === 'true') return [];
      const group = wordOf(target.get('ressortgroupref'));
      const lists = ['groupClause', 'distinctClause']
        .map((field) => nodesOf(fields.get(field)))
        .filter((one) => one.length > 0);
      // Of a group one row speaks for all that are equal to it.
      const by = lists.map((list) => {
        const own = group !== '0' && list.find((one) => wordOf(one.fields.get('tleSortGroupRef')) === group);
        return own ? this.equalities.families.get(wordOf(own.fields.get('eqop'))) : undefined;
      });
      if (by.includes(undefined) || new Set(by).size > 1) return [];
      return [{ of: [from, to] as const, by: by[0] ?? '' }];
    });
  }

  /** What is equal in each row that comes out of a FROM. */
  always(tree: Tree | undefined, place: Place): Equal[] {
    if (!isNode(tree)) return [];
    const { kind, fields } = tree;
    if (kind === 'FROMEXPR') return nodesOf(fields.get('fromlist')).flatMap((one) => this.always(one, place));
    if (kind !== 'JOINEXPR') return [];
    const type = numberOf(fields.get('jointype'));
    return [
      ...(type === joins.inner ? this.equalIn(fields.get('quals'), place) : []),
      ...(type === joins.inner || type === joins.left ? this.always(fields.get('larg'), place) : []),
      ...(type === joins.inner || type === joins.right ? this.always(fields.get('rarg'), place) : []),
    ];
  }

  /** What a FROM reads, with what is equal where a row of it is joined: on the side that a join fills up, or on both. */
  leaves(place: Place, tree: Tree | undefined, on: readonly Equal[]): { index: number; on: readonly Equal[] }[] {
    if (!isNode(tree)) return [];
    const { kind, fields } = tree;
    if (kind === 'RANGETBLREF') return [{ index: numberOf(fields.get('rtindex')), on }];
    if (kind === 'FROMEXPR') return nodesOf(fields.get('fromlist')).flatMap((one) => this.leaves(place, one, on));
    const type = numberOf(fields.get('jointype'));
    const [larg, rarg] = [fields.get('larg'), fields.get('rarg')];
    const joined = this.equalIn(fields.get('quals'), place);
    return [
      ...this.leaves(
        place,
        larg,
        type === joins.inner || type === joins.right ? [...on, ...joined, ...this.always(rarg, place)] : on,
      ),
      ...this.leaves(
        place,
        rarg,
        type === joins.inner || type === joins.left ? [...on, ...joined, ...this.always(larg, place)] : on,
      ),
    ];
  }

  /** What a condition says. @param param name of what IN looks through */
  equalIn(tree: Tree | undefined, place: Place, param = ''): Equal[] {
    if (!isNode(tree)) return [];
    const { kind, fields } = tree;
    const args = nodesOf(fields.get('args'));
    if (kind === 'BOOLEXPR' && wordOf(fields.get('boolop')) === 'and')
      return args.flatMap((one) => this.equalIn(one, place, param));
    const family = kind === 'OPEXPR' ? this.equalities.families.get(wordOf(fields.get('opno'))) : undefined;
    if (family === undefined) return [];
    const collation = wordOf(fields.get('inputcollid'));
    const loose = this.equalities.loose.has(collation);
    // Elsewhere the two would be compared byte by byte.
    if (loose && !args.every((one) => collationOf(one) === collation)) return [];
    const [a, b] = args.map((one) => this.named(one, place, param));
    return a && b ? [{ of: [a, b], by: loose ? `${family} ${collation}` : family }] : [];
  }

  named(tree: Tree | undefined, place: Place, param = ''): Named | null {
    if (!isNode(tree)) return null;
    const { kind, fields } = tree;
    // The same bytes under another type.
    if (kind === 'RELABELTYPE') return this.named(fields.get('arg'), place, param);
    if (kind === 'PARAM' && param) return `${param} ${numberOf(fields.get('paramid'))}`;
    if (kind !== 'VAR') return null;
    const at = up(place, numberOf(fields.get('varlevelsup')));
    if (!at) return null;
    const [index, column] = [numberOf(fields.get('varno')), numberOf(fields.get('varattno'))];
    const range = nodesOf(at.query.fields.get('rtable'))[index - 1];
    const rangeKind = numberOf(range?.fields.get('rtekind'));
    if (rangeKind === kinds.join) return this.named(listOf(range?.fields.get('joinaliasvars'))[column - 1], at);
    if (rangeKind === kinds.group) return this.named(listOf(range?.fields.get('groupexprs'))[column - 1], at);
    return this.name(at, index, column);
  }

  name(place: Place, index: number, column: number): Named {
    const one = `${place.id} ${index} ${column}`;
    const range = nodesOf(place.query.fields.get('rtable'))[index - 1];
    const eref = range?.fields.get('eref');
    const columns = isNode(eref) ? listOf(eref.fields.get('colnames')) : [];
    if (range) this.words.set(one, `${aliasOf(range)}.${wordOf(columns[column - 1])}`);
    return one;
  }
}

export const up = (place: Place, levels: number): Place | null =>
  levels === 0 ? place : place.above && up(place.above, levels - 1);

const collationOf = ({ fields }: Node) =>
  wordOf(fields.get('varcollid') ?? fields.get('paramcollid') ?? fields.get('resultcollid'));

export function aliasOf({ fields }: Node): string {
  const eref = fields.get('eref');
  return isNode(eref) ? wordOf(eref.fields.get('aliasname')) : '';
}

/** Everything that is equal to a column, along all comparisons. */
export function closure(begin: Named, equals: readonly Equal[]): Set<Named> {
  const found = new Set([begin]);
  for (let size = -1; size !== found.size; ) {
    size = found.size;
    for (const { of } of equals) if (of.some((one) => found.has(one))) for (const one of of) found.add(one);
  }
  return found;
}
