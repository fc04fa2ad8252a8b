import { readFileSync } from 'node:fs';
import { hubspot, readOptions } from '../../activities/hubspot/desk.ts';
import type { Connection } from '../../db/connections.ts';
import { describe, runCheck } from './hubspot.ts';
import type { Session } from './session.ts';
import { wrongUse } from './trouble.ts';

export const hubspotBaseUrl = hubspot.baseUrl;
export const isHubspot = (platform: string | undefined) => platform === hubspot.platform;

/** Options with the mapping of a file. @throws CommandError (usage) for a file that cannot be read as JSON */
export function withMapping(options: Record<string, unknown>, file: string | undefined): Record<string, unknown> {
  if (file === undefined) return options;
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw wrongUse(
      `--mapping: got "${file}", which cannot be read (${(error as { code?: string }).code}); accepted a JSON file`,
    );
  }
  try {
    return { ...options, mapping: JSON.parse(text) };
  } catch (error) {
    throw wrongUse(
      `--mapping: ${file} is no JSON (${(error as Error).message}); accepted {"from":"app.users","key":"id",…}`,
    );
  }
}

/** @throws CommandError (usage) naming place, value got and values accepted */
export function checkHubspotOptions(connection: Connection): void {
  try {
    readOptions(connection);
  } catch (error) {
    throw wrongUse((error as Error).message);
  }
}

/** Compares the mapping with database and account before it is saved; what is missing is told, and is no reason not to save. */
export async function probeHubspot(session: Session, connection: Connection): Promise<string[]> {
  return describe(connection.id, await runCheck(session, connection, false));
}
