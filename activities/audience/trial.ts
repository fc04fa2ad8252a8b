import { ruleOf } from '../../connectors/channel.ts';
import { settleGrant, takeGrant } from '../../db/audience/grants.ts';
import { type Found, findPeople } from '../../db/audience/people.ts';
import type { Deps } from '../deps.ts';
import { SyncError } from '../errors.ts';
import { type OpenCampaign, openCampaign } from './begin.ts';
import { render } from './open.ts';
import { named, openTransport } from './shard.ts';
import type { Envelope, Transport } from './transport.ts';

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
 * Sends the campaign's message to named users at once, once each, whatever its filter, throttle and quiet hours say; with the
 * orders that they have, where the audience is drawn from orders. Nothing is sent before all of them are known. Nothing is written down but the grant that a message used: the campaign reaches them
 * again. Who unsubscribed gets none.
 */
export async function testSend(deps: Deps, { campaign, users }: TestInput): Promise<Tested[]> {
  const opened = await openCampaign(deps, campaign);
  const { people } = opened.checked;
  const found = await findPeople(deps.pool, people, users);
  // By their place: what they are called would stand in the history.
  const unknown = users.flatMap((user, index) => (found.has(user) ? [] : [`users.${index}`]));
  if (unknown.length > 0)
    throw new SyncError(
      'InvalidInput',
      `${unknown.join(', ')}: no such user in connection "${people.connection}"; nothing was sent`,
    );
  const transport = await openTransport(deps, opened, 'live');
  const results: Tested[] = [];
  try {
    for (const [index, user] of [...new Set(users)].entries())
      results.push(await testOne(deps, opened, transport, { ...(found.get(user) as Found), user, index }));
    return results;
  } catch (thrown) {
    const error = named(thrown, opened);
    if (!(error instanceof SyncError)) throw error;
    const left = results.filter(({ outcome }) => !['left out', 'refused'].includes(outcome)).length;
    const before = left === 0 ? 'nothing was sent' : `${left} of the users before were sent to`;
    throw new SyncError(error.type, `${error.message}; ${before}`, { cause: error });
  } finally {
    await transport.close();
  }
}

async function testOne(
  deps: Deps,
  opened: OpenCampaign,
  transport: Transport,
  row: Found & { user: string; index: number },
): Promise<Tested> {
  const { user, address, index } = row;
  if (row.reason !== null) return { outcome: 'left out', code: row.reason };
  const made = render(opened.checked, row);
  if ('reason' in made) return { outcome: 'refused', code: made.reason };
  const key = `${opened.stored.id}.test.${Date.now()}.${index}`;
  return sendGranted(deps, opened, transport, { no: 0, user, address, key, message: made.message });
}

/** The grant is taken before the message leaves, and goes back only where certainly no message used it. */
async function sendGranted(
  { pool }: Deps,
  { checked, account }: OpenCampaign,
  transport: Transport,
  envelope: Envelope,
): Promise<Tested> {
  const { channel, grantTemplate } = checked;
  const { address } = envelope;
  const scope = grantTemplate === null ? null : { channelId: account.id, template: grantTemplate };
  if (scope && !(await takeGrant(pool, scope, address))) return { outcome: 'refused', code: 'no_grant' };
  const settle = async (what: 'back' | 'none-left') => (scope ? settleGrant(pool, scope, address, what) : undefined);
  const send = () =>
    transport.send(envelope).catch(async (error: unknown) => {
      // The account gives no token: nothing was sent.
      await settle('back');
      throw error;
    });
  let sent = await send();
  if ('code' in sent && ruleOf(channel, sent.code).class === 'token') {
    transport.refresh?.(sent.tokenVersion ?? 0);
    sent = await send();
  }
  if ('neverLeft' in sent) {
    await settle('back');
    throw new SyncError('CampaignStopped', sent.neverLeft);
  }
  if ('noAnswer' in sent) return { outcome: 'unknown', code: sent.noAnswer };
  const rule = ruleOf(channel, sent.code);
  if (rule.emptiesGrants) await settle('none-left');
  else if (rule.class !== 'sent' && rule.class !== 'unknown') await settle('back');
  return { outcome: rule.class, code: sent.code };
}
