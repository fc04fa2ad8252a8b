import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Config } from './config.ts';

/**
 * The key that seals credentials: SYNCLINE_SECRET_KEY, else, only beside the embedded database, one made at first use and
 * kept with it. A database that others share needs a key that outlives this machine, so none is made up for it.
 */
export function secretKeyOf(config: Config): Buffer {
  if (config.secretKey) return config.secretKey;
  if (config.databaseUrl) {
    throw new Error(
      'SYNCLINE_SECRET_KEY is not set: 32 bytes as base64 or hex, the same for every worker and CLI. Make one with: openssl rand -base64 32',
    );
  }
  const file = join(config.dataDir, 'secret.key');
  if (!existsSync(file)) {
    mkdirSync(config.dataDir, { recursive: true });
    writeFileSync(file, randomBytes(32).toString('base64'), { mode: 0o600 });
  }
  return Buffer.from(readFileSync(file, 'utf8'), 'base64');
}
