/** Postgres' own parse of a query, as `pg_rewrite.ev_action` has it: nodes with their fields, lists, and words. */
export type Tree = Node | readonly Tree[] | string;

export interface Node {
  kind: string;
  fields: ReadonlyMap<string, Tree>;
}

/** @param text of a pg_node_tree: `({QUERY :commandType 1 … :rtable ({RANGETBLENTRY …}) …})` */
export function parseTree(text: string): Tree {
  const words = text.match(/[(){}]|(?:\\.|[^\s(){}\\])+/gs) ?? [];
  let at = 0;
  const read = (): Tree => {
    const word = words[at++]!;
    if (word === '(') {
      const list: Tree[] = [];
      while (words[at] !== ')') list.push(read());
      at++;
      return list;
    }
    if (word !== '{') return word;
    const kind = words[at++]!;
    const fields = new Map<string, Tree>();
    for (let field = ''; words[at] !== '}'; ) {
      if (words[at]!.startsWith(':')) field = words[at++]!.slice(1);
      else {
        const value = read();
        // A constant has its bytes behind its length.
        if (!fields.has(field)) fields.set(field, value);
      }
    }
    at++;
    return { kind, fields };
  };
  return read();
}

export const isNode = (tree: Tree | undefined): tree is Node =>
  tree !== undefined && typeof tree !== 'string' && 'kind' in tree;

/** A list; none where the field is empty (`<>`). */
export const listOf = (tree: Tree | undefined): readonly Tree[] =>
  tree === undefined || typeof tree === 'string' || isNode(tree) ? [] : tree;

export const nodesOf = (tree: Tree | undefined): Node[] => listOf(tree).filter(isNode);

/** A word as a text; strings stand in quotes, or none where the field is empty. */
export const wordOf = (tree: Tree | undefined): string =>
  typeof tree === 'string' && tree !== '<>' ? tree.replace(/^"|"$/g, '').replace(/\\(.)/g, '$1') : '';

export const numberOf = (tree: Tree | undefined): number => Number(wordOf(tree));
