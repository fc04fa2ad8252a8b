import type { ClientDeps } from '../../activities/http/client.ts';
import type { CheckReport } from '../../activities/hubspot/desk.ts';
import type { Pool } from '../../db/client.ts';
import { type Connection, ConnectionUnknown, listConnections, loadConnection } from '../../db/connections.ts';
import { secretKeyOf } from '../secret.ts';
import { explain } from './reasons.ts';
import type { Session } from './session.ts';
import { start } from './start.ts';
import { CommandError, wrongUse } from './trouble.ts';
import { count } from './words.ts';

interface ConnectionOption {
  connection?: string;
}

/** Longest time for the few calls of a check. */
const checkMs = 60_000;

/**
 * The connection that was named, or the only one to HubSpot.
 * @param place how the command takes its name
 * @throws CommandError (usage) that names those there are
 */
export async function hubspotConnection(
  session: Session,
  name: string | undefined,
  place = '--connection NAME',
): Promise<string> {
  const all = (await listConnections(await session.pool())).filter(({ platform }) => platform === 'hubspot');
  const names = all.map(({ id }) => id);
  if (name !== undefined) {
    const stored = await session.connection(name).catch((error: unknown) => {
      throw error instanceof ConnectionUnknown ? error.of('hubspot') : error;
    });
    if (stored.platform === 'hubspot') return name;
    throw wrongUse(
      `connection: got "${name}" of platform ${stored.platform}, accepted one of hubspot: ${names.join(', ') || 'none yet'}`,
    );
  }
  if (names.length === 1) return names[0]!;
  if (names.length === 0)
    throw new CommandError(
      'No connection to HubSpot yet. Make one with: npx syncline connect crm --platform hubspot --mapping FILE',
    );
  throw wrongUse(`Several connections to HubSpot: say which of ${names.join(', ')} (${place})`);
}

export async function openedConnection(session: Session, name: string): Promise<Connection> {
  return loadConnection(await session.pool(), secretKeyOf(session.config), name);
}

/** Compares mapping, database and account, and says what is missing. Exit code 1 when a run could not begin. */
export async function check(
  session: Session,
  options: ConnectionOption & { create?: boolean; json?: boolean },
): Promise<number> {
  const name = await hubspotConnection(session, options.connection);
  const report = await runCheck(session, await openedConnection(session, name), { create: options.create ?? false });
  const lines = describe(name, report);
  const { print } = session.terminal;
  if (options.json) print(JSON.stringify(report, null, 2));
  else for (const line of lines) print(line);
  return isSound(report) ? 0 : 1;
}

export function isSound({ mapping, values, rights, capture, catalog }: CheckReport): boolean {
  return [mapping, values, rights, capture, catalog].every((list) => list.length === 0);
}

/** Nothing but values that some users may have. */
export function begins({ mapping, rights, capture, catalog }: CheckReport): boolean {
  const all = [...mapping, ...rights, ...capture].length;
  return all === 0 && catalog.every(({ kind }) => kind === 'option' || kind === 'single');
}

/** Asks database and account. @throws CommandError with the failure's own sentence */
export async function runCheck(
  session: Session,
  connection: Connection,
  asked: { create: boolean; fresh?: boolean },
): Promise<CheckReport> {
  const { checkHubspot } = await import('../../activities/hubspot/desk.ts');
  return asking(session, connection, (deps, signal) => checkHubspot(deps, connection, { ...asked, signal }));
}

