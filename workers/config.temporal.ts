import { loadClientConfigProfile, toClientOptions } from '@temporalio/envconfig';
import type { Config, Environment } from './config.ts';

/**
 * The connection from the TEMPORAL_* variables and the profile file of Temporal's own tools. A server counts as named
 * when an address, an API key or a profile is; a namespace alone is made in the server that is started here.
 */
export function readTemporal(env: Environment, problems: string[]): Pick<Config, 'temporal' | 'namespace'> {
  // To envconfig an empty value is a value: an empty API key switches TLS on, an empty profile hides the file.
  const filled = Object.entries(env).filter((entry): entry is [string, string] => Boolean(entry[1]));
  try {
    const profile = loadClientConfigProfile({ overrideEnvVars: Object.fromEntries(filled) });
    const namespace = profile.namespace || 'default';
    if (!profile.address && profile.apiKey) {
      problems.push(
        'TEMPORAL_ADDRESS: got nothing, though an API key is set; accepted: host:port of the server that the key is for',
      );
    }
    if (profile.address?.includes('://')) {
      problems.push(
        `TEMPORAL_ADDRESS: got "${shorten(profile.address)}"; accepted: host:port without a scheme, such as localhost:7233`,
      );
    }
    const named = profile.address || profile.apiKey || env.TEMPORAL_PROFILE;
    return named ? { temporal: toClientOptions(profile).connectionOptions, namespace } : { namespace };
  } catch (error) {
    // Only the first line: the lines below quote the profile file, which may hold a key.
    const [reason] = (error as Error).message.split('\n');
    problems.push(
      `TEMPORAL_*: ${reason}; accepted: TEMPORAL_PROFILE names a profile of TEMPORAL_CONFIG_FILE ` +
        '(~/.config/temporalio/temporal.toml), and TEMPORAL_TLS_*_PATH files that exist',
    );
    return { namespace: 'default' };
  }
}

/** A value as an error may show it. */
export function shorten(text: string): string {
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}
