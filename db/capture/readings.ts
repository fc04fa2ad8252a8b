import {
  aliasOf,
  Comparisons,
  closure,
  type Equal,
  type Equalities,
  kinds,
  type Named,
  type Outside,
  type Place,
  up,
} from './equals.ts';
import { isNode, listOf, type Node, nodesOf, numberOf, type Tree, wordOf } from './tree.ts';

/** A table in FROM, with what is equal where its rows count. */
export interface Reading {
  oid: number;
  /** Its name in the query. */
  alias: string;
  /** Number of the expression that reads it. */
  expression: number;
  /** Whether rows count only where the column, by number, holds this column of `u`. */
  leads(column: number, ofUser: number): boolean;
  /** What the column is equal to besides, as expressions write it. */
  equals(column: number): string[];
}

const anySublink = 2;

/**
 * Every reading of a table in a view over `u`, by the server's own parse of it. Only conditions that hold for certain
 * count: joined by AND, in WHERE or in ON of a join that drops the row, and comparing columns as they are. Those of a
 * query hold for the queries inside it as well, since its rows alone ask them.
 */
export function readingsOf(view: Tree, equalities: Equalities): Reading[] {
  const found: Reading[] = [];
  const sure = new Comparisons(equalities);
  let places = 0;
  let expression = 0;
  const [root] = nodesOf(view);
  const top: Place = { id: 'u', query: root!, above: null };
  const [user] = sure.leaves(top, root!.fields.get('jointree'), []);
  const targets = nodesOf(root!.fields.get('targetList'));
  for (const target of targets) {
    // The last one is the condition of scope.
    visit(target.fields.get('expr'), top, [], expression === targets.length - 1);
    expression++;
  }
  return found;

  /** @param given what is equal where its rows count, by the queries around it */
  function walk(query: Node, above: Place, given: readonly Equal[], outside: Outside): void {
    const place: Place = { id: `q${places++}`, query, above };
    const from = query.fields.get('jointree');
    const holds = [
      ...given,
      ...sure.handedOut(place, outside),
      ...sure.equalIn(isNode(from) ? from.fields.get('quals') : undefined, place),
      ...sure.always(from, place),
    ];
    const ranges = nodesOf(query.fields.get('rtable'));
    const placed = sure.leaves(place, from, []);
    for (const { index, on } of placed) read(place, index, [...holds, ...on]);
    // Arms of a UNION stand in no FROM.
    for (const [i, range] of ranges.entries())
      if (numberOf(range.fields.get('rtekind')) === kinds.query && !placed.some(({ index }) => index === i + 1))
        walk(range.fields.get('subquery') as Node, place, given, () => null);
    for (const [name, field] of query.fields) visit(field, place, holds, name === 'jointree' || name === 'havingQual');
  }

  function read(place: Place, index: number, holds: readonly Equal[]): void {
    const range = nodesOf(place.query.fields.get('rtable'))[index - 1]!;
    const outside = (column: number) => sure.name(place, index, column);
    const kind = numberOf(range.fields.get('rtekind'));
    if (kind === kinds.table) add(range, outside, holds);
    if (kind === kinds.query) walk(range.fields.get('subquery') as Node, place, holds, outside);
    if (kind !== kinds.common) return;
    const at = up(place, numberOf(range.fields.get('ctelevelsup')));
    const common = nodesOf(at?.query.fields.get('cteList')).find(
      ({ fields }) => wordOf(fields.get('ctename')) === wordOf(range.fields.get('ctename')),
    );
    const query = common?.fields.get('ctequery');
    if (wordOf(range.fields.get('self_reference')) === 'true' || !at || !isNode(query)) return;
    // What a query that reads itself hands out may come of any of its rows.
    const again = wordOf(common!.fields.get('cterecursive')) === 'true';
    walk(query, at, again ? [] : holds, again ? () => null : outside);
  }

  function add(range: Node, outside: Outside, holds: readonly Equal[]): void {
    const reached = (column: number) => {
      const own = outside(column)!;
      const all = new Set<Named>();
      for (const by of new Set(holds.map((one) => one.by)))
        for (const one of closure(
          own,
          holds.filter((equal) => equal.by === by || equal.by === ''),
        ))
          if (one !== own) all.add(one);
      return all;
    };
    found.push({
      oid: numberOf(range.fields.get('relid')),
      alias: aliasOf(range),
      expression,
      leads: (column, ofUser) => reached(column).has(`u ${user?.index} ${ofUser}`),
      equals: (column) => [...reached(column)].flatMap((one) => sure.words.get(one) ?? []),
    });
  }

  /** Queries inside expressions. `condition`: null counts as false there. */
  function visit(tree: Tree | undefined, place: Place, holds: readonly Equal[], condition: boolean): void {
    if (!isNode(tree)) {
      for (const one of listOf(tree)) visit(one, place, holds, condition);
      return;
    }
    const { kind, fields } = tree;
    if (kind === 'QUERY' || kind === 'COMMONTABLEEXPR') return;
    if (kind === 'SUBLINK') {
      visit(fields.get('testexpr'), place, holds, false);
      const param = `p${places++}`;
      // A null among what IN looks through makes null of false: of everybody's.
      const tested = numberOf(fields.get('subLinkType')) === anySublink && condition;
      const tests = tested ? sure.equalIn(fields.get('testexpr'), place, param) : [];
      walk(fields.get('subselect') as Node, place, [...holds, ...tests], (column) => `${param} ${column}`);
      return;
    }
    const keeps =
      kind === 'FROMEXPR' || kind === 'JOINEXPR' || (kind === 'BOOLEXPR' && wordOf(fields.get('boolop')) !== 'not');
    const cases = kind === 'CASEEXPR' && !isNode(fields.get('arg'));
    for (const [name, field] of fields) {
      if (cases && name === 'args')
        for (const one of nodesOf(field)) {
          visit(one.fields.get('expr'), place, holds, true);
          visit(one.fields.get('result'), place, holds, false);
        }
      else visit(field, place, holds, keeps && condition);
    }
  }
}
