import * as v from 'valibot';
import { directoryPlatforms, orgMaps } from '../../connectors/directories.ts';
import { explain } from '../../connectors/explain.ts';
import { ldapOptions } from '../../connectors/ldap.ts';
import { type OrgMap, orgOptions } from '../../connectors/org.ts';
import { scimOptions } from '../../connectors/scim.ts';
import type { Connection } from '../../db/connections.ts';
import { SyncError } from '../errors.ts';
import { type ClientDeps, openClient } from '../http/client.ts';
import { ldapSource } from './ldap.ts';
import { platformSource } from './platform.ts';
import { scimSource } from './scim.ts';
import type { OrgSource } from './source.ts';

/**
 * Opens the reader of a connection.
 * @throws SyncError InvalidInput for a platform that is no directory or options that do not fit
 */
export function openSource(connection: Connection, tools?: ClientDeps): OrgSource {
  const { baseUrl, credential, platform } = connection;
  if (platform === 'scim') return scimSource(baseUrl, credential, optionsOf(scimOptions, connection));
  if (platform === 'ldap') return ldapSource(baseUrl, credential, optionsOf(ldapOptions, connection));
  const map = mapOf(connection);
  const options = optionsOf(orgOptions(map), connection);
  if (!tools) throw new SyncError('Defect', `${map.connector.title} was opened without budget and tokens`);
  return platformSource(map, openClient(tools, connection, map.connector), options);
}

/** The checked options of a connection, defaults filled in: those every directory shares and the platform's own. */
export function directoryOptionsOf(connection: Connection) {
  if (connection.platform === 'scim') return optionsOf(scimOptions, connection);
  if (connection.platform === 'ldap') return optionsOf(ldapOptions, connection);
  return optionsOf(orgOptions(mapOf(connection)), connection);
}

function mapOf({ id, platform }: Connection): OrgMap {
  const map = Object.hasOwn(orgMaps, platform) ? orgMaps[platform as keyof typeof orgMaps] : undefined;
  if (map) return map;
  throw new SyncError(
    'InvalidInput',
    `Connection "${id}" is of platform "${platform}", which is no directory. orgSync reads: ${directoryPlatforms.join(', ')}.`,
  );
}

function optionsOf<S extends v.GenericSchema>(schema: S, connection: Connection): v.InferOutput<S> {
  const result = v.safeParse(schema, connection.options);
  if (result.success) return result.output;
  throw new SyncError(
    'InvalidInput',
    `Connection "${connection.id}", options: ${explain(schema, result.issues[0])}. Correct it with: npx syncline connect ${connection.id} --option key=value`,
  );
}
