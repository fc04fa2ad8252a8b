import { type Foreseen, foresee, readDefinition, render } from '../../activities/audience/catalog.ts';
import { loadCampaign } from '../../db/audience/campaigns.ts';
import { countPeople, samplePeople } from '../../db/audience/people.ts';
import { reportCampaign } from '../../db/audience/report.ts';
import { isOver } from './campaign.find.ts';
import { asUse, check } from './campaign.ts';
import type { Session } from './session.ts';
import { count, counted, duration } from './words.ts';

interface PreviewOptions {
  samples?: number;
  json?: boolean;
}

/** Recipients whose messages are made and checked, whatever `--samples` shows of them. */
const tried = 200;

/**
 * Who, how many, who is left out or refused and why, some messages as they would leave, and how long it takes. Writes and
 * sends nothing. @returns 1 when a start would fail
 */
export async function preview(session: Session, name: string, { samples = 3, json }: PreviewOptions): Promise<number> {
  const pool = await session.pool();
  const stored = await loadCampaign(pool, name);
  const definition = await asUse(async () => readDefinition(stored.definition, name));
  const checked = await check(session, name, definition);
  const account = { ...(await session.connection(definition.channel)), credential: null };
  const counts = await countPeople(pool, checked.people);
  const ahead = await foresee(pool, { stored, checked, account }, counts.recipients);
  const { warnings } = ahead;
  const over = stored.frozen !== null && isOver((await reportCampaign(pool, stored.no)).states);
  const fails = over ? 'everybody of its frozen audience has an outcome' : ahead.fails;
  const found = await samplePeople(pool, checked.people, Math.max(tried, samples));
  const made = found.map((one) => ({ user: one.user, ...render(checked, one) }));
  const messages = made.slice(0, samples);
  const refused = made.flatMap((one) => ('reason' in one ? [one.reason] : []));
  if (refused.length > 0) warnings.push(shareOf(refused, made.length));
  const exitCode = fails === null ? 0 : 1;
  const { print } = session.terminal;
  if (json) {
    const told = { campaign: name, frozen: stored.frozen, ...counts, ...ahead, fails, samples: messages };
    print(JSON.stringify(told, null, 2));
    return exitCode;
  }
  const { recipients, records } = counts;
  print(
    `${counted(recipients, 'recipient')}${records === null ? '' : `, drawn from ${counted(records, 'order record')}`}`,
  );
  for (const [reason, n] of Object.entries(counts.skipped)) print(`  left out: ${count(n)} ${reason}`);
  for (const line of warnings) print(`  ${line}`);
  if (stored.frozen)
    print(
      `Frozen already: ${counted(stored.frozen.recipients, 'recipient')}. What stands above is who would be chosen now.`,
    );
  print(howLong(ahead));
  for (const { user, ...made } of messages)
    print('reason' in made ? `${user}: refused: ${made.reason}` : `${user}: ${JSON.stringify(made.message)}`);
  const nobody = made.length > 0 && refused.length === made.length;
  print(nextOf(name, fails, { nobody, stands: over || (nobody && stored.frozen !== null) }));
  return exitCode;
}

/** `stands`: what is wrong is frozen, and only another campaign can have it otherwise. */
function nextOf(name: string, fails: string | null, { nobody, stands }: { nobody: boolean; stands: boolean }): string {
  const correct = stands
    ? 'Make another campaign: npx syncline campaign create NAME FILE'
    : `Correct it with: npx syncline campaign create ${name} FILE`;
  if (fails !== null) return `A start would fail: ${fails}. ${correct}`;
  if (nobody) return `No message could be made for any of those who were tried: do not start it like this. ${correct}`;
  return `Next: npx syncline campaign test ${name} --users ID, then npx syncline campaign start ${name}`;
}

/** The first recipients stand for all: the check of a channel is no SQL. */
function shareOf(refused: readonly string[], all: number): string {
  const counts = new Map<string, number>();
  for (const reason of refused) counts.set(reason, (counts.get(reason) ?? 0) + 1);
  const reasons = [...counts].map(([reason, n]) => `${count(n)} ${reason}`);
  return `of the first ${count(all)} recipients ${count(refused.length)} would be refused before anything leaves: ${reasons.join(', ')}`;
}

function howLong({ perSecond, assumed, seconds, ends }: Foreseen): string {
  const lasts = `About ${duration(seconds * 1_000)}`;
  const pace =
    assumed === null
      ? `${lasts} at ${perSecond} a second`
      : `${lasts} if an answer takes ${assumed.answerMs} ms, with ${assumed.inFlight} messages on their way at once: no limit is set, so it is the receiver's answers that decide`;
  return ends === null ? `${pace}.` : `${pace}. With the quiet hours between, until ${ends}.`;
}
