import { type FailureType, SyncError } from '../../errors.ts';

/** Result codes of LDAP (RFC 4511, appendix A) that mean something to a read. */
export const ldapCode = {
  success: 0,
  operationsError: 1,
  protocolError: 2,
  timeLimitExceeded: 3,
  sizeLimitExceeded: 4,
  strongerAuthRequired: 8,
  referral: 10,
  adminLimitExceeded: 11,
  unavailableCriticalExtension: 12,
  confidentialityRequired: 13,
  noSuchObject: 32,
  invalidDnSyntax: 34,
  inappropriateAuthentication: 48,
  invalidCredentials: 49,
  insufficientAccessRights: 50,
  busy: 51,
  unavailable: 52,
  unwillingToPerform: 53,
} as const;

const demandsTls = 'the server demands TLS: use ldaps:// or set the option startTls to true';
const badSignIn =
  'bindDn or its password is wrong, or the account is locked or expired. Give valid ones: npx syncline connect NAME --option bindDn=DN --credential-env VARIABLE';
const limitReached =
  'the bind user is under a size limit of the server, so the list would be cut. Free the bind user of it (slapd: olcLimits … size=unlimited size.prtotal=unlimited; 389: nsSizeLimit, nsLookThroughLimit and nsPagedSizeLimit -1)';

/** One table from result code to failure. The server's own text never passes: it may quote names and values. */
const verdicts: Record<number, [FailureType, string]> = {
  [ldapCode.operationsError]: [
    'Forbidden',
    'the bind user may not search there, or a bind is needed first: set bindDn and its password',
  ],
  [ldapCode.protocolError]: ['BadAnswer', 'the server does not understand the request'],
  [ldapCode.timeLimitExceeded]: [
    'BadAnswer',
    'a time limit of the server ended the search: free the bind user of it (slapd: olcLimits … time=unlimited) or set a smaller pageSize',
  ],
  [ldapCode.sizeLimitExceeded]: ['Forbidden', limitReached],
  [ldapCode.strongerAuthRequired]: ['InvalidInput', demandsTls],
  [ldapCode.referral]: ['InvalidInput', 'the base entry is on another server: use the address of that server'],
  [ldapCode.adminLimitExceeded]: ['Forbidden', limitReached],
  [ldapCode.unavailableCriticalExtension]: ['InvalidInput', 'the server knows no paging: set the option pageSize to 0'],
  [ldapCode.confidentialityRequired]: ['InvalidInput', demandsTls],
  [ldapCode.noSuchObject]: ['InvalidInput', 'no such entry, or the bind user may not see it: check baseDn and rights'],
  [ldapCode.invalidDnSyntax]: ['InvalidInput', 'the server does not take bindDn or baseDn for a name'],
  [ldapCode.inappropriateAuthentication]: ['Unauthorized', badSignIn],
  [ldapCode.invalidCredentials]: ['Unauthorized', badSignIn],
  [ldapCode.insufficientAccessRights]: ['Forbidden', 'the bind user has no right to it'],
  [ldapCode.busy]: ['Unavailable', 'the server is busy'],
  [ldapCode.unavailable]: ['Unavailable', 'the server is shutting down or starting'],
  [ldapCode.unwillingToPerform]: ['BadAnswer', 'the server is unwilling, often for the rights of the bind user'],
};

/** What a result code other than 0 means. `doing` says what was asked, e.g. `search below "dc=example"`. */
export function refusal(code: number, url: string, doing: string): SyncError {
  const [type, meaning] = verdicts[code] ?? ['BadAnswer', 'a result code that a read does not expect'];
  return new SyncError(type, `${url}, ${doing}: LDAP code ${code}, ${meaning}`);
}

/** Certificate faults by their codes in Node.js. */
const untrusted = new Set([
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'CERT_SIGNATURE_FAILURE',
  'CERT_UNTRUSTED',
  'INVALID_CA',
]);

/** What a failure of the network or of TLS means: its code passes, its text does not. */
export function trouble(error: Error, url: string): SyncError {
  if (error instanceof SyncError) return error;
  const code = (error as { code?: string }).code ?? error.name;
  if (untrusted.has(code))
    return new SyncError(
      'InvalidInput',
      `${url}: the certificate is signed by none of the trusted CAs (${code}): set the option caFile to a PEM file with the CA of the server`,
      { cause: error },
    );
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID')
    return new SyncError(
      'InvalidInput',
      `${url}: the certificate is of another name (${code}): use that name in the base address or set the option tlsServerName`,
      { cause: error },
    );
  if (code.startsWith('CERT_'))
    return new SyncError('InvalidInput', `${url}: the certificate is not valid (${code}): renew it on the server`, {
      cause: error,
    });
  if (code === 'ERR_SSL_WRONG_VERSION_NUMBER' || code === 'EPROTO')
    return new SyncError(
      'InvalidInput',
      `${url}: no TLS on this port (${code}): use ldap://, if need be with startTls`,
      { cause: error },
    );
  return new SyncError('Unavailable', `${url} did not answer (${code})`, { cause: error });
}