/** Asks the account within the budget of all workers. @throws CommandError with the failure's own sentence */
async function asking<T>(
  session: Session,
  { id }: Connection,
  ask: (deps: ClientDeps & { pool: Pool }, signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const [{ failure, RetryLater }, { closeAgents }, { openThrottle }, { openTokens }] = await Promise.all([
    import('../../activities/errors.ts'),
    import('../../activities/http/request.ts'),
    import('../../activities/http/throttle.ts'),
    import('../../activities/http/auth.ts'),
  ]);
  const pool = await session.pool();
  const throttle = openThrottle(pool);
  const tokens = openTokens({ pool, key: secretKeyOf(session.config) });
  try {
    return await ask({ pool, throttle, tokens }, AbortSignal.timeout(checkMs));
  } catch (error) {
    throw new CommandError(error instanceof RetryLater ? error.message : failure(error, 'check', id).message);
  } finally {
    await throttle.close();
    await tokens.close();
    await closeAgents();
  }
}

export function describe(name: string, report: CheckReport): string[] {
  const { mapping, values, rights, capture, catalog, created } = report;
  return [
    ...created.map((property) => `Made the property ${property}.`),
    ...mapping.map((sentence) => `mapping   ${sentence}`),
    ...values.map((sentence) => `values    ${sentence}`),
    ...rights.map(({ what, grant }) => `rights    missing: ${what}; as owner or superuser: ${grant};`),
    ...capture.map((what) => `capture   ${what}`),
    ...(capture.length > 0 ? [`          npx syncline capture install ${name}`] : []),
    ...report.warnings.map((what) => `warning   ${what}`),
    ...catalog.map(({ sentence }) => `account   ${sentence}`),
    ...(catalog.some(({ kind }) => kind === 'missing')
      ? [`          npx syncline hubspot check --connection ${name} --create`]
      : []),
    isSound(report)
      ? `${name}: ${count(report.properties)} properties fit the account and the database; changes are captured; ${count(report.callsPerWindow)} calls in 10 s.`
      : begins(report)
        ? `${name}: a run would begin, and set users with such values aside.`
        : `${name}: a run would not begin.`,
  ];
}

/** Prints exactly what a run would send for one user: personal data, asked for by name. */
export async function preview(session: Session, user: string, options: ConnectionOption): Promise<number> {
  const name = await hubspotConnection(session, options.connection);
  const { previewUser, readProperties } = await import('../../activities/hubspot/desk.ts');
  const { print } = session.terminal;
  const connection = await openedConnection(session, name);
  const ask = () =>
    asking(session, connection, (deps, signal) => readProperties(deps, connection, signal)).catch((error: Error) => {
      print(`Not compared with the properties of the account, which no run has read yet: ${error.message}`);
      return {};
    });
  const { scope, call, skip, fault } = await previewUser(await session.pool(), connection, user, ask).catch(
    (error: Error & { code?: string }) => {
      if (error.name === 'SyncError') throw new CommandError(error.message);
      if (typeof error.code !== 'string') throw error;
      throw new CommandError(
        `The mapping cannot be evaluated for user ${user} (SQLSTATE ${error.code}: ${error.message})`,
      );
    },
  );
  const where = { in: 'in scope', out: 'out of scope', gone: 'not there' }[scope];
  if (skip?.why === 'parked') print(describeParked(name, user, where, skip));
  else if (fault)
    print(
      `User ${user} is ${where} and would be set aside: ${fault.code}${fault.property === null ? '' : ` (${fault.property})`}`,
    );
  else if (call === null) print(`User ${user} is ${where}: nothing would be sent.`);
  else print(`User ${user} is ${where}; ${skip ? skips[skip.why] : 'a run would send it'}: batch/${call.kind}`);
  if (call !== null) print(JSON.stringify(JSON.parse(call.body), null, 2));
  return fault || skip?.why === 'parked' ? 1 : 0;
}

const skips = {
  sent: 'HubSpot holds these values already, so a run would skip it',
  known:
    'HubSpot has its contact and mode insert changes none, so a run would skip it; hubspot sync would try to make it',
};

/** Why a row is parked, and what brings it back. */
function describeParked(
  name: string,
  user: string,
  where: string,
  { code, property }: { code: string; property: string | null },
): string {
  const of = property === null ? '' : ` (${property})`;
  return [
    `User ${user} is ${where} and parked: ${code}${of}, ${explain('hubspot', code, name)}.`,
    `A run sends it again when its values, the mapping or the properties of the account change, or after: npx syncline replay ${name} --rejects; at once: npx syncline hubspot sync ${user} --connection ${name}`,
  ].join('\n');
}

/** Sends one user now, whether anything changed or not, and follows the run to its end. */
export async function sync(session: Session, user: string, options: ConnectionOption): Promise<number | undefined> {
  const name = await hubspotConnection(session, options.connection);
  return start(session, 'hubspotSync', name, { onlyUser: user, wait: true });
}
