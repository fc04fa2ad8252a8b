/**
 * The language of audiences: `1 AND (11 OR vip) AND NOT 21 AND segment:gold`. A number is a number tag, a word or a text in
 * double quotes is a word tag, `segment:` names a segment by id. NOT binds closest, then AND, then OR; words of the language
 * are in capitals. A tag matches itself alone: 1 is not part of 11.
 */
export type Expression =
  | { kind: 'tag'; tag: number | string }
  | { kind: 'segment'; id: string }
  | { kind: 'not'; of: Expression }
  | { kind: 'and' | 'or'; of: Expression[] };

/** The text is no expression; the message has the place, what came and what is accepted. */
export class FilterError extends Error {
  override name = 'FilterError';
}

interface Token {
  kind: '(' | ')' | 'AND' | 'OR' | 'NOT' | 'leaf' | 'end';
  at: number;
  text: string;
  leaf?: Expression;
}

const longest = 10_000;
/** Parentheses in parentheses: a person nests a handful. */
const deepest = 50;
const pattern = /\s*(?:([()])|(segment:)?(?:"((?:[^"\\]|\\.)*)"|([^\s()"]+))|$)/y;
const word = /^[\p{L}\p{N}_][\p{L}\p{N}_.:/-]*$/u;

/** An empty text is refused: a variable of a script that is not set must not mean everybody. @throws FilterError */
export function parseExpression(text: string): Expression {
  if (text.trim() === '')
    throw new FilterError(
      'filter: got an empty text, accepted a filter such as "1 AND vip"; for everybody leave it out',
    );
  if (text.length > longest)
    throw new FilterError(`filter: got ${text.length} characters, accepted at most ${longest}`);
  const tokens = tokenize(text);
  let next = 0;
  const peek = () => tokens[next] as Token;
  const take = () => tokens[next++] as Token;

  const joined =
    (kind: 'and' | 'or', part: (depth: number) => Expression) =>
    (depth: number): Expression => {
      const of = [part(depth)];
      while (peek().kind === (kind === 'and' ? 'AND' : 'OR')) {
        take();
        of.push(part(depth));
      }
      return of.length === 1 ? (of[0] as Expression) : { kind, of };
    };
  const unary = (depth: number): Expression => {
    if (depth > deepest) throw new FilterError(`filter: got more than ${deepest} levels, accepted fewer`);
    const token = take();
    if (token.kind === 'NOT') return { kind: 'not', of: unary(depth + 1) };
    if (token.leaf) return token.leaf;
    if (token.kind !== '(') throw wrong(token, 'a tag, segment:ID, NOT or (');
    const inner = either(depth + 1);
    const close = take();
    if (close.kind !== ')') throw wrong(close, 'AND, OR or )');
    return inner;
  };
  const either = joined('or', joined('and', unary));
  const found = either(0);
  if (peek().kind !== 'end') throw wrong(peek(), 'AND, OR or the end');
  return found;
}

function tokenize(text: string): Token[] {
  const tokens: Token[] = [];
  pattern.lastIndex = 0;
  while (pattern.lastIndex < text.length) {
    const from = pattern.lastIndex;
    const found = pattern.exec(text);
    if (!found) throw new FilterError(`filter, character ${from + 1}: got a " without its end, accepted "a tag"`);
    const [all, bracket, segment, quoted, bare] = found;
    const at = from + all.length - all.trimStart().length;
    if (bracket) tokens.push({ kind: bracket as '(' | ')', at, text: bracket });
    else if (quoted !== undefined || bare !== undefined) tokens.push(leafOf(at, segment, quoted, bare));
  }
  return [...tokens, { kind: 'end', at: text.length, text: 'the end' }];
}

function leafOf(at: number, segment: string | undefined, quoted: string | undefined, bare: string | undefined): Token {
  const text = quoted === undefined ? (bare as string) : quoted.replace(/\\(.)/gs, '$1');
  const shown = `${segment ?? ''}${text}`;
  if (!segment && bare && /^(AND|OR|NOT)$/.test(bare)) return { kind: bare as 'AND', at, text: bare };
  if (segment) return { kind: 'leaf', at, text: shown, leaf: { kind: 'segment', id: text } };
  if (bare && /^-?\d+$/.test(bare)) {
    const tag = Number(bare);
    if (Number.isSafeInteger(tag)) return { kind: 'leaf', at, text: shown, leaf: { kind: 'tag', tag } };
    throw wrong({ at, text: shown }, 'a number tag of at most 15 digits');
  }
  // A lower-case `and` would be taken for a tag, and the person would wonder.
  if (bare && (/^(and|or|not)$/i.test(bare) || !word.test(bare)))
    throw wrong(
      { at, text: shown },
      /^(and|or|not)$/i.test(bare) ? `${bare.toUpperCase()} in capitals, or "${bare}"` : 'a word tag in double quotes',
    );
  return { kind: 'leaf', at, text: shown, leaf: { kind: 'tag', tag: text } };
}

function wrong({ at, text }: Pick<Token, 'at' | 'text'>, accepted: string): FilterError {
  return new FilterError(`filter, character ${at + 1}: got ${text.slice(0, 40)}, accepted ${accepted}`);
}
