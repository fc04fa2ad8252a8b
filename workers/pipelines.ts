import { audienceReader } from '../activities/audience/catalog.ts';
import { connectors, directoryPlatforms } from '../activities/platform/catalog.ts';
import { stripePlatform } from '../activities/stripe/catalog.ts';
import { segmentSyncId } from '../workflows/audience.segments.ts';
import { hubspotSyncId } from '../workflows/hubspot.ts';
import { orgSyncId } from '../workflows/org.ts';
import { platformSyncId } from '../workflows/platform.ts';
import { stripeSyncId } from '../workflows/stripe.ts';

/** Workflow id of a connection's usual run, by the workflow that brings it up to date. A new pipeline is a line here. */
export const usualId = {
  orgSync: orgSyncId,
  platformSync: platformSyncId,
  stripeSync: stripeSyncId,
  hubspotSync: hubspotSyncId,
  segmentSync: segmentSyncId,
};

export type SyncWorkflow = keyof typeof usualId;
export const syncWorkflows = Object.keys(usualId) as SyncWorkflow[];

/**
 * Workflows that read a platform, or write to it; several company directories are open platforms too. A platform without a connector here
 * is one of somebody's own, whose module (SYNCLINE_CONNECTORS) this process was not told of.
 */
export function workflowsOf(platform: string): SyncWorkflow[] {
  if (platform === stripePlatform) return ['stripeSync'];
  if (platform === 'hubspot') return ['hubspotSync'];
  const reader = audienceReader(platform);
  // A channel is sent by; nothing reads it.
  if (reader) return reader.kind === 'database' ? ['segmentSync'] : [];
  const isDirectory = directoryPlatforms.includes(platform);
  const isOpen = Object.hasOwn(connectors, platform) || !isDirectory;
  return [...(isDirectory ? (['orgSync'] as const) : []), ...(isOpen ? (['platformSync'] as const) : [])];
}

/** Workflows that read lists, each in a child workflow of its own. */
export const readsStreams = (workflow: string): boolean => workflow === 'platformSync' || workflow === 'segmentSync';

/** Command of a person who has just started a worker: the first connection that something reads, or how to make one. */
export function nextCommand(connections: readonly { id: string; platform: string }[]): string {
  for (const { id, platform } of connections) {
    const [workflow] = workflowsOf(platform);
    if (workflow) return `Start a run:  npx syncline start ${workflow} ${id} --wait`;
  }
  return 'Connect a directory:  npx syncline connect acme --platform scim --url https://host/scim/v2';
}
