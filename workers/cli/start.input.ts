import type * as v from 'valibot';
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
  once?: boolean;
}

/** Whose options these are; what is not listed every workflow takes. */
const owners: Partial<Record<keyof RunOptions, { workflow: SyncWorkflow; flag: string }>> = {
  dryRun: { workflow: 'orgSync', flag: '--dry-run' },
  onlyUser: { workflow: 'orgSync', flag: '--only-user' },
  skip: { workflow: 'orgSync', flag: '--skip' },
  streams: { workflow: 'platformSync', flag: '--streams' },
  acceptDeletions: { workflow: 'platformSync', flag: '--accept-deletions' },
  once: { workflow: 'stripeSync', flag: '--once' },
};

/** The input as a person would type it in the Temporal UI. @throws CommandError (usage) that names the option or field */
export function inputOf(workflow: SyncWorkflow, connection: string, options: RunOptions): object {
  for (const [key, owner] of Object.entries(owners))
    if (options[key as keyof RunOptions] !== undefined && owner.workflow !== workflow)
      throw wrongUse(`${owner.flag} belongs to ${owner.workflow}, not to ${workflow}`);
  if (workflow === 'stripeSync') return stripeInput(connection, options);
  return workflow === 'orgSync' ? orgInput(connection, options) : platformInput(connection, options);
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

function platformInput(connection: string, { mode, streams, acceptDeletions }: RunOptions): object {
  const input = {
    connection,
    ...(mode !== undefined && { mode }),
    ...(streams && { streams }),
    ...(acceptDeletions && { deletions: 'accept' }),
  };
  return checked(platformSyncInput, input, '{"connection":"shop"}');
}

function stripeInput(connection: string, { mode, once }: RunOptions): object {
  if (mode !== undefined)
    throw wrongUse('--mode belongs to orgSync and platformSync: stripeSync knows itself what to read');
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
