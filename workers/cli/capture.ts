import {
  captureStanding,
  installCapture,
  MappingRefused,
  type Misfit,
  RightsMissing,
  removeCapture,
  TableBusy,
} from '../../db/capture.ts';
import { hubspotConnection } from './hubspot.ts';
import type { Session } from './session.ts';
import { CommandError, plainMessage } from './trouble.ts';
import { columns, counted } from './words.ts';

/** Puts the triggers on the tables that the mapping reads, or brings them up to it. Says which rights are missing. */
export async function install(session: Session, given: string | undefined): Promise<undefined> {
  const { name, owner, mapping, pool } = await target(session, given, 'install');
  const state = await told(() => installCapture(pool, owner, mapping)).catch((error: Error & { code?: unknown }) => {
    if (typeof error.code !== 'string') throw error;
    throw new CommandError(
      `Not all triggers are made: ${plainMessage(error).replace(/\.$/, '')}. What is made stays; run it again: npx syncline capture install ${name}`,
    );
  });
  const tables = [...new Set(state.triggers.map(({ table }) => table))];
  session.terminal.print(
    `Changes of ${tables.join(', ')} are captured for ${name} (${counted(state.triggers.length, 'trigger')}). Everybody is looked at by the next run.`,
  );
  for (const warning of state.warnings) session.terminal.print(`Warning: ${warning}`);
  session.terminal.print(`Next: npx syncline hubspot check --connection ${name}`);
  return undefined;
}

/** Takes the triggers away; what is not sent yet is forgotten. An open run, which would fail, is ended first by its owner. */
export async function remove(
  session: Session,
  given: string | undefined,
  options: { force?: boolean },
): Promise<undefined> {
  const { name, owner, pool } = await target(session, given, 'remove');
  if (!options.force) await refuseOpen(session, owner);
  const tables = await told(() => removeCapture(pool, owner));
  session.terminal.print(
    tables.length > 0
      ? `Changes of ${tables.join(', ')} are no longer captured for ${name}. Installed again, everybody is looked at.`
      : `Nothing was captured for ${name}.`,
  );
  return undefined;
}

async function refuseOpen(session: Session, { id, platform }: { id: string; platform: string }): Promise<void> {
  const { findOpen } = await import('./find.ts');
  const [run] = await findOpen(session, { id, platform });
  if (run)
    throw new CommandError(
      `A run of ${id} is open (${run.workflowId}) and would fail without its log; nothing was removed. Let it end (npx syncline status ${id}) or end it: npx syncline cancel ${id}. Remove all the same: npx syncline capture remove ${id} --force`,
    );
}

/** Lists the triggers that the mapping wants, and how each is. Exit code 1 when changes may be missed. */
export async function status(
  session: Session,
  given: string | undefined,
  options: { json?: boolean },
): Promise<number> {
  const { name, owner, mapping, pool } = await target(session, given, 'status');
  const state = await told(() => captureStanding(pool, owner, mapping));
  const { print } = session.terminal;
  if (options.json) print(JSON.stringify(state, null, 2));
  else if ('misfit' in state) for (const line of describeMisfit(name, state)) print(line);
  else {
    for (const line of columns(state.triggers.map(({ table, event, state: how }) => [table, event, how]))) print(line);
    if (!state.log) print('the log is missing or of an older version');
    for (const table of state.leftOver) print(`${table} has triggers although the mapping no longer reads it`);
    for (const warning of state.warnings) print(`Warning: ${warning}`);
    for (const { what, grant } of state.rights) print(`Missing: ${what}: ${grant};`);
    print(
      state.complete && state.rights.length > 0
        ? `No run begins, and changes may be missed, until these rights are granted.`
        : state.complete
          ? `Every change${state.warnings.length > 0 ? ' of all others' : ''} of the columns that the expressions of ${name} read is captured; none that functions read, or that time alone makes.`
          : `Changes may be missed: npx syncline capture install ${name}`,
    );
  }
  return state.complete && !('rights' in state && state.rights.length > 0) ? 0 : 1;
}

function describeMisfit(name: string, { misfit, tables }: Misfit): string[] {
  return [
    'The mapping no longer fits its tables:',
    ...misfit.map((problem) => `  ${problem}`),
    tables.length > 0
      ? `Until that is repaired, every change of ${tables.join(', ')} that needs what is gone marks everybody, and no run begins.`
      : 'Nothing is captured.',
    `Repair the tables or the mapping, then: npx syncline connect ${name} --mapping FILE; npx syncline capture install ${name}`,
  ];
}

async function target(session: Session, given: string | undefined, command: 'install' | 'remove' | 'status') {
  const name = await hubspotConnection(session, given, `npx syncline capture ${command} NAME`);
  const { readOptions } = await import('../../activities/hubspot/desk.ts');
  const owner = await session.connection(name);
  const { mapping } = plain(() => readOptions({ ...owner, credential: null }));
  return { name, owner, mapping, pool: await session.pool() };
}

function plain<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw new CommandError((error as Error).message);
  }
}

async function told<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof MappingRefused || error instanceof RightsMissing || error instanceof TableBusy)
      throw new CommandError(error.message);
    throw error;
  }
}
