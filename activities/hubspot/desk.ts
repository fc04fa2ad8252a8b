import {
  type Catalog,
  type CatalogFault,
  canBeMade,
  compareCatalog,
  compareValues,
} from '../../connectors/hubspot/catalog.ts';
import { hubspotKey, hubspotPlatform } from '../../connectors/hubspot.ts';
import {
  captureState,
  MappingRefused,
  type MissingRight,
  missingRights,
  type Probe,
  probeMapping,
  RightsMissing,
} from '../../db/capture.ts';
import type { Pool } from '../../db/client.ts';
import type { Connection } from '../../db/connections.ts';
import { TypeMismatch } from '../../db/hubspot/encode.ts';
import { MappedReader, type MappedRow } from '../../db/hubspot/mapped.ts';
import { askMark } from '../../db/hubspot/mark.ts';
import { readSync, whyParked } from '../../db/hubspot/syncs.ts';
import { tryMapping } from '../../db/hubspot/trial.ts';
import { requireZones } from '../../db/hubspot/zones.ts';
import type { ClientDeps } from '../http/client.ts';
import { createProperties, readAccount, readDetails } from './account.ts';
import { requireSame } from './begin.ts';
import { openClient } from './client.ts';
import { requireKey } from './one.ts';
import { type OpenHubspot, readOptions } from './open.ts';
import { bodyOf, Decider } from './outgoing.ts';

/*
 * What the command line asks of HubSpot and of mappings, outside of any run.
 */
export { shapeOf } from '../../connectors/hubspot/values.ts';
export { readOptions } from './open.ts';
export const hubspot = { platform: hubspotPlatform, baseUrl: hubspotKey.baseUrl };

/** What `hubspot check` found. Nothing in any list: a run can begin, and the account takes every value it was told of. */
export interface CheckReport {
  properties: number;
  /** Places of the mapping that Postgres or a type refuses, each a sentence. */
  mapping: string[];
  /** Expressions that fail with the values of every user who was tried; a run begins, and sets them aside. */
  values: string[];
  rights: MissingRight[];
  /** Triggers that are not as the mapping wants, e.g. `update on app.users is missing`. */
  capture: string[];
  /** Writers whose changes fire no trigger, each a sentence; a run begins all the same. */
  warnings: string[];
  catalog: CatalogFault[];
  /** Properties that were made. */
  created: string[];
  callsPerWindow: number;
}

/**
 * Compares a mapping with its database and with the account; makes missing properties if asked to.
 * @param fresh asks for a new token first: the one that is kept says nothing of an app's secret that was given today
 * @throws SyncError, RetryLater of the account's answers
 */
export async function checkHubspot(
  deps: ClientDeps & { pool: Pool },
  connection: Connection,
  { create, fresh = false, signal }: { create: boolean; fresh?: boolean; signal: AbortSignal },
): Promise<CheckReport> {
  const opened = readOptions(connection);
  const { mapping, options } = opened;
  const { arrays, ...local } = await checkMapping(deps.pool, opened);
  const client = openClient(deps, connection, options);
  if (fresh) {
    await client.renew(await client.permit(signal), signal);
  }
  let account = await readAccount(client, connection.id, mapping, signal);
  const sentTo = (await readSync(deps.pool, connection.id))?.account ?? null;
  if (sentTo !== null) requireSame(connection.id, sentTo, (await readDetails(client, connection.id, signal)).account);
  const missing = compareCatalog(mapping, account.catalog).flatMap((one) =>
    one.kind === 'missing' ? [one.property] : [],
  );
  const made = create ? missing.filter((name) => canBeMade(mapping, name)) : [];
  if (made.length > 0) {
    await createProperties(client, connection.id, mapping, made, arrays, signal);
    // One that was there before took its values with it.
    await askMark(deps.pool, connection.id, 'resend');
    account = await readAccount(client, connection.id, mapping, signal);
  }
  return {
    ...local,
    properties: Object.keys(mapping.properties).length,
    catalog: [...compareCatalog(mapping, account.catalog), ...compareValues(mapping, account.catalog, arrays)],
    created: made.filter((name) => Object.hasOwn(account.catalog, name)),
    callsPerWindow: options.callsPerWindow ?? account.callsPerWindow,
  };
}

