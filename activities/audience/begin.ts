import { channelOf } from '../../connectors/channel.index.ts';
import { loadCampaign, type StoredCampaign, saveCampaign } from '../../db/audience/campaigns.ts';
import type { GrantScope } from '../../db/audience/deliveries.ts';
import { type Claim, type Execution, takeClaim } from '../../db/claims.ts';
import { type Connection, storedConnection } from '../../db/connections.ts';
import type { Deps } from '../deps.ts';
import { SyncError } from '../errors.ts';
import { connectionRates } from '../http/settings.ts';
import type { BudgetUse } from '../http/throttle.ts';
import { accountOf } from './account.ts';
import { type CheckedCampaign, checkCampaign, readDefinition } from './open.ts';

export interface CampaignBegin extends Execution {
  campaign: string;
  /** A definition to store first, from a client that has no command line; null: the stored one. */
  define: Record<string, unknown> | null;
}

/** What the run needs to know; ids and numbers only. */
export interface CampaignBegun {
  claim: Claim;
  /** Connection of the account. */
  channelId: string;
  /** Messages on their way at once, over all lanes. */
  inFlight: number;
  policy: CheckedCampaign['definition']['policy'];
  reconcileMinutes: number;
  /** Messages a second that limits allow, for the estimate; null without a limit. */
  perSecond: number | null;
}

/** A campaign with everything that its definition names. */
export interface OpenCampaign {
  stored: StoredCampaign;
  checked: CheckedCampaign;
  account: Connection;
}

/** Loads a campaign and proves its definition against the connections of this moment. @throws CampaignUnknown, SyncError InvalidInput */
export async function openCampaign(deps: Deps, id: string): Promise<OpenCampaign> {
  const stored = await loadCampaign(deps.pool, id);
  const definition = readDefinition(stored.definition, id);
  const source = await storedConnection(deps.pool, definition.audience.connection);
  const account = await deps.connection(definition.channel);
  return { stored, checked: checkCampaign(id, definition, source, account, stored.frozenAt !== null), account };
}

/**
 * What closing a run needs of a campaign. Nothing is proven: a mapping that was changed so that no message can be made any more
 * must not keep what is known from being written down, nor grants from going back.
 */
export async function closingOf(
  { pool }: Deps,
  id: string,
): Promise<{ no: number; again: boolean; grants: GrantScope | null }> {
  const { no, channel: channelId, definition } = await loadCampaign(pool, id);
  const { policy, template } = definition as Partial<CheckedCampaign['definition']>;
  const { platform } = await storedConnection(pool, channelId);
  const granted = channelOf(platform).grantOf?.(template ?? {});
  return {
    no,
    again: policy === 'at-least-once',
    grants: granted === undefined ? null : { channelId, template: granted },
  };
}

/** Stores a definition that came with the start, proves the campaign, and takes it for this run. */
export async function beginCampaign(deps: Deps, input: CampaignBegin): Promise<CampaignBegun | { heldBy: Execution }> {
  const { campaign: id, define, workflowId, runId } = input;
  if (define !== null) {
    const definition = readDefinition(define, id);
    const [source, account] = await Promise.all(
      [definition.audience.connection, definition.channel].map((name) => storedConnection(deps.pool, name)),
    );
    checkCampaign(id, definition, source!, account!);
    await saveCampaign(deps.pool, id, definition);
  }
  const opened = await openCampaign(deps, id);
  const { definition, channel } = opened.checked;
  if (definition.deadline !== undefined && Date.now() >= Date.parse(definition.deadline))
    throw new SyncError(
      'DeadlinePassed',
      `Campaign "${id}": its deadline ${definition.deadline} is over; nothing was sent by this run. Give it a later one: npx syncline campaign create ${id} FILE`,
    );
  const claim = await takeClaim(deps.pool, { ...runOf(id), workflowId, runId, isOpen: deps.isOpen });
  if ('heldBy' in claim) return claim;
  return {
    claim,
    channelId: opened.account.id,
    inFlight: Number(opened.account.options.inFlight ?? channel.inFlight),
    policy: definition.policy,
    reconcileMinutes: definition.reconcileMinutes,
    perSecond: perSecondOf(opened),
  };
}

/** Claims of a campaign's run and of its shards stand under a name that no connection can have. */
export const runOf = (campaign: string) => ({ connection: `campaign ${campaign}`, pipeline: 'campaign' });
export const shardOf = (campaign: string, from: number) => ({
  connection: `campaign ${campaign}`,
  pipeline: `shard ${from}`,
});

/** Where a message of the campaign counts. Small campaigns use the live lane, so that they pass a giant one. */
export function budgetOf({ checked, account, stored }: OpenCampaign, lane: BudgetUse['lane']): BudgetUse {
  const { channel, definition } = checked;
  const { throttle } = definition;
  return {
    platform: channel.channel,
    platformRates: channel.limits.platform ?? [],
    connection: account.id,
    connectionRates: connectionRates(account, accountOf(channel)),
    endpoint: { name: stored.id, rates: throttle === undefined ? [] : [{ requests: throttle, perMs: 1_000 }] },
    lane,
  };
}

export function perSecondOf(opened: OpenCampaign): number | null {
  const { platformRates, connectionRates: own, endpoint } = budgetOf(opened, 'bulk');
  const rates = [...platformRates, ...own, ...(endpoint?.rates ?? [])];
  return rates.length === 0 ? null : Math.min(...rates.map(({ requests, perMs }) => (requests * 1_000) / perMs));
}
