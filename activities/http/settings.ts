import type { Connector, Rate } from '../../connectors/shape.ts';
import type { Connection } from '../../db/connections.ts';
import { SyncError } from '../errors.ts';
import type { ValueContext } from './values.ts';

export type Settings = Pick<ValueContext, 'options' | 'secrets'>;

/**
 * Options and credential of a connection with the connector's defaults filled in. Where a platform wants one secret
 * alone, the credential may be that secret itself instead of a JSON object.
 * @throws SyncError InvalidInput for a credential that is no JSON object of texts
 */
export function settingsOf(connection: Connection, connector: Connector): Settings {
  const options: Record<string, unknown> = { ...connection.options };
  const secrets: Record<string, string> = {};
  const given = credentialOf(connection, connector);
  for (const [name, setting] of Object.entries(connector.settings)) {
    const target = setting.secret ? secrets : options;
    const value = setting.secret ? given[name] : connection.options[name];
    if (value !== undefined) target[name] = value as string;
    else if (setting.default !== undefined) target[name] = setting.default;
  }
  // A consent brings it, whether the connector lists it or not.
  if (given.refreshToken) secrets.refreshToken = given.refreshToken;
  return { options, secrets };
}

/** Limits of one connection: the connector's, or the option `requestsPerSecond` instead. @throws SyncError InvalidInput */
export function connectionRates(connection: Connection, connector: Connector): readonly Rate[] {
  return grantedRates(connection, 'requestsPerSecond') ?? connector.limits.connection ?? [];
}

/** A rate that a connection names in place of the connector's; null where it names none. */
function grantedRates({ options }: Connection, name: string): readonly Rate[] | null {
  const option = options[name];
  if (option === undefined) return null;
  const requests = Number(option);
  if (requests > 0 && requests <= 10_000) return [{ requests, perMs: 1_000 }];
  throw new SyncError(
    'InvalidInput',
    `Option "${name}": got ${JSON.stringify(option)?.slice(0, 40)}, accepted a number above 0 and up to 10000. Set it: npx syncline connect NAME --option ${name}=10`,
  );
}

/** The app whose limits a connection shares with others; '' where all connections share them. */
export function appOf({ options }: Settings, { limits }: Connector): string {
  return limits.app === undefined ? '' : String(options[limits.app] ?? '');
}

/** Limits of one API over all connections of an app: the stream's, or the option `apiRequestsPerSecond` instead. @throws SyncError InvalidInput */
export function appRates(connection: Connection, rates: readonly Rate[]): readonly Rate[] {
  return grantedRates(connection, 'apiRequestsPerSecond') ?? rates;
}

function credentialOf({ credential }: Connection, connector: Connector): Record<string, string> {
  if (credential === null) return {};
  const names = Object.keys(connector.settings).filter((name) => connector.settings[name]!.secret);
  const fields = fieldsOf(credential);
  if (fields) return fields;
  if (names.length === 1 && !credential.trimStart().startsWith('{')) return { [names[0]!]: credential };
  throw new SyncError(
    'InvalidInput',
    `The credential is no JSON object whose values are texts. ${connector.title} wants the fields ${names.join(', ') || 'of its token'}: npx syncline connect NAME --credential-env VARIABLE`,
  );
}

/** Null where it is anything else than an object of texts and numbers; neither the text nor the parser's words are shown. */
function fieldsOf(credential: string): Record<string, string> | null {
  let value: unknown;
  try {
    value = JSON.parse(credential);
  } catch {
    return null;
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return null;
  const entries = Object.entries(value);
  if (!entries.every(([, field]) => typeof field === 'string' || typeof field === 'number')) return null;
  return Object.fromEntries(entries.map(([name, field]) => [name, String(field)]));
}