/** The part of `hubspot check` that asks our own database alone. */
export async function checkMapping(
  pool: Pool,
  { connection, mapping }: OpenHubspot,
): Promise<Pick<CheckReport, 'mapping' | 'values' | 'rights' | 'capture' | 'warnings'> & { arrays: Set<string> }> {
  const none = { values: [], rights: [], capture: [], warnings: [], arrays: new Set<string>() };
  let probe: Probe;
  let reader: MappedReader;
  try {
    probe = await probeMapping(pool, mapping);
    await requireZones(pool, mapping);
    reader = new MappedReader(pool, mapping, probe);
  } catch (error) {
    if (error instanceof MappingRefused) return { ...none, mapping: [...error.problems] };
    if (error instanceof TypeMismatch) return { ...none, mapping: [error.message] };
    throw error;
  }
  const state = await captureState(pool, connection, mapping, probe);
  const capture = [
    ...state.triggers.flatMap((one) =>
      one.state === 'installed' ? [] : [`${one.event} on ${one.table} is ${one.state}`],
    ),
    ...(state.log ? [] : ['the log is missing or of an older version']),
  ];
  const arrays = new Set(Object.entries(probe.types).flatMap(([name, type]) => (type.endsWith('[]') ? [name] : [])));
  const rights = await missingRights(pool, connection, probe, 'run');
  const fails = rights.length === 0 ? await tryMapping(pool, connection.id, mapping, reader) : null;
  return {
    mapping: fails?.of === 'expressions' ? [fails.sentence] : [],
    values: fails?.of === 'values' ? [fails.sentence] : [],
    rights,
    capture,
    warnings: state.warnings,
    arrays,
  };
}

/** What would be sent for one user. */
export interface Preview {
  /** `in` scope, `out` of it, or `gone` (no such row). */
  scope: 'in' | 'out' | 'gone';
  /** Path and exact body of the call, of a row that would be set aside the one it would have; null where nothing would be sent. */
  call: { kind: string; body: string } | null;
  /**
   * Why a run would not make the call though `hubspot sync` does: HubSpot holds these values already, the row is parked,
   * or the contact is known and mode `insert` changes none. Null where a run makes it.
   */
  skip: { why: 'sent' | 'known' } | { why: 'parked'; code: string; property: string | null } | null;
  /** Why the row would be set aside, by the catalog of the last run, or of today where none has run; null where it would not. */
  fault: { code: string; property: string | null } | null;
}

/** The account's properties that a mapping names. @throws SyncError, RetryLater of the account's answers */
export async function readProperties(deps: ClientDeps, connection: Connection, signal: AbortSignal): Promise<Catalog> {
  const { mapping, options } = readOptions(connection);
  return (await readAccount(openClient(deps, connection, options), connection.id, mapping, signal)).catalog;
}

/**
 * Maps one user as a run would.
 * @param ask for the account's properties, while no run has stored them
 * @throws MappingRefused, RightsMissing, TypeMismatch, what Postgres says of its values
 */
export async function previewUser(
  pool: Pool,
  connection: Connection,
  user: string,
  ask: () => Promise<Catalog> = async () => ({}),
): Promise<Preview> {
  const opened = readOptions(connection);
  const { mapping } = opened;
  const probe = await probeMapping(pool, mapping);
  const missing = await missingRights(pool, connection, probe, 'run');
  if (missing.length > 0) throw new RightsMissing(missing);
  const state = await readSync(pool, connection.id);
  const key = await requireKey(pool, mapping, probe, user);
  const catalog = (state?.catalog as Catalog | undefined) ?? (await ask());
  const reader = new MappedReader(pool, mapping, probe);
  const [row] = await reader.read({
    connection: connection.id,
    after: null,
    limit: 1,
    only: key,
    bytes: Number.MAX_SAFE_INTEGER,
    judged: state?.judged ?? '',
  });
  if (!row) return { scope: 'gone', call: null, skip: null, fault: null };
  const decider = new Decider(opened, catalog, true);
  const decision = decider.decide(row);
  const skip = await skipOf(pool, opened, row);
  const outcome = 'settle' in decision ? decision.settle.outcome : null;
  const fault = outcome?.kind === 'parked' ? { code: outcome.code, property: outcome.property } : null;
  // Who wants to know why a row is refused looks at what it would hold.
  const sent = 'send' in decision ? decision.send : fault && row.payload !== null ? decider.outgoing(row) : null;
  const call = sent && { kind: sent.kind, body: bodyOf([sent], mapping.idProperty) };
  return { scope: row.scope, call, skip, fault };
}

/** Why a run passes the row by, in the order in which it looks. */
async function skipOf(pool: Pool, { connection, options }: OpenHubspot, row: MappedRow): Promise<Preview['skip']> {
  if (options.mode === 'insert' && row.known && row.scope === 'in') return { why: 'known' };
  if (row.sent) return { why: 'sent' };
  return row.refused ? { why: 'parked', ...(await whyParked(pool, connection.id, row.key)) } : null;
}
