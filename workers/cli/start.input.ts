import type * as v from 'valibot';
import { segmentSyncInput } from '../../workflows/audience.input.ts';
import { hubspotSyncInput } from '../../workflows/hubspot.input.ts';
import { orgSyncInput, readInput } from '../../workflows/org.input.ts';
import { applySteps } from '../../workflows/org.view.ts';
import { platformSyncInput } from '../../workflows/platform.input.ts';
import { stripeSyncInput } from '../../workflows/stripe.input.ts';
import type { SyncWorkflow } from '../pipelines.ts';
import { wrongUse } from './trouble.ts';

/** Options of `start` that become the run's input. */
export interface RunOptions {
  mode?: string;
  dryRun?: boolean;
  onlyUser?: string;
  skip?: string[];
  streams?: string[];
  acceptDeletions?: boolean;
  acceptRejects?: boolean;
  acceptArchives?: boolean;
  once?: boolean;
}

/** Whose options these are; what is not listed every workflow takes. */
const owners: Partial<Record<keyof RunOptions, { workflows: SyncWorkflow[]; flag: string }>> = {
  dryRun: { workflows: ['orgSync'], flag: '--dry-run' },
  onlyUser: { workflows: ['orgSync', 'hubspotSync'], flag: '--only-user' },
  skip: { workflows: ['orgSync'], flag: '--skip' },
  streams: { workflows: ['platformSync', 'segmentSync'], flag: '--streams' },
  acceptDeletions: { workflows: ['platformSync', 'segmentSync'], flag: '--accept-deletions' },
  acceptRejects: { workflows: ['hubspotSync'], flag: '--accept-rejects' },
  acceptArchives: { workflows: ['hubspotSync'], flag: '--accept-archives' },
  once: { workflows: ['stripeSync'], flag: '--once' },
};

/** The input as a person would type it in the Temporal UI. @throws CommandError (usage) that names the option or field */
export function inputOf(workflow: SyncWorkflow, connection: string, options: RunOptions): object {
  for (const [key, owner] of Object.entries(owners))
    if (options[key as keyof RunOptions] !== undefined && !owner.workflows.includes(workflow))
      throw wrongUse(`${owner.flag} belongs to ${owner.workflows.join(' and ')}, not to ${workflow}`);
  if (workflow === 'hubspotSync') return hubspotInput(connection, options);
  if (workflow === 'stripeSync') return stripeInput(connection, options);
  return workflow === 'orgSync' ? orgInput(connection, options) : streamsInput(workflow, connection, options);
}

function orgInput(connection: string, { mode, dryRun, onlyUser, skip }: RunOptions): object {
  const unknown = skip?.find((step) => !applySteps.some((known) => known === step));
  if (unknown !== undefined) throw wrongUse(`--skip: got "${unknown.slice(0, 40)}", accepted ${applySteps.join(', ')}`);
  const input = {
    connection,
    ...(mode !== undefined && { mode }),
    ...(dryRun && { dryRun }),
    ...(onlyUser !== undefined && { only: { user: onlyUser } }),
    ...(skip && { steps: Object.fromEntries(skip.map((step) => [step, false])) }),
  };
  return checked(orgSyncInput, input, '{"connection":"acme"}');
}

function streamsInput(
  workflow: SyncWorkflow,
  connection: string,
  { mode, streams, acceptDeletions }: RunOptions,
): object {
  const input = {
    connection,
    ...(mode !== undefined && { mode }),
    ...(streams && { streams }),
    ...(acceptDeletions && { deletions: 'accept' }),
  };
  if (workflow === 'segmentSync') return checked(segmentSyncInput, input, '{"connection":"members"}');
  return checked(platformSyncInput, input, '{"connection":"shop"}');
}

function hubspotInput(connection: string, { mode, onlyUser, acceptRejects, acceptArchives }: RunOptions): object {
  const input = {
    connection,
    ...(mode !== undefined && { mode }),
    ...(onlyUser !== undefined && { only: { user: onlyUser } }),
    ...(acceptRejects && { rejects: 'accept' }),
    ...(acceptArchives && { archives: 'accept' }),
  };
  return checked(hubspotSyncInput, input, '{"connection":"crm"}');
}

function stripeInput(connection: string, { mode, once }: RunOptions): object {
  if (mode !== undefined) throw wrongUse('--mode: stripeSync knows itself what to read');
  return checked(stripeSyncInput, { connection, ...(once && { follow: false }) }, '{"connection":"billing"}');
}

/** An input that the workflow will take, as it was given. @throws CommandError (usage) with the workflow's own sentence */
export function checked(schema: v.GenericSchema, input: object, example: string): object {
  try {
    readInput(schema, input, example);
  } catch (error) {
    throw wrongUse((error as Error).message);
  }
  return input;
}
