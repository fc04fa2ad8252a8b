import type { Catalog } from '../../connectors/hubspot/catalog.ts';
import { idIsMapped } from '../../connectors/hubspot/mapping.ts';
import { checkValues } from '../../connectors/hubspot/values.ts';
import type { BatchKind } from '../../connectors/hubspot.ts';
import type { Flying } from '../../db/hubspot/calls.ts';
import type { MappedRow } from '../../db/hubspot/mapped.ts';
import type { Settled } from '../../db/hubspot/settle.ts';
import { longestId } from '../../db/hubspot/turns.ts';
import type { OpenHubspot } from './open.ts';

/** A row on its way. */
export class Outgoing {
  readonly row: MappedRow;
  /** `read`: it is looked for under the id it had, and decided anew. */
  readonly kind: BatchKind;
  /** Id in the call. */
  readonly id: string;
  /** True: the id is HubSpot's own record id. */
  readonly byRecord: boolean;

  constructor(row: MappedRow, kind: Outgoing['kind'], id: string, byRecord = false) {
    this.row = row;
    this.kind = kind;
    this.id = id;
    this.byRecord = byRecord;
  }

  /** Its contact goes by this, or hears for the first time that its user left. */
  get leaves(): boolean {
    return this.kind === 'archive' || (this.row.scope !== 'in' && !this.row.toldLeft);
  }

  /** Read again where an answer names a value: thousands of rows are kept ahead, and few are ever asked. */
  get values(): Readonly<Record<string, string>> {
    return this.kind === 'archive' ? {} : JSON.parse(this.row.payload ?? '{}');
  }
}

/** `yields`: what it is refused for another user may give up. */
export type Decision = { send: Outgoing } | { settle: Settled; counts: 'unchanged' | 'refusedHere'; yields?: boolean };

/**
 * Calls without an answer, while others were answered, after which a row is taken for the reason: the last of them carried it
 * alone. It is set aside when none of them can land any more, so that a change behind it is not overtaken.
 */
const mostTries = 10;

/** What is to be done with one dirty user: mode, scope, what HubSpot has, what was refused, and what the catalog says. */
export class Decider {
  private readonly opened: OpenHubspot;
  private readonly catalog: Catalog;
  private readonly forced: boolean;

  /** @param forced a person asked for this very user: what was sent or refused before does not count */
  constructor(opened: OpenHubspot, catalog: Catalog, forced: boolean) {
    this.opened = opened;
    this.catalog = catalog;
    this.forced = forced;
  }

  decide(row: MappedRow): Decision {
    const { mapping, options } = this.opened;
    if (row.scope !== 'in') {
      const leave = options.mode === 'mirror' ? 'archive' : mapping.leave;
      if (leave === 'leave') return nothing(row);
      if (leave === 'archive') return this.archive(row);
      // Nobody is made for having left.
      if (row.payload === null || !row.tried) return nothing(row);
    }
    if (options.mode === 'insert' && row.known && !this.forced) return nothing(row);
    if (row.sent && !this.forced) return nothing(row);
    // It stays parked, and its reject stands.
    if (row.refused && !this.forced) return { settle: settled(row, { kind: 'clear' }, false), counts: 'unchanged' };
    return this.checked(row);
  }

  private checked(row: MappedRow): Decision {
    if (row.tries > mostTries) return parkedHere(row, 'no_answer', null);
    const { mapping } = this.opened;
    const { scope, hubspotId, id, remote } = row;
    const shared = idIsMapped(mapping);
    if (shared && scope === 'gone' && hubspotId === null) return nothing(row);
    if (id === '' && scope !== 'gone') return parkedHere(row, 'missing_id', mapping.idProperty);
    if (remote !== null && remote.length > longestId) return parkedHere(row, 'too_long', mapping.idProperty);
    // The contact of one who left belongs to another.
    if (row.taken !== null && scope !== 'in') return nothing(row);
    if (row.taken !== null)
      return { ...parkedHere(row, 'duplicate_id', mapping.idProperty), yields: row.taken === 'now' };
    const fault = checkValues(JSON.parse(row.payload ?? '{}'), this.catalog);
    return fault ? parkedHere(row, fault.code, fault.property) : { send: this.outgoing(row) };
  }

