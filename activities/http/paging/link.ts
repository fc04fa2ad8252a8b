import type { Paging, Stream } from '../../../connectors/shape.ts';
import { SyncError } from '../../errors.ts';
import { valueAt } from '../values.ts';
import { digestsOf, short } from './keys.ts';
import { proven, type Strategy } from './strategy.ts';
import { cameBefore, goOn, noTrail, type Trail } from './trail.ts';

type ByLink = Extract<Paging, { kind: 'link' }>;

interface Position {
  /** Address of the page to ask for; null = the first. */
  url: string | null;
  page: number;
  links: Trail;
  pages: Trail;
}

/** Address of the next page: the end is its absence, and nothing else (an empty page may have one). */
export function byLink(name: string, stream: Stream, { at, size }: ByLink): Strategy<Position> {
  const digest = digestsOf(stream);
  return {
    start: () => ({ url: null, page: 1, links: noTrail, pages: noTrail }),
    counting: 'nothing',
    isChain: (state) => state.url !== null,
    ask({ url }) {
      if (url !== null) return { params: {}, url };
      return { params: size.param === undefined ? {} : { [size.param]: size.rows } };
    },
    take({ page, links, pages }, { answer, rows }) {
      const seen = digest(rows);
      if (cameBefore(pages, seen))
        throw new SyncError('BadAnswer', `${name}: page ${page} came before: the next link leads back`);
      const told = 'header' in at ? nextLink(answer.headers[at.header]) : valueAt(answer.data, at.path);
      const url = typeof told === 'string' && told !== '' ? told : null;
      const link = url === null ? '' : short(url);
      if (cameBefore(links, link))
        throw new SyncError('BadAnswer', `${name}: the next link does not advance after page ${page}`);
      return {
        state: { url, page: page + 1, links: goOn(links, link), pages: goOn(pages, seen) },
        position: `page ${page}`,
        sign: url === null ? 'no next link' : null,
      };
    },
    judge: () => proven,
  };
}

/** The address with `rel="next"` in a Link header (RFC 8288), which may stand in one line or in several. */
export function nextLink(header: string | string[] | undefined): string | undefined {
  for (const [, url, params] of [header ?? []]
    .flat()
    .join(', ')
    .matchAll(/<([^>]*)>([^<]*)/g))
    if (/;\s*rel\s*=\s*("([^"]*\s)?next(\s[^"]*)?"|next\b)/i.test(params ?? '')) return url;
  return undefined;
}
