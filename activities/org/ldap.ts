import type { LdapOptions } from '../../connectors/ldap.ts';
import { Directory } from './ldap/directory.ts';
import { groupPages, userPages } from './ldap/lists.ts';
import { probeDirectory } from './ldap/probe.ts';
import { requireBase } from './ldap/search.ts';
import { Session } from './ldap/session.ts';
import { SingleReads } from './ldap/single.ts';
import { readTarget } from './ldap/target.ts';
import type { OrgSource } from './source.ts';

/**
 * An LDAP directory. A list is read in one chain of pages on a connection of its own. Memberships come from two places:
 * the groups list brings the members that groups name, resolved to ids by a short read of everybody before it; the
 * users list brings the unit each person stands in, which is the primary group. Kept in memory is one page and, for the
 * groups list, id and name of everybody: about 300 bytes a person.
 */
export function ldapSource(baseUrl: string, password: string | null, options: LdapOptions): OrgSource {
  const target = readTarget(baseUrl, options.startTls);
  const directory = new Directory(options);
  const single = new SingleReads(directory);
  const sessions = new Set<Session>();
  let side: Promise<Session> | null = null;

  async function open(signal: AbortSignal): Promise<Session> {
    const session = await Session.open(target, password, options, signal);
    sessions.add(session);
    return session;
  }

  function aside(signal: AbortSignal): Promise<Session> {
    side ??= open(signal);
    return side;
  }

  return {
    resumable: false,
    absentMeansNone: true,
    absentIsActive: directory.reader.absentIsActive,
    narrowed: options.userFilter !== undefined,
    async *pages(stream, _cursor, signal) {
      const session = await open(signal);
      try {
        for (const base of directory.allBases) await requireBase(session, base);
        yield* (stream === 'groups' ? groupPages : userPages)(directory, session, () => aside(signal));
      } finally {
        session.close();
        sessions.delete(session);
      }
    },
    readOne: (stream, id, signal) => single.read(() => aside(signal), stream, id),
    probe: (signal) =>
      probeDirectory(directory, () => open(signal), password !== null && !target.tls && !options.startTls),
    async close() {
      for (const session of sessions) session.close();
      sessions.clear();
    },
  };
}
