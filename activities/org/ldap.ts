import type { LdapOptions } from '../../connectors/ldap.ts';
import type { OrgSource } from './source.ts';
export function ldapSource(_baseUrl: string, _password: string | null, _options: LdapOptions): OrgSource {
  throw new Error('not there yet');
}
