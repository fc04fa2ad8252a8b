import { readFile } from 'node:fs/promises';
import { type CheckedCampaign, checkCampaign, readDefinition, render } from '../../activities/audience/catalog.ts';
import { listCampaigns, loadCampaign, type StoredCampaign, saveCampaign } from '../../db/audience/campaigns.ts';
import { countPeople, samplePeople } from '../../db/audience/people.ts';
import { type CampaignState, stateOf } from './campaign.find.ts';
import { checkName, type Session } from './session.ts';
import { CommandError, wrongUse } from './trouble.ts';
import { ago, columns, count, counted, duration } from './words.ts';

/** Stores a campaign's definition after everything it names was found. */
export async function create(session: Session, name: string, file: string): Promise<undefined> {
  checkName(name);
  const pool = await session.pool();
  const text = await readFile(file, 'utf8').catch((cause: NodeJS.ErrnoException) => {
    throw new CommandError(`${file} cannot be read (${cause.code ?? 'no code'})`);
  });
  const definition = await asUse(async () => readDefinition(parse(file, text), name));
  await check(session, name, definition);
  const done = await saveCampaign(pool, name, definition);
  const words = { created: 'Created', changed: 'Changed', same: 'Nothing to change in' };
  session.terminal.print(`${words[done]} campaign ${name}. Look at it with: npx syncline campaign preview ${name}`);
  return undefined;
}

function parse(file: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new CommandError(
      `${file}: got something that is no JSON, accepted a campaign's definition (docs/audience.md)`,
    );
  }
}

async function check(
  session: Session,
  name: string,
  definition: ReturnType<typeof readDefinition>,
): Promise<CheckedCampaign> {
  const source = await session.connection(definition.audience.connection);
  const account = await session.connection(definition.channel);
  return asUse(async () => checkCampaign(name, definition, source, account));
}

/** What is wrong with a definition was typed by a person. */
async function asUse<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const { name, message } = error as Error;
    if (['SyncError', 'FilterError', 'ChannelUnknown'].includes(name)) throw wrongUse(message);
    throw error;
  }
}

/** Campaigns shown, and asked of Temporal eight at once. */
const listed = 50;
const together = 8;

/** Campaigns, the newest first. */
export async function list(session: Session, { json }: { json?: boolean }): Promise<undefined> {
  const found = await listCampaigns(await session.pool(), listed);
  const { print } = session.terminal;
  const states: CampaignState[] = [];
  for (let i = 0; i < found.length; i += together)
    states.push(...(await Promise.all(found.slice(i, i + together).map((one) => stateOf(session, one)))));
  const rows = found.map((one, i) => ({ ...one, run: states[i]?.state, failure: states[i]?.failure ?? null }));
  if (json) print(JSON.stringify(rows, null, 2));
  else if (rows.length === 0) print('No campaigns yet. Make one with: npx syncline campaign create NAME FILE');
  else for (const line of columns(rows.map(row))) print(line);
  return undefined;
}

function row({
  id,
  connection,
  channel,
  createdAt,
  frozenAt,
  frozen,
  run,
}: StoredCampaign & { run?: string }): string[] {
  const people =
    frozenAt && frozen
      ? `${counted(frozen.recipients, 'recipient')}, frozen ${ago(frozenAt)}`
      : `not frozen, made ${ago(createdAt)}`;
  return [id, `${connection} by ${channel}`, run ?? '', people];
}

interface PreviewOptions {
  samples?: number;
  json?: boolean;
}

/** Who, how many, who is left out and why, some messages as they would leave, and how long it takes. Writes and sends nothing. */
export async function preview(
  session: Session,
  name: string,
  { samples = 3, json }: PreviewOptions,
): Promise<undefined> {
  const pool = await session.pool();
  const stored = await loadCampaign(pool, name);
  const definition = await asUse(async () => readDefinition(stored.definition, name));
  const checked = await check(session, name, definition);
  const account = await session.connection(definition.channel);
  const counts = await countPeople(pool, checked.people);
  const shown = await samplePeople(pool, checked.people, samples);
  const messages = shown.map((one) => ({ user: one.user, ...render(checked, one) }));
  const rates = [account.options.requestsPerSecond, definition.throttle].filter(
    (one): one is number => typeof one === 'number',
  );
  const perSecond = rates.length > 0 ? Math.min(...rates) : null;
  const seconds = perSecond === null ? null : Math.ceil(counts.recipients / perSecond);
  const { print } = session.terminal;
  if (json) {
    print(
      JSON.stringify(
        { campaign: name, frozen: stored.frozen, ...counts, perSecond, seconds, samples: messages },
        null,
        2,
      ),
    );
    return undefined;
  }
  print(
    `${counted(counts.recipients, 'recipient')}${counts.records === null ? '' : `, drawn from ${counted(counts.records, 'order record')}`}`,
  );
  for (const [reason, n] of Object.entries(counts.skipped)) print(`  left out: ${count(n)} ${reason}`);
  if (stored.frozen)
    print(
      `Frozen already: ${counted(stored.frozen.recipients, 'recipient')}. What stands above is who would be chosen now.`,
    );
  print(
    seconds === null
      ? 'No limit is set: as fast as the receiver takes it.'
      : `About ${duration(seconds * 1_000)} at ${perSecond} a second.`,
  );
  for (const { user, ...made } of messages)
    print('reason' in made ? `${user}: refused: ${made.reason}` : `${user}: ${JSON.stringify(made.message)}`);
  if (counts.recipients > 0)
    print(`Next: npx syncline campaign test ${name} --users ID, then npx syncline campaign start ${name}`);
  return undefined;
}
