import * as v from 'valibot';
import { expect } from 'vitest';
import { ldapSource } from '../../activities/org/ldap.ts';
import type { OrgSource, SourcePage, StagedGroups } from '../../activities/org/source.ts';
import { ldapOptions } from '../../connectors/ldap.ts';
import type { Stream } from '../../db/org/stageRows.ts';
import { readerDn, readerPassword, type Slapd, type SlapdOptions, slapdMissing, startSlapd, suffix } from './slapd.ts';

const sources: OrgSource[] = [];
const servers: { stop(): Promise<void> }[] = [];

/** Never aborted. */
export const { signal } = new AbortController();

/** Says how to install slapd where it is missing; the tests that need it are skipped then. */
export function withoutSlapd(): boolean {
  const missing = slapdMissing();
  if (missing !== null)
    process.stdout.write(`The LDAP tests need slapd and are skipped. Install it with: ${missing}\n`);
  return missing !== null;
}

/** Closed by `closeSources`. */
export function sourceOf(url: string, options: Record<string, unknown> = {}, password: string | null = readerPassword) {
  const given = { baseDn: suffix, ...(password === null ? {} : { bindDn: readerDn }), ...options };
  const source = ldapSource(url, password, v.parse(ldapOptions, given));
  sources.push(source);
  return source;
}

/** Starts a slapd that `stopServers` stops. */
export async function start(options: SlapdOptions): Promise<Slapd> {
  const slapd = await startSlapd(options);
  stopLater(slapd);
  return slapd;
}

/** Hands a server over to `stopServers`. */
export function stopLater(server: { stop(): Promise<void> }): void {
  servers.push(server);
}

/** Closes every source that `sourceOf` opened; for `afterEach`. */
export async function closeSources(): Promise<void> {
  for (const source of sources.splice(0)) await source.close();
}

/** For `afterAll`. */
export async function stopServers(): Promise<void> {
  for (const server of servers.splice(0)) await server.stop();
}

/** LDAP reads its groups itself and asks nothing of the stage. */
export const noGroups: StagedGroups = { ids: async () => [], level: async () => [], count: async () => 0 };

export async function pagesOf(source: OrgSource, stream: Stream, onPage?: (page: SourcePage) => Promise<void>) {
  const pages: SourcePage[] = [];
  for await (const page of source.pages(stream, null, signal, noGroups)) {
    pages.push(page);
    await onPage?.(page);
  }
  return pages;
}

/** Reads both lists to their ends. */
export async function readAll(source: OrgSource) {
  const lists = { groups: await pagesOf(source, 'groups'), users: await pagesOf(source, 'users') };
  const pages = [...lists.groups, ...lists.users].map((p) => p.page);
  return {
    lists,
    groups: pages.flatMap((p) => p.groups),
    users: pages.flatMap((p) => p.users),
    members: pages.flatMap((p) => p.members),
    unkeyed: pages.flatMap((p) => p.unkeyed),
    doubts: [lists.groups, lists.users].map((list) => list.at(-1)?.ended?.doubt),
  };
}
export type Read = Awaited<ReturnType<typeof readAll>>;

export const userNamed = (read: Read, name: string) => read.users.find((u) => u.fields[0] === name)!;
export const groupNamed = (read: Read, name: string) => read.groups.find((g) => g.name === name)!;
/** `group > person` for each membership, `*` before primary ones; what is nobody's stands as its id. */
export function memberships(read: Read): string[] {
  const names = new Map<string, unknown>([
    ...read.users.map((u) => [u.id, u.fields[0]] as const),
    ...read.groups.map((g) => [g.id, g.name] as const),
  ]);
  return read.members
    .map((m) => `${m.isPrimary ? '*' : ''}${names.get(m.groupId)} > ${names.get(m.memberId) ?? m.memberId}`)
    .sort();
}

export async function failure(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => expect.fail('it should have failed'),
    (error: Error & { type?: string }) => `${error.type}: ${error.message}`,
  );
}
