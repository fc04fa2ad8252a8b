import type { OrgSource, Probe } from '../../activities/org/source.ts';
import type { Connector } from '../../activities/platform/catalog.ts';
import type { StreamProbe } from '../../activities/platform/probe.ts';
import type { StripeProbe } from '../../activities/stripe/catalog.ts';
import type { Pool } from '../../db/client.ts';
import type { Connection } from '../../db/connections.ts';
import type { Readers } from './connect.platform.ts';
import { byReason } from './grouped.ts';
import { CommandError } from './trouble.ts';
import { count } from './words.ts';

/** One page of a slow source of 10,000 fat rows takes seconds, never more than this. */
const probeMs = 90_000;

/** Reads one page of each list of a connection that is not saved yet, and says what was seen. @throws CommandError */
export async function probe(
  connection: Connection,
  pool: Pool,
  key: Buffer,
  { isDirectory, connector, audience }: Readers,
  ms = probeMs,
): Promise<string[]> {
  const [{ openSource }, { failure, RetryLater }, { closeAgents }, { openThrottle }, { openTokens }, { watchGate }] =
    await Promise.all([
      import('../../activities/org/sources.ts'),
      import('../../activities/errors.ts'),
      import('../../activities/http/request.ts'),
      import('../../activities/http/throttle.ts'),
      import('../../activities/http/auth.ts'),
      import('./connect.gate.ts'),
    ]);
  // Within the budget of all workers, and a token that is asked for here is kept for them.
  const gate = watchGate(openThrottle(pool));
  const { throttle } = gate;
  const tokens = openTokens({ pool, key });
  const timeout = AbortSignal.timeout(ms);
  let source: OrgSource | undefined;
  try {
    if (audience) {
      const { probeChannel, probeDatabase } = await import('../../activities/audience/probe.ts');
      if (audience.kind === 'database') return toldStreams(await probeDatabase(connection));
      return [await probeChannel({ throttle, tokens }, connection, timeout)];
    }
    const { probeStripe, stripe } = await import('../../activities/stripe/catalog.ts');
    if (connector === stripe) return toldStripe(await probeStripe({ throttle, tokens }, connection, timeout));
    const look = async (one: Connector) => {
      const { allowedStreams, probePlatform } = await import('../../activities/platform/probe.ts');
      const found = await probePlatform({ throttle, tokens }, connection, one, timeout);
      return { found, rights: toldRights(connection.id, allowedStreams(one, connection, found)) };
    };
    if (connector && !isDirectory) {
      const { found, rights } = await look(connector);
      return [...toldStreams(found), ...rights];
    }
    // Some options contradict the address (startTls with ldaps://), which the reader notices first.
    source = openSource(connection, { throttle, tokens });
    const lines = told(await source.probe(timeout), connection);
    return connector ? [...lines, ...(await look(connector)).rights] : lines;
  } catch (error) {
    const held = timeout.aborted ? gate.why(ms) : error instanceof RetryLater ? gate.why(error.waitMs) : null;
    const why =
      error instanceof RetryLater && error.why !== null
        ? refusedFor(error.waitMs, error.why, connection)
        : held !== null
          ? `${shown(connection.baseUrl)} was not read: ${held}`
          : timeout.aborted
            ? `${shown(connection.baseUrl)} did not answer within ${ms / 1000} s`
            : error instanceof RetryLater
              ? error.message
              : failure(error, 'connect', connection.id).message;
    throw new CommandError(`${sentence(why)} Nothing was saved; --no-probe saves without reading.`);
  } finally {
    await source?.close();
    await throttle.close();
    await tokens.close();
    await closeAgents();
  }
}

/** What holds a look at a source up longer than a person waits; options of ours would not help. */
function refusedFor(waitMs: number, why: string, { id, no }: Connection): string {
  const until = `${new Date(Date.now() + waitMs).toISOString().slice(0, 16)}Z`;
  const lift =
    no > 0 ? `npx syncline resume ${id}` : 'npx syncline resume, with the name of a connection of the same app,';
  return `${why} Nothing is asked before ${until}. Where it was mended meanwhile, ${lift} ends the wait.`;
}

/** With its full stop, unless it has one or is a question. */
const sentence = (text: string) => (/[.?]$/.test(text) ? text : `${text}.`);

function told(probe: Probe, { id, options }: Connection): string[] {
  const of = (total: number | null) => (total === null ? '' : ` of ${count(total)}`);
  return [
    `Read one page of each list: ${count(probe.users)}${of(probe.userTotal)} users, ${count(probe.groups)}${of(probe.groupTotal)} groups.`,
    ...(probe.users === 0 ? ['No users came: check base address, filters and the rights of the credential.'] : []),
    ...(probe.users > 0 && probe.groups === 0 && options.usersWithoutGroup !== 'accept' ? [withoutGroups(id)] : []),
    ...probe.notes.map((note) => `Note: ${note}.`),
  ];
}

const withoutGroups = (name: string) =>
  'No groups came, and who is in no group is handed back: nobody would be written. Check filters and rights; if the ' +
  `source has no groups: npx syncline connect ${name} --option usersWithoutGroup=accept`;

function toldStreams(streams: readonly StreamProbe[]): string[] {
  const looked = streams.filter(({ skipped }) => skipped === undefined);
  const reasons = [...new Set(streams.flatMap(({ skipped }) => skipped ?? []))];
  const told = looked.map(({ stream, rows, total, faults, trouble }) => {
    if (rows === null) return `${stream}: not readable: ${trouble}`;
    const of = total === null ? '' : ` of ${count(total)}`;
    return `${stream}: read one page, ${count(rows)}${of} rows${faults > 0 ? `, ${count(faults)} of them would be set aside` : ''}.`;
  });
  const left = reasons.map((why) => {
    const names = streams.filter(({ skipped }) => skipped === why).map(({ stream }) => stream);
    return `Not looked at: ${names.join(', ')} (${why}).`;
  });
  return [...told, ...left];
}

/** How runs of platformSync are whole with the rights that a credential has. */
function toldRights(name: string, rights: { allowed: string[]; forbidden: string[] } | null): string[] {
  if (rights === null || rights.allowed.length === 0) return [];
  const { allowed, forbidden } = rights;
  return [
    `platformSync cannot read ${forbidden.join(', ')} with this credential, and its runs would end as partial. To read the others alone: npx syncline connect ${name} --option 'streams=${JSON.stringify(allowed)}'`,
  ];
}

function toldStripe({ limit, share, isTest, readable, unreadable }: StripeProbe): string[] {
  return [
    `Read one page of ${count(readable.length)} lists: ${readable.join(', ')}.`,
    ...byReason(
      unreadable.map(({ type, why }) => ({ type, reason: why })),
      'not readable',
    ),
    `${isTest ? 'A key of a sandbox' : 'A live key'}: ${limit} requests/s, of which ${Math.round(share * 100)} % are used (option share).`,
  ];
}

/** An address as it may be shown: the query may carry keys. */
export function shown(address: string): string {
  const url = new URL(address);
  return `${url.protocol}//${url.host}${url.pathname}`;
}
