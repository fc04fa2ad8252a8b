import { readFileSync } from 'node:fs';
import { type CheckReport, hubspot, readOptions } from '../../activities/hubspot/desk.ts';
import { isRenamed } from '../../db/capture/renamed.ts';
import type { Pool } from '../../db/client.ts';
import type { Connection, StoredConnection } from '../../db/connections.ts';
import { knownContacts } from '../../db/hubspot/report.ts';
import { begins, describe, runCheck } from './hubspot.ts';
import type { Session } from './session.ts';
import { wrongUse } from './trouble.ts';
import { count } from './words.ts';

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
export async function checkHubspotDraft(
  pool: Pool,
  before: StoredConnection | undefined,
  connection: Connection,
): Promise<void> {
  checkOptions(connection);
  if (before) await refuseOther(pool, before, connection);
}

function checkOptions(connection: Connection): void {
  try {
    readOptions(connection);
  } catch (error) {
    throw wrongUse((error as Error).message);
  }
}

/** A mapping as it is stored, as far as it says by what contacts are known. */
interface Known extends Record<'idProperty' | 'from' | 'key', string> {
  tables?: object;
}

/**
 * What is known of contacts is known under the id they were sent with, and by the keys of their users. Another id would
 * make each contact a second time, or meet its own as a conflict; by another key, or in another table, a contact would be
 * given to somebody else, or archived.
 * @throws CommandError (usage) that says how they are changed
 */
async function refuseOther(pool: Pool, before: StoredConnection, connection: Connection): Promise<void> {
  const was = before.options.mapping as Known | undefined;
  const is = connection.options.mapping as Known;
  const other = was && (['idProperty', 'from', 'key'] as const).find((one) => was[one] !== is[one]);
  if (!other) return;
  const known = await knownContacts(pool, before.id);
  if (known === 0 || (other !== 'idProperty' && (await isRenamed(pool, before, was, is)))) return;
  const own = `make a connection of its own with the new mapping (npx syncline connect OTHER --platform hubspot --mapping FILE --credential-env VARIABLE), and take this one away: npx syncline disconnect ${before.id}`;
  const got = `mapping.${other}: got "${is[other]}", accepted "${was[other]}": ${count(known)} contacts of "${before.id}" are known`;
  const adopt = '--option adopt=email, which takes contacts that have none by their mail address';
  const first = `give "${is.idProperty}" its values at HubSpot first`;
  throw wrongUse(
    other === 'idProperty'
      ? `${got} under it, and by another id each would be made a second time. To change it, ${is.idProperty === 'email' ? '' : `${first} (or connect with ${adopt}), `}${own}`
      : `${got} by its keys, and the same keys of others would give them to other people, or archive them. To change it, ${own}. Where the keys name other people than before, give the new mapping an idProperty of its own (and ${adopt})`,
  );
}

/** Compares the mapping with database and account before it is saved; what is missing is told, and is no reason not to save. */
export async function probeHubspot(session: Session, connection: Connection): Promise<CheckReport> {
  const report = await runCheck(session, connection, { create: false, fresh: true });
  for (const line of describe(connection.id, report)) session.terminal.print(line);
  return report;
}

/** What is to be done first of what a check found. @param report null: nobody looked (--no-probe) */
export function nextOfHubspot(name: string, report: CheckReport | null): string {
  const check = `npx syncline hubspot check --connection ${name}`;
  if (report === null) return check;
  if (report.mapping.some((sentence) => sentence.includes('GRANT '))) return `grant what is missing, then ${check}`;
  if (report.mapping.length > 0)
    return `repair the mapping or its tables, then npx syncline connect ${name} --mapping FILE`;
  if (report.rights.length > 0) return `grant what is missing, then ${check}`;
  if (report.capture.length > 0) return `npx syncline capture install ${name}`;
  if (report.catalog.some(({ kind }) => kind === 'missing')) return `${check} --create`;
  return begins(report) ? `npx syncline start hubspotSync ${name} --wait` : check;
}
