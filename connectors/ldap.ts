import { FilterParser } from 'ldapts';
import * as v from 'valibot';
import { directoryOptions, type PersonField, personFieldNames } from './directory.ts';
import { dnKey } from './ldap/dn.ts';

/** Where each field of a person stands: the first of these attributes that has a value (RFC 4519, RFC 2798). */
export const ldapMapping: Record<PersonField, readonly string[]> = {
  userName: ['uid'],
  displayName: ['displayName', 'cn'],
  givenName: ['givenName'],
  familyName: ['sn'],
  email: ['mail'],
  phone: ['telephoneNumber'],
  title: ['title'],
  employeeNumber: ['employeeNumber'],
  active: [],
};

/** The same for servers keyed by objectGUID (Active Directory, Samba), which leave uid empty. */
export const activeDirectoryMapping: Record<PersonField, readonly string[]> = {
  ...ldapMapping,
  userName: ['sAMAccountName'],
  active: ['userAccountControl'],
};

/**
 * Filters used when the connection names none. No `!`: a server that does not know the class or attribute behind it
 * (slapd with `(!(objectClass=computer))`) answers code 0 with no rows. Active Directory knows them, so there built-in
 * accounts, computers and built-in groups are left out.
 */
export const ldapFilters = {
  standard: {
    users: '(|(objectClass=inetOrgPerson)(objectClass=person))',
    groups:
      '(|(objectClass=organizationalUnit)(objectClass=groupOfNames)(objectClass=groupOfUniqueNames)(objectClass=posixGroup)(objectClass=group))',
  },
  activeDirectory: {
    users: '(&(objectCategory=person)(objectClass=user)(!(isCriticalSystemObject=TRUE)))',
    groups: '(&(|(objectClass=organizationalUnit)(objectClass=group))(!(isCriticalSystemObject=TRUE)))',
  },
};

const text = (longest: number) => v.pipe(v.string(), v.minLength(1), v.maxLength(longest));
const attribute = v.pipe(
  text(200),
  v.regex(/^([A-Za-z][A-Za-z0-9-]*|\d+(\.\d+)+)(;[A-Za-z0-9-]+)*$/, 'an attribute name such as employeeNumber'),
);
const dn = v.pipe(
  text(2_000),
  v.check((value) => dnKey(value) !== null, 'a distinguished name such as ou=people,dc=example,dc=org'),
);
const filter = v.pipe(text(4_000), v.check(isFilter, 'an LDAP filter (RFC 4515) such as (objectClass=inetOrgPerson)'));
const attributeOrList = v.union([attribute, v.pipe(v.array(attribute), v.minLength(1), v.maxLength(10))]);

/**
 * An LDAP directory as a source. Base address: `ldap://host:port` or `ldaps://host:port`; credential: the password of
 * `bindDn`, none for an anonymous read. The bind user must be free of the server's size limits (olcLimits and the like).
 * Groups are the entries of `groupFilter`; a group's parent and a person's primary group is the nearest entry above it
 * that is such a group. Members of kind group make no memberships; memberOf is never read, servers leave it empty.
 */
export const ldapOptions = v.strictObject({
  ...directoryOptions,
  /** Name the connection signs in with: a DN, or what the server takes for one. Default none: anonymous, without a credential. */
  bindDn: v.optional(text(1_000)),
  /** Entry below which everything is looked for, e.g. dc=example,dc=org. It must be visible to the bind user. */
  baseDn: dn,
  /** Entry below which people are looked for. Default: baseDn. Members outside of it are handed back as dangling. */
  userBaseDn: v.optional(dn),
  /** Entry below which groups are looked for. Default: baseDn. */
  groupBaseDn: v.optional(dn),
  /**
   * Which entries are people (RFC 4515). Default: person and inetOrgPerson; with idAttribute objectGUID users without
   * computers and built-in accounts. A `!` before something that the server does not know hides everybody.
   */
  userFilter: v.optional(filter),
  /** Which entries are groups. Default: organizationalUnit, groupOfNames, groupOfUniqueNames, posixGroup, group. */
  groupFilter: v.optional(filter),
  /**
   * Attribute that never changes in the life of an entry and names it: entryUUID (default), nsUniqueId (389 Directory
   * Server), objectGUID (Active Directory, Samba; binary, kept as GUID text) or another text attribute. Checked by
   * `connect` and by every read.
   */
  idAttribute: v.optional(attribute, 'entryUUID'),
  /**
   * Attribute with a group's name. Default none: the value in its DN, `Sales` of ou=Sales,dc=example,dc=org, which
   * siblings may share (ou=Sales and cn=Sales). Siblings of one name by an attribute are handed back.
   */
  groupNameAttribute: v.optional(attribute),
  /** Attributes of a group that list members. All hold DNs but memberUid, which holds values of uid. At most 10. */
  memberAttributes: v.optional(v.pipe(v.array(attribute), v.maxLength(10)), ['member', 'uniqueMember', 'memberUid']),
  /** Entries asked for a page; halved down to 100 where the server refuses it. 0: one search without paging. Default 1000. */
  pageSize: v.optional(v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(10_000)), 1_000),
  /** Upgrades an ldap:// connection to TLS before the password is sent. Default false. */
  startTls: v.optional(v.boolean(), false),
  /** PEM file on the worker with the only CAs that are trusted. Default: those of Node.js. */
  caFile: v.optional(text(4_096)),
  /** Name that the server's certificate must carry. Default: the host of the base address. */
  tlsServerName: v.optional(text(253)),
  /**
   * Search answers that point to other servers are never followed. `doubt` (default): then the read proves nobody gone.
   * `ignore`: they hold nobody of ours, as the zones that Active Directory names below a domain.
   */
  referrals: v.optional(v.picklist(['doubt', 'ignore']), 'doubt'),
  /**
   * Other attributes for the fields of a person: a name, or several of which the first with a value counts, e.g.
   * {"title": "description", "userName": ["uid", "cn"]}. `active` also takes userAccountControl, nsAccountLock and
   * loginDisabled, which say the opposite. Who lacks one of the last two is active; where everybody does, it was not read.
   */
  mapping: v.optional(
    v.partial(
      v.strictObject(
        Object.fromEntries(personFieldNames.map((f) => [f, attributeOrList])) as Record<
          PersonField,
          typeof attributeOrList
        >,
      ),
    ),
    {},
  ),
  /** Extra fields kept in org.users.attributes: our key to attribute name. Its first value is kept. */
  attributes: v.optional(v.record(v.string(), attribute), {}),
});

export type LdapOptions = v.InferOutput<typeof ldapOptions>;

/** ldapts takes `(&(a=b)` for a filter, so brackets are counted here; inside values they are written \28 and \29. */
function isFilter(value: string): boolean {
  let open = 0;
  for (const c of value) {
    open += c === '(' ? 1 : c === ')' ? -1 : 0;
    if (open < 0) return false;
  }
  try {
    return open === 0 && FilterParser.parseString(value) !== undefined;
  } catch (error) {
    if (error instanceof Error) return false;
    throw error;
  }
}
