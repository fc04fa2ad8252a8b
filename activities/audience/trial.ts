import { ruleOf } from '../../connectors/channel.ts';
import { findPeople } from '../../db/audience/people.ts';
import type { Deps } from '../deps.ts';
import { SyncError } from '../errors.ts';
import { openCampaign } from './begin.ts';
import { render } from './open.ts';
import { openTransport } from './shard.ts';

export interface TestInput {
  campaign: string;
  /** Ids of users, as a person typed them. */
  users: string[];
}

/** How a test message ended, in the order of the users asked for; codes and reasons only. */
export interface Tested {
  outcome: string;
  code: string | null;
}

/**
 * Sends the campaign's message to named users at once, once each, whatever its filter, throttle and quiet hours say. Nothing is
 * written down: the campaign reaches them again. Who unsubscribed gets none.
 */
export async function testSend(deps: Deps, { campaign, users }: TestInput): Promise<Tested[]> {
  const opened = await openCampaign(deps, campaign);
  const { checked, stored } = opened;
  const found = await findPeople(deps.pool, checked.people, users);
  const transport = await openTransport(deps, opened, 'live');
  const results: Tested[] = [];
  try {
    for (const [index, user] of users.entries()) {
      const row = found.get(user);
      if (!row)
        throw new SyncError(
          'InvalidInput',
          `users.${index}: no such user in connection "${checked.people.connection}"`,
        );
      if (row.reason !== null) results.push({ outcome: 'left out', code: row.reason });
      else {
        const made = render(checked, { ...row, user });
        if ('reason' in made) results.push({ outcome: 'refused', code: made.reason });
        else {
          const key = `${stored.id}.test.${Date.now()}.${index}`;
          const sent = await transport.send({ no: 0, user, address: row.address, key, message: made.message });
          if ('neverLeft' in sent) throw new SyncError('CampaignStopped', `${sent.neverLeft}; nothing was sent`);
          if ('noAnswer' in sent) results.push({ outcome: 'unknown', code: sent.noAnswer });
          else results.push({ outcome: ruleOf(checked.channel, sent.code).class, code: sent.code });
        }
      }
    }
    return results;
  } finally {
    await transport.close();
  }
}
