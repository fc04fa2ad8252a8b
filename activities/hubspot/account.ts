import { readBatch } from '../../connectors/hubspot/answers.ts';
import { type Catalog, newProperty, readCatalog } from '../../connectors/hubspot/catalog.ts';
import { isObject } from '../../connectors/hubspot/json.ts';
import { type Mapping, sentProperties } from '../../connectors/hubspot/mapping.ts';
import { leastCallsPerWindow, paths, windowMs } from '../../connectors/hubspot.ts';
import { RetryLater, SyncError } from '../errors.ts';
import type { HubspotAnswer, HubspotClient } from './client.ts';
import { accountFailure } from './troubles.ts';

/** The calls of today are used up. Asked again every minute, where nobody knows yet when the account's midnight is. */
export class DailyLimit extends RetryLater {
  override message =
    "The account's calls of today are used up (HubSpot's daily limit); they count anew from its midnight";
}

/** What the account says of itself. */
export interface Account {
  catalog: Catalog;
  /** Calls in the window of the burst limit, as the headers of the answer tell; the least of all accounts where they do not. */
  callsPerWindow: number;
}

/**
 * Makes a call that is no batch of rows, and reads what its answer means.
 * @throws RetryLater, SyncError Unavailable, Unauthorized, Forbidden, InvalidInput, BadAnswer
 */
export async function ask(
  client: HubspotClient,
  connection: string,
  signal: AbortSignal,
  call: { method: 'GET' | 'POST'; path: string; body?: string },
): Promise<HubspotAnswer> {
  for (let renewed = false; ; renewed = true) {
    const permit = await client.permit(signal);
    const answer = await client.send(permit, call.method, call.path, call.body);
    const verdict = readBatch('read', 'id', [], answer);
    switch (verdict.kind) {
      case 'rows':
        return answer;
      case 'wait':
        await client.refused(verdict.waitMs ?? 60_000);
        throw new (verdict.why === 'daily' ? DailyLimit : RetryLater)(verdict.waitMs ?? 60_000);
      case 'unknown':
        throw new SyncError('Unavailable', `${answer.place} answered ${answer.status}`);
      case 'token':
        if (!renewed && (await client.renew(permit, signal))) continue;
        throw accountFailure(verdict, answer.place, connection);
      case 'refused':
        throw new SyncError('BadAnswer', `${answer.place} refused the call (${verdict.code})`);
      case 'strange':
        throw new SyncError(
          'BadAnswer',
          `${answer.place} answered ${answer.status} with something that is no answer of HubSpot. Is the address of the connection right? npx syncline connect ${connection} --url https://api.hubapi.com`,
        );
      default:
        throw accountFailure(verdict, answer.place, connection);
    }
  }
}

/** Reads the properties that the mapping names. */
export async function readAccount(
  client: HubspotClient,
  connection: string,
  mapping: Mapping,
  signal: AbortSignal,
): Promise<Account> {
  const answer = await ask(client, connection, signal, { method: 'GET', path: paths.properties });
  const catalog = readCatalog(answer.body, sentProperties(mapping));
  if (!catalog) throw new SyncError('BadAnswer', `${answer.place} answered with no list of properties`);
  return { catalog, callsPerWindow: windowOf(answer) };
}

function windowOf({ headers }: HubspotAnswer): number {
  const number = (name: string) => Number([headers[name]].flat()[0] ?? Number.NaN);
  const [most, ms] = [number('x-hubspot-ratelimit-max'), number('x-hubspot-ratelimit-interval-milliseconds')];
  // The header counts in the window it names.
  return most > 0 && ms > 0 ? Math.max(1, Math.floor((most * windowMs) / ms)) : leastCallsPerWindow;
}

/** Zone and number of the account; UTC and null where the token may not ask. */
export async function readDetails(
  client: HubspotClient,
  connection: string,
  signal: AbortSignal,
): Promise<{ timeZone: string; account: string | null }> {
  try {
    const { body } = await ask(client, connection, signal, { method: 'GET', path: paths.account });
    const { timeZone, portalId } = isObject(body) ? body : {};
    return { timeZone: isZone(timeZone) ? timeZone : 'UTC', account: portalId == null ? null : String(portalId) };
  } catch (error) {
    const mild = error instanceof SyncError && ['Forbidden', 'BadAnswer'].includes(error.type);
    if (mild) return { timeZone: 'UTC', account: null };
    throw error;
  }
}

function isZone(text: unknown): text is string {
  try {
    return typeof text === 'string' && new Intl.DateTimeFormat('en', { timeZone: text }) !== null;
  } catch {
    return false;
  }
}

/** Makes properties that are missing. @param arrays those whose SQL gives an array */
export async function createProperties(
  client: HubspotClient,
  connection: string,
  mapping: Mapping,
  names: readonly string[],
  arrays: ReadonlySet<string>,
  signal: AbortSignal,
): Promise<void> {
  const body = JSON.stringify({ inputs: names.map((name) => newProperty(mapping, name, arrays.has(name))) });
  await ask(client, connection, signal, { method: 'POST', path: paths.createProperties, body });
}
