import { type DirectoryUser, personFieldNames } from '../directory.ts';
import { activeDirectoryMapping, type LdapOptions, ldapFilters, ldapMapping } from '../ldap.ts';
import { rdnValue } from './dn.ts';
import { binaryAttributes, idOf, type LdapEntry } from './entry.ts';

/** Members an entry names. A server that caps a list (`member;range=0-1499`) names in `more` where it goes on. */
export interface MemberNames {
  dns: string[];
  uids: string[];
  more: { attribute: string; from: number }[];
}

/** Attributes that lock an account; servers keep them on locked ones alone. */
const locks: ReadonlySet<string> = new Set(['nsaccountlock', 'logindisabled']);

/** Turns entries into directory rows by the connection's mapping. */
export function ldapReader(options: LdapOptions) {
  // Servers keyed by objectGUID are Active Directory or Samba.
  const kind = binaryAttributes.has(options.idAttribute.toLowerCase()) ? 'activeDirectory' : 'standard';
  const mapping = kind === 'standard' ? ldapMapping : activeDirectoryMapping;
  const fields = personFieldNames.map((f) => [f, [options.mapping[f] ?? mapping[f]].flat()] as const);
  const extras = Object.entries(options.attributes);
  const members = options.memberAttributes.map((a) => a.toLowerCase());
  const name = options.groupNameAttribute;
  const [flag = ''] = [options.mapping.active ?? mapping.active].flat();
  return {
    /** Whether an entry without the attribute of `active` is one of an active account. */
    absentIsActive: locks.has(flag.toLowerCase()),
    filters: {
      users: options.userFilter ?? ldapFilters[kind].users,
      groups: options.groupFilter ?? ldapFilters[kind].groups,
    },
    userAttributes: [...new Set([options.idAttribute, ...fields.flatMap(([, a]) => a), ...extras.map(([, a]) => a)])],
    groupAttributes: [options.idAttribute, 'objectClass', ...(name ? [name] : [])],
    id: (entry: LdapEntry) => idOf(entry, options.idAttribute),
    user(entry: LdapEntry): DirectoryUser {
      const user: DirectoryUser = { id: idOf(entry, options.idAttribute), fields: {} };
      for (const [field, names] of fields) {
        const attribute = names.find((n) => entry.values.has(n.toLowerCase())) ?? names[0];
        if (attribute === undefined) continue;
        const value = firstValue(entry, attribute);
        user.fields[field] = field === 'active' ? activeOf(attribute, value) : value;
      }
      if (extras.length > 0)
        user.attributes = Object.fromEntries(extras.map(([key, a]) => [key, textOf(firstValue(entry, a))]));
      return user;
    },
    groupName: (entry: LdapEntry) => (name ? firstValue(entry, name) : rdnValue(entry.dn)),
    members: (entry: LdapEntry) => memberNames(entry, members),
  };
}

export type LdapReader = ReturnType<typeof ldapReader>;

/** Of several values the one in the entry's DN, which is there to name it; else the first. */
function firstValue(entry: LdapEntry, attribute: string): string | Buffer | undefined {
  const values = entry.values.get(attribute.toLowerCase());
  if (values === undefined || values.length < 2) return values?.[0];
  const named = entry.dn.toLowerCase().startsWith(`${attribute.toLowerCase()}=`) ? rdnValue(entry.dn) : null;
  return values.find((value) => value === named) ?? values[0];
}

function textOf(value: string | Buffer | undefined): string | null {
  return value === undefined ? null : typeof value === 'string' ? value : value.toString('base64');
}

/** Undefined where the entry lacks the attribute: whether that means an active account, only the whole pass can tell. */
function activeOf(attribute: string, value: string | Buffer | undefined): unknown {
  const name = attribute.toLowerCase();
  if (value === undefined) return undefined;
  // Bit 2 is ACCOUNTDISABLE.
  if (name === 'useraccountcontrol') return (Number(value) & 2) === 0;
  return locks.has(name) ? String(value).toLowerCase() !== 'true' : value;
}

function memberNames(entry: LdapEntry, attributes: readonly string[]): MemberNames {
  const names: MemberNames = { dns: [], uids: [], more: [] };
  for (const [key, values] of entry.values) {
    const [attribute, range] = key.split(';range=', 2) as [string, string?];
    if (!attributes.includes(attribute)) continue;
    const list = attribute === 'memberuid' ? names.uids : names.dns;
    for (const value of values) if (typeof value === 'string') list.push(withoutBits(value));
    const last = range?.split('-')[1];
    if (last !== undefined && last !== '*') names.more.push({ attribute, from: Number(last) + 1 });
  }
  return names;
}

/** uniqueMember may carry a bit string behind the name (RFC 4517, Name and Optional UID). */
function withoutBits(value: string): string {
  return value.endsWith("'B") ? value.replace(/#'[01]*'B$/, '') : value;
}
