import { createHash } from 'node:crypto';
import * as v from 'valibot';
import { explain } from '../../connectors/explain.ts';
import type { Catalog } from '../../connectors/hubspot/catalog.ts';
import { idIsMapped, type Mapping } from '../../connectors/hubspot/mapping.ts';
import { type HubspotOptions, hubspotOptions, hubspotPlatform } from '../../connectors/hubspot.ts';
import type { Connection } from '../../db/connections.ts';
import type { Deps } from '../deps.ts';
import { SyncError } from '../errors.ts';

/** A connection to HubSpot with its checked options. */
export interface OpenHubspot {
  connection: Connection;
  options: HubspotOptions;
  mapping: Mapping;
}

/** @throws ConnectionUnknown, SealBroken, SyncError InvalidInput for another platform and for options that do not fit */
export async function openHubspot(deps: Pick<Deps, 'connection'>, id: string): Promise<OpenHubspot> {
  return readOptions(await deps.connection(id));
}

/** @throws SyncError InvalidInput naming place, value got and values accepted */
export function readOptions(connection: Connection): OpenHubspot {
  const { id, platform } = connection;
  if (platform !== hubspotPlatform)
    throw new SyncError('InvalidInput', `Connection "${id}" is of platform ${platform}; accepted: one of hubspot`);
  const result = v.safeParse(hubspotOptions, connection.options);
  const problem = result.success ? contradiction(result.output) : explain(hubspotOptions, result.issues[0]);
  if (problem !== null || !result.success)
    throw new SyncError(
      'InvalidInput',
      `Connection "${id}", options: ${problem}. Correct it with: npx syncline connect ${id} --mapping FILE, or --option key=value`,
    );
  return { connection, options: result.output, mapping: result.output.mapping };
}

/** What no single field shows. */
function contradiction({ mapping, mode, adopt }: HubspotOptions): string | null {
  if (mode === 'mirror' && mapping.leave === 'update')
    return 'mapping.leave: got "update", accepted in mode mirror: "archive", which it means anyway';
  if (mode === 'insert' && mapping.leave !== 'leave')
    return `mapping.leave: got "${mapping.leave}", accepted in mode insert, which changes no contact: "leave"`;
  if (adopt && (mode === 'update' || mode === 'insert'))
    return `adopt: got "${adopt}" in mode ${mode}, accepted in the modes upsert and mirror`;
  if (adopt && (idIsMapped(mapping) || !Object.hasOwn(mapping.properties, adopt)))
    return `adopt: got "${adopt}", accepted where mapping.properties has email and mapping.idProperty is a property of your own`;
  if (idIsMapped(mapping) && mapping.properties[mapping.idProperty]!.type !== 'string')
    return `mapping.properties.${mapping.idProperty}.type: got "${mapping.properties[mapping.idProperty]!.type}", accepted for the id: "string"`;
  return null;
}

/** Digest of what decides the mapped rows: another one means that every user is looked at again. */
export function mappingDigest({ mapping, options }: OpenHubspot): string {
  const { from, key, where, leave, leaveValues, idProperty } = mapping;
  const properties = sorted(mapping.properties).map(([name, { sql, type, zone }]) => [name, sql, type, zone]);
  return digest([from, key, where, leave, sorted(leaveValues), idProperty, properties, options.mode]);
}

/** Digest of what decides whether a row is taken: a row refused under another one is tried again. */
export function judgedDigest(opened: OpenHubspot, catalog: Catalog): string {
  // Field by field: jsonb keeps no order of keys.
  const known = sorted(catalog).map(([name, { type, options, readOnly, unique }]) => [
    name,
    type,
    options,
    readOnly,
    unique,
  ]);
  return digest([mappingDigest(opened), known]);
}

/** Digest of address and credential: which account they open is asked once for each. Says nothing of either. */
export const keyDigest = ({ baseUrl, credential }: Pick<Connection, 'baseUrl' | 'credential'>): string =>
  createHash('sha256').update(`${baseUrl} ${credential}`).digest('hex').slice(0, 16);

const sorted = <T>(record: Readonly<Record<string, T>>) => Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1));

const digest = (value: unknown) => createHash('sha256').update(JSON.stringify(value)).digest('hex').slice(0, 16);
