import { readFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import type { ConnectionOptions } from 'node:tls';
import type { LdapOptions } from '../../../connectors/ldap.ts';
import { SyncError } from '../../errors.ts';

/** Where the server of a connection is. */
export interface Target {
  /** `ldap://host:port`, for errors: without user info. */
  url: string;
  host: string;
  port: number;
  tls: boolean;
}

/** Reads the base address of a connection. */
export function readTarget(baseUrl: string, startTls: boolean): Target {
  const url = URL.canParse(baseUrl) ? new URL(baseUrl) : null;
  if (!url || (url.protocol !== 'ldap:' && url.protocol !== 'ldaps:') || url.hostname === '')
    throw new SyncError(
      'InvalidInput',
      'The base address of an LDAP connection is ldap://host:port or ldaps://host:port',
    );
  const tls = url.protocol === 'ldaps:';
  if (tls && startTls)
    throw new SyncError('InvalidInput', `${url.protocol}//${url.host} is TLS from the start: set startTls to false`);
  const port = Number(url.port) || (tls ? 636 : 389);
  return { url: `${url.protocol}//${url.hostname}:${port}`, host: url.hostname.replace(/^\[|\]$/g, ''), port, tls };
}

/** What TLS needs to know of a connection: whom it expects and whom it trusts. */
export async function tlsOptions(target: Target, options: LdapOptions): Promise<ConnectionOptions> {
  const name = options.tlsServerName ?? target.host;
  return {
    host: target.host,
    // An IP address is no server name in TLS; it is still compared with the certificate, as the host.
    ...(isIP(name) === 0 && { servername: name }),
    ...(options.caFile !== undefined && { ca: await readCa(options.caFile) }),
  };
}

async function readCa(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    const code = (error as { code?: string }).code ?? 'unreadable';
    throw new SyncError(
      'InvalidInput',
      `The option caFile names a file that cannot be read on this machine (${code}); connect and every worker need it`,
      {
        cause: error,
      },
    );
  }
}
