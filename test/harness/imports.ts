import { parseAst } from 'vitest/node';

/** What a source file reaches for, read from its syntax tree. */
export interface Reach {
  imports: {
    from: string /** Only types: nothing of it is left when the program runs. */;
    typeOnly: boolean;
    line: number;
  }[];
  /** Lines that read the environment. */
  environment: number[];
  /** Lines that send SQL: `.query(…)` on a pool or client, or with a text that begins like SQL. */
  queries: number[];
  /** Lines that call the global fetch. */
  fetches: number[];
}

interface Node {
  type: string;
  start: number;
  [key: string]: unknown;
}

/** Parses a TypeScript file: imports of every kind, `process.env` in every spelling, queries. @throws SyntaxError */
export function reachOf(source: string): Reach {
  const reach: Reach = { imports: [], environment: [], queries: [], fetches: [] };
  walk(parseAst(source, { lang: 'ts' }) as unknown as Node, (node) => {
    const line = source.slice(0, node.start).split('\n').length;
    const from = moduleOf(node);
    if (from !== undefined) reach.imports.push({ from, typeOnly: isTypeOnly(node), line });
    if (readsEnvironment(node)) reach.environment.push(line);
    if (node.type !== 'CallExpression') return;
    if (sendsSql(node)) reach.queries.push(line);
    if (nameOf(node.callee) === 'fetch') reach.fetches.push(line);
  });
  return reach;
}

/** The module a node names; `(computed)` where only the running program knows. */
function moduleOf(node: Node): string | undefined {
  const isRequire = node.type === 'CallExpression' && nameOf(node.callee) === 'require';
  const source = isRequire ? (node.arguments as Node[])[0] : (node.source as Node | null | undefined);
  const named = [
    'ImportDeclaration',
    'ExportNamedDeclaration',
    'ExportAllDeclaration',
    'ImportExpression',
    'TSImportType',
  ];
  if (!isRequire && (!named.includes(node.type) || !source)) return undefined;
  return typeof source?.value === 'string' ? source.value : '(computed)';
}

function isTypeOnly(node: Node): boolean {
  if (node.type === 'TSImportType' || node.importKind === 'type' || node.exportKind === 'type') return true;
  const specifiers = (node.specifiers ?? []) as Node[];
  return specifiers.length > 0 && specifiers.every((s) => s.importKind === 'type' || s.exportKind === 'type');
}

function readsEnvironment(node: Node): boolean {
  if (node.type === 'MemberExpression') {
    const property = nameOf(node.property) ?? (node.property as Node).value;
    return property === 'env' && nameOf(node.object) === 'process';
  }
  if (node.type === 'VariableDeclarator')
    return nameOf(node.init) === 'process' && (node.id as Node).type === 'ObjectPattern';
  if (node.type !== 'ImportDeclaration' || !/^(node:)?process$/.test((node.source as Node).value as string))
    return false;
  // The whole object under another name, or `env` itself.
  return ((node.specifiers ?? []) as Node[]).some((s) => s.type !== 'ImportSpecifier' || nameOf(s.imported) === 'env');
}

/** Other things have queries too (a directory, an address): the receiver's name or the text tells. */
function sendsSql(call: Node): boolean {
  const callee = call.callee as Node;
  if (callee.type !== 'MemberExpression' || nameOf(callee.property) !== 'query') return false;
  const object = callee.object as Node;
  const receiver = nameOf(object) ?? nameOf(object.property) ?? '';
  const [first] = call.arguments as Node[];
  const quasi = (first?.quasis as { value: { raw: string } }[] | undefined)?.[0]?.value.raw;
  const text = typeof first?.value === 'string' ? first.value : (quasi ?? '');
  return (
    /^(pool|client|db|tx|pg|postgres|connection)$/i.test(receiver) ||
    /^\s*(SELECT|INSERT|UPDATE|DELETE|WITH|SET|BEGIN|COPY|CREATE|DROP|ALTER|TRUNCATE|LISTEN|NOTIFY)\b/i.test(text)
  );
}

function nameOf(node: unknown): string | undefined {
  const { type, name } = (node ?? {}) as { type?: string; name?: string };
  return type === 'Identifier' ? name : undefined;
}

function walk(node: Node, visit: (node: Node) => void): void {
  visit(node);
  for (const value of Object.values(node)) {
    for (const child of Array.isArray(value) ? value : [value])
      if (typeof (child as Node | null)?.type === 'string') walk(child as Node, visit);
  }
}
