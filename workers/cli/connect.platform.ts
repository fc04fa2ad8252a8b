import * as v from 'valibot';
import type { AudienceReader } from '../../activities/audience/catalog.ts';
import type { Connector } from '../../activities/platform/catalog.ts';
import type { StoredConnection } from '../../db/connections.ts';
import { openCatalog } from './connectors.ts';
import { changeOptions } from './options.ts';
import type { Session } from './session.ts';
import { CommandError, wrongUse } from './trouble.ts';

type Options = Record<string, unknown>;

/** Who reads a platform: orgSync as a directory, platformSync by its connector, or both. */
export interface Readers {
  isDirectory: boolean;
  connector?: Connector;
  /** Set for a foreign database and for a channel, which no connector of a platform describes. */
  audience?: AudienceReader;
}

/** @throws CommandError (usage) for a platform that nothing reads, and for another one than the connection has */
export async function findReaders(
  session: Session,
  { name, before, ...given }: { name: string; before?: StoredConnection; platform?: string },
): Promise<Readers> {
  const platform = given.platform ?? before?.platform;
  if (platform === undefined || platform === 'hubspot') return { isDirectory: false };
  const { directoryPlatforms, connectors } = await openCatalog(session);
  const { audienceReader, channels, databasePlatform } = await import('../../activities/audience/catalog.ts');
  const audience = audienceReader(platform) ?? undefined;
  const { stripe } = await import('../../activities/stripe/catalog.ts');
  const connectorOf = (one: string) =>
    one === stripe.platform ? stripe : Object.hasOwn(connectors, one) ? connectors[one] : undefined;
  const isDirectory = directoryPlatforms.includes(platform);
  const connector = connectorOf(platform);
  if (!isDirectory && !connector && !audience)
    throw wrongUse(
      `--platform: got "${platform.slice(0, 40)}", accepted what orgSync reads: ${directoryPlatforms.join(', ')}, what platformSync reads: ${Object.keys(connectors).join(', ')}, what stripeSync reads: ${stripe.platform}, what hubspotSync writes: hubspot, what segmentSync reads: ${databasePlatform}, and channels: ${Object.keys(channels).join(', ')}`,
    );
  // Its rows stand in the schema of its platform, and its credential is for that platform alone.
  if (before && before.platform !== platform && (connector || audience || connectorOf(before.platform)))
    throw wrongUse(
      `--platform: connection "${name}" is of platform ${before.platform} and stays there. Make another connection for ${platform}.`,
    );
  return { isDirectory, connector: audience?.connector ?? connector, ...(audience && { audience }) };
}

/** Stored options with what was given; the connector's settings are texts as they were typed (`shopId=007` keeps its zeros). */
export function changePlatformOptions(
  { settings, platform }: Connector,
  stored: Options,
  assignments: readonly string[],
  unset: readonly string[],
): Options {
  const texts: Options = {};
  const others = assignments.filter((assignment) => {
    const [key = ''] = assignment.split('=', 1);
    const setting = Object.hasOwn(settings, key) ? settings[key] : undefined;
    if (setting?.secret)
      throw wrongUse(
        `--option: ${key} is a field of the credential of ${platform}, which is not taken as an argument: the shell keeps it in its history. Put {"${key}":"…"} into an environment variable and name that: --credential-env NAME. Or leave it out and type it when asked.`,
      );
    if (!setting || !assignment.includes('=')) return true;
    texts[key] = assignment.slice(key.length + 1);
    return false;
  });
  return { ...changeOptions(stored, others, unset), ...texts };
}

/**
 * Checks the settings of a connector and, where no directory reads the platform too, all other options.
 * @throws CommandError (usage) for an option that is missing, unknown or of another kind
 */
