import { writeUnderClaim } from '../../db/claims.ts';
import { type LandRow, land } from '../../db/land.ts';
import type { Pass } from '../../db/passes.ts';
import { openRejects, rejectPlace, setAside, settle } from '../../db/rejects.ts';
import type { Deps } from '../deps.ts';
import { parseJson } from '../http/json.ts';
import type { Call } from '../step.ts';
import { extract, type Faulty } from './extract.ts';
import { overOf } from './key.ts';
import { openStream } from './open.ts';

const recordsAtOnce = 500;

export interface Replayed {
  tried: number;
  landed: number;
}

/** Tries the records that stand aside again, as they came, with the connector as it is: no call to the source. */
export async function replayRejects(deps: Deps, pass: Pass, call: Call): Promise<Replayed> {
  const opened = await openStream(deps, pass.claim.connection, pass.stream);
  const done: Replayed = { tried: 0, landed: 0 };
  let after = '';
  for (;;) {
    const records = await openRejects(deps.pool, pass.claim.connection, pass.stream, after, recordsAtOnce);
    const last = records.at(-1);
    if (last === undefined) return done;
    const rows: LandRow[] = [];
    const faults: Faulty[] = [];
    const settled: string[] = [];
    for (const { id, record, position, seenMs } of records) {
      const origin = { readMs: Math.floor(seenMs), position, over: overOf(opened.stream, id) };
      const made = extract(opened.stream, parseJson(record), origin);
      if ('row' in made) {
        rows.push(made.row);
        // One that had no id stood aside under another name.
        settled.push(made.row.id, id);
      } else faults.push(made.fault.keyed ? made.fault : { ...made.fault, id });
    }
    await writeUnderClaim(deps.pool, pass.claim, { name: 'replay rejects' }, async (client) => {
      await land(client, opened.table, pass.claim.connection, pass.id, rows);
      await settle(client, rejectPlace(pass.claim, pass.stream), settled);
      await setAside(client, pass.claim, pass.stream, faults);
    });
    done.tried += records.length;
    done.landed += rows.length;
    after = last.id;
    call.report({ ...done });
    call.shouldEnd();
  }
}
