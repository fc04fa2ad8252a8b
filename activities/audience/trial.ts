import { ruleOf } from '../../connectors/channel.ts';
import { type Found, findPeople } from '../../db/audience/people.ts';
import type { Deps } from '../deps.ts';
import { SyncError } from '../errors.ts';
import { type OpenCampaign, openCampaign } from './begin.ts';
import { render } from './open.ts';
import { openTransport } from './shard.ts';
import type { Transport } from './transport.ts';

export interface TestInput {
  campaign: string;
  /** Ids of users, as a person typed them. */
  users: string[];
}

/** How a test message ended, in the order of the users asked for, each once; codes and reasons only. */
export interface Tested {
  outcome: string;
  code: string | null;
}

/**
 * Sends the campaign's message to named users at once, once each, whatever its filter, throttle and quiet hours say. Nothing is
 * sent before all of them are known. Nothing is written down: the campaign reaches them again. Who unsubscribed gets none.
 */
export async function testSend(deps: Deps, { campaign, users }: TestInput): Promise<Tested[]> {
  const opened = await openCampaign(deps, campaign);
  const { checked, stored } = opened;
  const found = await findPeople(deps.pool, checked.people, users);
  // By their place: what they are called would stand in the history.
  const unknown = users.flatMap((user, index) => (found.has(user) ? [] : [`users.${index}`]));
  if (unknown.length > 0)
    throw new SyncError(
      'InvalidInput',
      `${unknown.join(', ')}: no such user in connection "${checked.people.connection}"; nothing was sent`,
    );
  const transport = await openTransport(deps, opened, 'live');
  const results: Tested[] = [];
  try {
    for (const [index, user] of [...new Set(users)].entries())
      results.push(
        await sendOne(
          transport,
          checked,
          { ...(found.get(user) as Found), user },
          `${stored.id}.test.${Date.now()}.${index}`,
        ),
      );
    return results;
  } catch (error) {
    if (!(error instanceof SyncError)) throw error;
    const left = results.filter(({ outcome }) => !['left out', 'refused'].includes(outcome)).length;
    const before = left === 0 ? 'nothing was sent' : `${left} of the users before were sent to`;
    throw new SyncError(error.type, `${error.message}; ${before}`, { cause: error });
  } finally {
    await transport.close();
  }
}

async function sendOne(
  transport: Transport,
  checked: OpenCampaign['checked'],
  row: Found & { user: string },
  key: string,
): Promise<Tested> {
  if (row.reason !== null) return { outcome: 'left out', code: row.reason };
  const made = render(checked, row);
  if ('reason' in made) return { outcome: 'refused', code: made.reason };
  const sent = await transport.send({ no: 0, user: row.user, address: row.address, key, message: made.message });
  if ('neverLeft' in sent) throw new SyncError('CampaignStopped', sent.neverLeft);
  if ('noAnswer' in sent) return { outcome: 'unknown', code: sent.noAnswer };
  return { outcome: ruleOf(checked.channel, sent.code).class, code: sent.code };
}
