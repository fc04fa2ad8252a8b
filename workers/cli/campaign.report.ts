import { loadCampaign } from '../../db/audience/campaigns.ts';
import { listRecipients, reportCampaign } from '../../db/audience/report.ts';
import type { CampaignProgress } from '../../workflows/audience.view.ts';
import { picturesOf, stateOf, upToDate } from './campaign.find.ts';
import { waitOf } from './pending.ts';
import { askProgress } from './runs.ts';
import type { Session } from './session.ts';
import { columns, count } from './words.ts';

interface ReportOptions {
  list?: string;
  limit?: number;
  json?: boolean;
}

/** Who got what: recipients by state and reason, and with `--list unknown` each of a state. */
export async function report(
  session: Session,
  name: string,
  { list, limit = 50, json }: ReportOptions,
): Promise<undefined> {
  const pool = await session.pool();
  const { print } = session.terminal;
  const stored = await loadCampaign(pool, name);
  const { run, state, failure } = await stateOf(session, stored);
  if (!stored.frozen) {
    if (json) print(JSON.stringify({ campaign: name, run: state, failure, states: {}, reasons: {} }));
    else print(`Campaign ${name}: ${state}; its audience is not frozen yet.`);
    if (!json && failure !== null) print(`  ${failure}`);
    return undefined;
  }
  const counts = await reportCampaign(pool, stored.no);
  const listed = list === undefined ? [] : await listRecipients(pool, stored.no, list, limit);
  if (json) {
    print(
      JSON.stringify(
        { campaign: name, run: state, failure, audience: stored.frozen, ...counts, ...(list && { [list]: listed }) },
        null,
        2,
      ),
    );
    return undefined;
  }
  print(`Campaign ${name}: ${state}, ${count(stored.frozen.recipients)} recipients`);
  if (failure !== null) print(`  ${failure}`);
  if (run?.status === 'RUNNING') {
    const progress = await askProgress<CampaignProgress>(await session.client(), run);
    for (const line of progress ? picturesOf(upToDate(progress, counts.states, run)) : []) print(`  ${line}`);
    for (const line of run.pending.map(waitOf)) if (line !== null) print(`  ${line}`);
  }
  for (const line of columns(Object.entries(counts.states).map(([what, n]) => [what, count(n)]))) print(`  ${line}`);
  for (const line of columns(Object.entries(counts.reasons).map(([what, n]) => [what, count(n)]))) print(`    ${line}`);
  for (const line of columns(listed.map((one) => [one.user, one.state, one.reason ?? '', one.at?.toISOString() ?? ''])))
    print(line);
  const all = list === undefined ? 0 : ((counts.states as Record<string, number>)[list] ?? 0);
  if (all > listed.length) print(`${count(all - listed.length)} more; all of them with --limit ${all}`);
  else if (list !== undefined && all === 0) print(`Nobody is ${list}.`);
  const { unknown = 0, refused = 0, failed = 0 } = counts.states;
  if (refused + failed > 0 && list === undefined)
    print(`  ${count(refused + failed)} got nothing for good: another start does not try them again`);
  if (unknown > 0 && list === undefined)
    print(`  ${count(unknown)} may or may not have got it: npx syncline campaign report ${name} --list unknown`);
  return undefined;
}
