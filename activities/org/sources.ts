import * as v from 'valibot';
import { explain } from '../../connectors/explain.ts';
import { ldapOptions } from '../../connectors/ldap.ts';
import { scimOptions } from '../../connectors/scim.ts';
import type { Connection } from '../../db/connections.ts';
import { SyncError } from '../errors.ts';
import { ldapSource } from './ldap.ts';
import { scimSource } from './scim.ts';
import type { OrgSource } from './source.ts';

/** Directories orgSync can read: options schema and reader. A new one is a line here. */
const directories = {
  scim: (c: Connection) => scimSource(c.baseUrl, c.credential, optionsOf(scimOptions, c)),
  ldap: (c: Connection) => ldapSource(c.baseUrl, c.credential, optionsOf(ldapOptions, c)),
};

export const directoryPlatforms = Object.keys(directories);

/** Opens the reader of a connection. Throws InvalidInput for a platform that is no directory or options that do not fit. */
export function openSource(connection: Connection): OrgSource {
  return directories[platformOf(connection)](connection);
}

/** The checked options of a connection, defaults filled in: those every directory shares and the platform's own. */
export function directoryOptionsOf(connection: Connection) {
  return platformOf(connection) === 'scim' ? optionsOf(scimOptions, connection) : optionsOf(ldapOptions, connection);
}

function platformOf(connection: Connection): keyof typeof directories {
  const { platform } = connection;
  if (platform === 'scim' || platform === 'ldap') return platform;
  throw new SyncError(
    'InvalidInput',
    `Connection "${connection.id}" is of platform "${platform}", which is no directory. orgSync reads: ${directoryPlatforms.join(', ')}.`,
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
