import type { CustomNext, Paging, Stream } from '../../../connectors/shape.ts';
import { SyncError } from '../../errors.ts';
import { digestsOf, short } from './keys.ts';
import { proven, type Strategy } from './strategy.ts';
import { cameBefore, goOn, noTrail, type Trail } from './trail.ts';

type ByOwnSteps = Extract<Paging, { kind: 'custom' }>;

interface Position {
  next: CustomNext;
  page: number;
  steps: Trail;
  pages: Trail;
}

/** The connector's own function says what to ask next. */
export function byOwnSteps(name: string, stream: Stream, { size, step }: ByOwnSteps): Strategy<Position> {
  const digest = digestsOf(stream);
  return {
    start() {
      const next = step(null);
      return next && { next, page: 1, steps: goOn(noTrail, linkOf(next)), pages: noTrail };
    },
    counting: 'nothing',
    ask: ({ next }) => ({
      params: { ...(size.param !== undefined && { [size.param]: size.rows }), ...next.params },
    }),
    take({ next: asked, page, steps, pages }, { answer, rows }) {
      const seen = digest(rows);
      if (cameBefore(pages, seen))
        throw new SyncError(
          'BadAnswer',
          `${name}: page ${page} came before: the platform ignores what the connector asks`,
        );
      const next = step({ data: answer.data, rows: rows.length, state: asked.state });
      const link = next === null ? '' : linkOf(next);
      if (cameBefore(steps, link))
        throw new SyncError(
          'BadAnswer',
          `${name}: the connector asks for page ${page} again: its "step" does not advance`,
        );
      return {
        state: { next: next ?? asked, page: page + 1, steps: goOn(steps, link), pages: goOn(pages, seen) },
        position: `page ${page}`,
        sign: next === null ? 'the connector says so' : null,
      };
    },
    judge: () => proven,
  };
}

function linkOf({ params, state }: CustomNext): string {
  return short(JSON.stringify([params, state]));
}
