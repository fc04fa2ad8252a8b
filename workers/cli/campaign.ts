import { readFile } from 'node:fs/promises';
import {
  type CheckedCampaign,
  channels,
  checkCampaign,
  databasePlatform,
  readDefinition,
} from '../../activities/audience/catalog.ts';
import { listCampaigns, type StoredCampaign, saveCampaign } from '../../db/audience/campaigns.ts';
import { ConnectionUnknown } from '../../db/connections.ts';
import { type CampaignState, stateOf } from './campaign.find.ts';
import { checkName, type Session } from './session.ts';
import { CommandError, wrongUse } from './trouble.ts';
import { ago, columns, counted } from './words.ts';

/** Stores a campaign's definition after everything it names was found. */
export async function create(session: Session, name: string, file: string): Promise<undefined> {
  checkName(name, 'campaign');
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

/** @throws CommandError (usage) for what the definition names and is not there */
export async function check(
  session: Session,
  name: string,
  definition: ReturnType<typeof readDefinition>,
): Promise<CheckedCampaign> {
  const source = await session.connection(definition.audience.connection).catch(instead([databasePlatform]));
  const account = await session.connection(definition.channel).catch(instead(Object.keys(channels)));
  return asUse(async () => checkCampaign(name, definition, source, account));
}

/** Proposes a platform that fits this part of the definition, not a directory. */
function instead(platforms: readonly string[]) {
  return (error: unknown): never => {
    if (!(error instanceof ConnectionUnknown)) throw error;
    const [first = '', ...others] = platforms;
    const more = others.length > 0 ? ` (or --platform ${others.join(', ')})` : '';
    throw new ConnectionUnknown(`${error.of(first).message}${more}`);
  };
}

/** What is wrong with a definition was typed by a person. */
export async function asUse<T>(work: () => Promise<T>): Promise<T> {
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
