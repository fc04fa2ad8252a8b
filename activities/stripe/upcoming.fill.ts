import type { Resource } from '../../connectors/stripe/catalog.ts';
import { resourceOf } from '../../connectors/stripe/catalog.ts';
import type { Pass } from '../../db/passes.ts';
import { readSliceState, undone } from '../../db/slices.ts';
import { livingIds } from '../../db/stripe/objects.ts';
import type { Deps } from '../deps.ts';
import type { Call } from '../step.ts';
import { putAside } from './aside.ts';
import type { OpenStripe } from './open.ts';
import type { Segment } from './segments.ts';
import { tableOf } from './tables.ts';
import { billedStates, previewOf, upcoming } from './upcoming.ts';
import type { PassWriter } from './writer.pass.ts';
import { addRows, noRows } from './writer.ts';

/** Subscriptions taken from Postgres at once; their previews land together. */
const atOnce = 100;
const billed = `status IN (${billedStates.map((state) => `'${state}'`).join(', ')})`;

/** Asks for the next invoice of every subscription that has one, in the order of their ids. @returns whether that was all */
export async function fillUpcoming(
  deps: Deps,
  opened: OpenStripe,
  pass: Pass,
  writer: PassWriter,
  call: Call,
): Promise<boolean> {
  const [no] = await undone(deps.pool, pass.id, 1);
  const state = no === undefined ? null : await readSliceState(deps.pool, pass.id, no);
  if (!state) return true;
  const segment: Segment = { state, busy: true, pageMs: null, committed: state.pages };
  const table = tableOf(resourceOf('subscriptions') as Resource);
  const connection = pass.claim.connection;
  for (;;) {
    if (call.shouldEnd()) return false;
    const after = (segment.state.cursor as { after: string } | null)?.after ?? '';
    const ids = await livingIds(deps.pool, table, connection, after, atOnce, billed);
    const found = noRows(upcoming);
    const left = [...ids];
    const lane = async () => {
      for (let id = left.shift(); id !== undefined; id = left.shift()) {
        const preview = await previewOf(opened, id, null, call.signal).catch((error: unknown) => {
          if (!putAside(found.faults, upcoming, id, error)) throw error;
          return { unread: true };
        });
        // One that has none stands in no row yet, or is swept with the reading.
        if ('found' in preview) addRows(found, preview.found);
      }
    };
    await Promise.all(Array.from({ length: opened.options.parallel }, lane));
    const done = ids.length < atOnce;
    segment.state = {
      ...segment.state,
      cursor: done ? null : { after: ids.at(-1) },
      done,
      pages: segment.state.pages + 1,
      rows: segment.state.rows + ids.length,
      requests: segment.state.requests + ids.length,
    };
    await writer.add(found, segment);
    call.report({ rows: writer.rows, requests: segment.state.requests });
    if (done) return true;
  }
}