export async function checkPlatformOptions(
  name: string,
  { connector, isDirectory, audience }: Readers,
  options: Options,
): Promise<void> {
  if (!connector) return;
  const { readStripeOptions, stripe } = await import('../../activities/stripe/catalog.ts');
  if (connector === stripe) {
    try {
      readStripeOptions(name, options);
    } catch (error) {
      throw wrongUse((error as Error).message);
    }
    return;
  }
  const { explain, optionsSchema } = await import('../../activities/platform/catalog.ts');
  const wrong = (what: string) =>
    wrongUse(
      `Connection "${name}", options: ${what}. Correct it with: npx syncline connect ${name} --option key=value`,
    );
  for (const [key, { secret, about, default: fallback }] of Object.entries(connector.settings)) {
    if (secret || (options[key] === undefined && fallback !== undefined)) continue;
    if (options[key] === undefined || options[key] === '')
      throw wrong(`${key}: got ${options[key] === '' ? 'an empty text' : 'nothing'}, accepted a text: ${about}`);
  }
  const schema = audience?.schema ?? optionsSchema(connector);
  const result = v.safeParse(schema, options);
  if (!result.success && !isDirectory) throw wrong(explain(schema, result.issues[0]));
  const known = Object.keys(connector.streams);
  const { streams } = options;
  const stream = Array.isArray(streams) ? streams.find((one) => !known.includes(one)) : undefined;
  if (stream !== undefined) throw wrong(`streams: got "${String(stream).slice(0, 40)}", accepted ${known.join(', ')}`);
}

/**
 * The credential as it is stored: a JSON object of its fields; null where the platform wants none.
 * @param given a JSON object; where the platform wants one field, its text alone will do
 * @throws CommandError that names the field and never shows a value
 */
export function credentialText(connector: Connector, given: string | null): string | null {
  const names = secretsOf(connector);
  const example = `{${names.map((name) => `"${name}":"…"`).join(',')}}`;
  const accepted = names.length > 0 ? `a JSON object ${example}` : 'none: --no-credential';
  const fields = given === null ? {} : fieldsOf(given, names);
  if (fields === null) throw new CommandError(`credential: got something else, accepted ${accepted}`);
  const strangers = Object.keys(fields).filter((field) => !names.includes(field));
  // Their names are not shown: a text that was cut wrongly may stand there.
  if (strangers.length > 0)
    throw new CommandError(
      `credential: got ${strangers.length} unknown field${strangers.length > 1 ? 's' : ''}, accepted ${accepted}`,
    );
  for (const name of names) {
    const value = fields[name];
    const { about, default: fallback } = connector.settings[name]!;
    if (value === undefined && fallback !== undefined) continue;
    if (typeof value !== 'string' || value === '') {
      const got = value === undefined ? 'nothing' : value === '' ? 'an empty text' : 'something that is no text';
      throw new CommandError(`credential: ${name}: got ${got}, accepted a text: ${about}`);
    }
  }
  return Object.keys(fields).length === 0 ? null : JSON.stringify(fields);
}

/** Asks for each field of the credential without showing it. Empty ones that may be left out are. */
export async function askFields(session: Session, name: string, connector: Connector): Promise<string> {
  const fields: Record<string, string> = {};
  for (const field of secretsOf(connector)) {
    const { about, default: fallback } = connector.settings[field]!;
    const may = fallback === undefined ? '' : '; empty for none';
    const typed = await session.terminal.askSecret(`${field} of ${name}: ${about} (not shown${may}): `);
    if (typed !== '' || fallback === undefined) fields[field] = typed;
  }
  return JSON.stringify(fields);
}

function secretsOf({ settings }: Connector): string[] {
  return Object.keys(settings).filter((name) => settings[name]?.secret);
}

/** Null for what is no object of fields. */
function fieldsOf(given: string, names: string[]): Record<string, unknown> | null {
  const [only] = names;
  if (names.length === 1 && only !== undefined && !given.trimStart().startsWith('{')) return { [only]: given };
  try {
    const value: unknown = JSON.parse(given);
    const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
    return isObject ? (value as Record<string, unknown>) : null;
  } catch (error) {
    // The parser's words quote the credential.
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}