  /** The call that a row in scope, or one that hears that its user left, makes or would make: its values are judged elsewhere. */
  outgoing(row: MappedRow): Outgoing {
    const { mapping, options } = this.opened;
    const { scope, hubspotId, id, remote, former } = row;
    // A contact that is known is the same one under whatever address: by the new one another would be made, and it would stay.
    if (idIsMapped(mapping) && options.mode !== 'insert') {
      if (hubspotId !== null) return new Outgoing(row, 'update', hubspotId, true);
      if (former !== null && former !== remote) return new Outgoing(row, 'read', former);
    }
    if (scope !== 'in') return new Outgoing(row, 'update', id);
    const kinds = { upsert: 'upsert', mirror: 'upsert', update: 'update', insert: 'create' } as const;
    return new Outgoing(row, kinds[options.mode], id);
  }

  /** Without a record id it is looked for first: a call that was never answered may have made it. */
  private archive(row: MappedRow): Decision {
    const { hubspotId, tried } = row;
    if (hubspotId !== null) return { send: new Outgoing(row, 'archive', hubspotId, true) };
    // Never by the address he has today, which may be another's.
    const id = idIsMapped(this.opened.mapping) ? (row.former ?? '') : row.id;
    return tried && id !== '' ? { send: new Outgoing(row, 'archive', id) } : nothing(row);
  }
}

export function settled(row: MappedRow, outcome: Settled['outcome'], wasParked = row.parked): Settled {
  return { key: row.key, version: row.version, hash: row.hash, wasParked, outcome };
}

/** A row that is refused. `reject`: its reason is new to syncline.rejects. @param contact the one that has its value */
export function parked(row: MappedRow, code: string, property: string | null, contact?: string): Settled {
  return settled(row, { kind: 'parked', code, property, contact, record: row.payload ?? '{}', reject: true });
}

function parkedHere(row: MappedRow, code: string, property: string | null) {
  return { settle: parked(row, code, property), counts: 'refusedHere' } as const;
}

function nothing(row: MappedRow): Decision {
  return { settle: settled(row, { kind: 'clear' }), counts: 'unchanged' };
}

/** Body of the question which of the rows have a contact. */
export const lookUpOf = (rows: readonly { id: string }[], idProperty: string, without: string = idProperty) =>
  JSON.stringify({
    idProperty,
    properties: [...new Set([idProperty, without])],
    inputs: rows.map(({ id }) => ({ id })),
  });

/** Rows of a call as they are written down before it leaves. */
export function flyingOf(rows: readonly Outgoing[]): Flying {
  const keys = rows.map(({ row }) => row.key);
  const writes = !['archive', 'read'].includes(rows[0]!.kind) && rows.some(({ row }) => row.remote !== null);
  return { keys, ids: writes ? rows.map(({ row }) => row.remote) : null };
}

/** Body of a batch. Properties are the JSON text that Postgres made; trace ids are places in the batch. */
export function bodyOf(rows: readonly Outgoing[], idProperty: string): string {
  if (rows[0]?.kind === 'read') return lookUpOf(rows, idProperty);
  const property = JSON.stringify(idProperty);
  let body = '{"inputs":[';
  for (const [at, { kind, id, byRecord, row }] of rows.entries()) {
    body += at === 0 ? '{' : ',{';
    if (kind !== 'create') body += `"id":${JSON.stringify(id)}`;
    if (kind !== 'create' && kind !== 'archive') body += byRecord ? ',' : `,"idProperty":${property},`;
    if (kind !== 'archive') body += `"objectWriteTraceId":"${at}","properties":${row.payload}`;
    body += '}';
  }
  return `${body}]}`;
}
