import * as v from 'valibot';
import { afterEach, describe, expect, it } from 'vitest';
import { ldapSource } from '../activities/org/ldap.ts';
import { dnKey, rdnValue } from '../connectors/ldap/dn.ts';
import { DnIndex } from '../connectors/ldap/dnIndex.ts';
import { ldapOptions } from '../connectors/ldap.ts';
import { closeSources, failure, signal, sourceOf } from './harness/ldap-read.ts';
import { readerDn, suffix } from './harness/slapd.ts';

afterEach(closeSources);

describe('names of entries', () => {
  it.each([
    ['cn=Smith\\2C S\\C3\\B8ren,dc=example', 'cn=Smith\\, Søren,dc=example'],
    ['CN=Smith\\,  søren , DC=Example', 'cn=smith\\2c Søren,dc=example'],
    ['cn="Smith, Søren";dc=example', 'cn=Smith\\, Søren,dc=example'],
    ['2.5.4.3=#0c0d536d6974682c2053c3b872656e,dc=example', 'cn=Smith\\, Søren,dc=example'],
    ['OID.2.5.4.11=Sales,domainComponent=x', 'ou=sales,dc=x'],
    ['cn=Anna+l=Oslo,dc=x', 'L=oslo + CN=anna,dc=x'],
    ['cn=Ame\u0301lie,dc=x', 'cn=Am\u00e9lie,dc=x'],
    ['cn=\\ a \\ ,dc=x', 'cn=a,dc=x'],
    ['cn=1=2\\+3\\\\\\"\\#,dc=x', 'cn=1\\3d2\\2B3\\5C\\22\\23,dc=x'],
  ])('takes %s for %s', (a, b) => {
    expect(dnKey(a)).not.toBeNull();
    expect(dnKey(a)).toBe(dnKey(b));
  });

  it.each([
    ['cn=a\\,b,dc=x', 'cn=a,cn=b,dc=x'],
    ['cn=a\\+b=c,dc=x', 'cn=a+b=c,dc=x'],
    ['cn=ab,dc=x', 'cn=a b,dc=x'],
    ['cn=o,dc=x', 'cn=ø,dc=x'],
  ])('tells %s from %s', (a, b) => expect(dnKey(a)).not.toBe(dnKey(b)));

  it('says of a text without type or with half an escape that it is no name', () => {
    expect([dnKey('anna'), dnKey('cn=a,anna'), dnKey('=x'), dnKey('cn=#0g')]).toEqual([null, null, null, null]);
    expect([dnKey(''), dnKey('  ')]).toEqual(['', '']);
  });

  it('does not fail on values that lie about their length', () => {
    expect(dnKey('cn=#0c84,dc=x')).toBe('cn=\\230c84,dc=x');
    expect(dnKey('cn=#0c05aa,dc=x')).toBe('cn=\\230c05aa,dc=x');
    expect(dnKey('cn=#,dc=x')).toBeNull();
  });

  it('shows the value of an RDN unescaped and as it is written', () => {
    expect(rdnValue('ou=Sales\\, S\\C3\\B8r,dc=x')).toBe('Sales, Sør');
    expect(rdnValue('')).toBeNull();
  });

  it('finds an entry by another spelling, its nearest ancestor, and nobody where two have one name', () => {
    const index = new DnIndex();
    index.add('ou=Sales\\2C North,dc=x', 'sales');
    index.add('dc=x', 'root');
    expect(index.get('OU=sales\\, north, DC=x')).toBe('sales');
    expect(index.nearest('uid=a,ou=between,ou=Sales\\, North,dc=x')).toBe('sales');
    expect(index.nearest('ou=Sales\\2C North,dc=x')).toBe('root');
    expect(index.nearest('dc=x')).toBeNull();
    index.add('ou=sales\\2c  north,dc=x', 'another');
    expect(index.get('ou=Sales\\, North,dc=x')).toBeUndefined();
  });
});

describe('options', () => {
  it('refuses names and filters that are none, and unknown options', () => {
    const accepts = (options: object) => v.safeParse(ldapOptions, { baseDn: suffix, ...options }).success;
    expect(accepts({})).toBe(true);
    expect(accepts({ baseDn: 'example.org' })).toBe(false);
    expect(accepts({ userFilter: '(&(objectClass=person)' })).toBe(false);
    expect(accepts({ userFilter: '(&(objectClass=person)(!(memberOf:1.2.840.113556.1.4.1941:=cn=x)))' })).toBe(true);
    expect(accepts({ sizeLimit: 500 })).toBe(false);
    expect(accepts({ idAttribute: 'entry UUID' })).toBe(false);
    expect(accepts({ mapping: { title: ['description', 'title'] } })).toBe(true);
  });

  it('refuses addresses and sign-ins that cannot be meant', async () => {
    const open = (url: string, options: object) => () => ldapSource(url, null, v.parse(ldapOptions, options));
    expect(open('https://127.0.0.1', { baseDn: suffix })).toThrow('ldap://host:port or ldaps://host:port');
    expect(open('ldaps://127.0.0.1', { baseDn: suffix, startTls: true })).toThrow('TLS from the start');
    const withoutPassword = sourceOf('ldap://127.0.0.1:1', { bindDn: readerDn }, null);
    expect(await failure(withoutPassword.probe(signal))).toMatch(/^InvalidInput: .*bindDn without a password/);
    const refused = await failure(sourceOf('ldap://127.0.0.1:1').probe(signal));
    expect(refused).toBe('Unavailable: ldap://127.0.0.1:1 did not answer (ECONNREFUSED)');
  });
});
