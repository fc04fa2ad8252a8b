import { randomUUID } from 'node:crypto';
import type { Contact, Contacts, RowError, RowInput, Written } from './contacts.ts';

export interface Reply {
  status: number;
  body?: unknown;
  headers?: Record<string, string>;
}

export type BatchName = 'upsert' | 'create' | 'update' | 'archive' | 'read';

/** How a batch with a bad row is answered: row by row where trace ids are given, or always as a whole. */
export type Mode = 'trace' | 'all-or-nothing';

const now = () => new Date().toISOString();
const complete = (results: unknown[], more: object = {}) => ({
  status: 'COMPLETE',
  results,
  startedAt: now(),
  completedAt: now(),
  ...more,
});

/** A 4xx as HubSpot writes it. */
export function refusal(status: number, category: string, message: string, more: object = {}): Reply {
  return { status, body: { status: 'error', message, correlationId: randomUUID(), category, ...more } };
}

/**
 * Applies a batch and answers by the outcome matrix: 2xx, 207 with the bad rows, or a refusal of all.
 * @param write false: judged and answered, and nothing is written (yet)
 */
export function answerBatch(contacts: Contacts, mode: Mode, name: BatchName, body: unknown): Reply {
  const inputs = (body as { inputs?: unknown } | null)?.inputs;
  // Accepted in silence: nothing is written and nobody is told.
  if (!Array.isArray(inputs)) return { status: 200, body: complete([]) };
  const rows = inputs as RowInput[];
  if (rows.length > 100)
    return refusal(400, 'VALIDATION_ERROR', `The maximum number of inputs is 100, got ${rows.length}`);
  const all = refusedAsWhole(contacts, name, rows);
  if (all) return all;
  if (name === 'read') return readAll(contacts, body as { idProperty?: string; inputs: { id: string }[] });
  if (name === 'archive') {
    for (const { id } of rows) contacts.archive(String(id));
    return { status: 204 };
  }
  const traces = rows.map(({ objectWriteTraceId: trace }) => trace);
  const traced =
    mode === 'trace' && traces.every((trace) => trace !== undefined) && new Set(traces).size === rows.length;
  return traced || name === 'update'
    ? rowByRow(contacts, mode, name, rows, traced)
    : allOrNothing(contacts, name, rows);
}

const write = (contacts: Contacts, name: BatchName, row: RowInput): Written =>
  name === 'upsert' ? contacts.upsert(row) : name === 'create' ? contacts.create(row) : contacts.update(row);

/** Faults of the call and not of a row. */
function refusedAsWhole(contacts: Contacts, name: BatchName, rows: readonly RowInput[]): Reply | null {
  for (const { properties = {} } of rows)
    for (const property of Object.keys(properties))
      if (!contacts.catalog.has(property)) {
        const failed = [
          {
            isValid: false,
            message: `Property "${property}" does not exist`,
            error: 'PROPERTY_DOESNT_EXIST',
            name: property,
          },
        ];
        return refusal(400, 'VALIDATION_ERROR', `Property values were not valid: ${JSON.stringify(failed)}`, {
          errors: [
            {
              message: `Property "${property}" does not exist`,
              code: 'PROPERTY_DOESNT_EXIST',
              context: { propertyName: [property] },
            },
          ],
        });
      }
  for (const { idProperty } of rows)
    if (idProperty !== undefined && !contacts.isUnique(idProperty))
      return refusal(
        400,
        'VALIDATION_ERROR',
        `Unable to perform ${name} by non-unique ${contacts.catalog.get(idProperty)?.type ?? 'unknown'} property`,
      );
  if (name === 'create') return null;
  const ids = rows.map(({ id }) => String(id));
  if (new Set(ids).size === ids.length) return null;
  const doubled = [...new Set(ids.filter((id, at) => ids.indexOf(id) !== at))];
  return refusal(
    400,
    'VALIDATION_ERROR',
    `Duplicate IDs found in batch input: [${doubled.join(', ')}]. IDs must be unique`,
    { context: { ids: doubled } },
  );
}

function rowByRow(contacts: Contacts, mode: Mode, name: BatchName, rows: readonly RowInput[], traced: boolean): Reply {
  // An update with an invalid value is refused as a whole where rows cannot be told apart.
  if (!traced || mode === 'all-or-nothing') {
    const bad = rows
      .map((row) => contacts.judge(row, target(contacts, row)))
      .find((error) => error?.category === 'VALIDATION_ERROR');
    if (bad) return whole(bad);
  }
  const results: unknown[] = [];
  const errors: unknown[] = [];
  for (const row of rows) {
    const written = write(contacts, name, row);
    if ('error' in written) errors.push(errorOf(written.error, row, traced));
    else results.push(resultOf(written, row, traced));
  }
  if (errors.length === 0) return { status: name === 'create' ? 201 : 200, body: complete(shuffled(results)) };
  return { status: 207, body: complete(shuffled(results), { numErrors: errors.length, errors }) };
}

const target = (contacts: Contacts, { idProperty = 'hs_object_id', id }: RowInput) =>
  contacts.find(idProperty, String(id));

function allOrNothing(contacts: Contacts, name: BatchName, rows: readonly RowInput[]): Reply {
  for (const row of rows) {
    const error = contacts.judge(row, name === 'create' ? undefined : target(contacts, row));
    if (error) return whole(error);
  }
  const results: unknown[] = [];
  for (const row of rows) {
    const written = write(contacts, name, row);
    // Two rows of the batch with one unique value.
    if ('error' in written) return whole(written.error);
    results.push(resultOf(written, row, false));
  }
  return { status: name === 'create' ? 201 : 200, body: complete(shuffled(results)) };
}

function whole({ category, message, failed }: RowError): Reply {
  const errors = failed.map(({ message: text, error, name }) => ({
    message: text,
    code: error,
    context: { propertyName: [name] },
  }));
  return refusal(category === 'CONFLICT' ? 409 : 400, category, message, errors.length > 0 ? { errors } : {});
}

function errorOf({ category, message, existingId, ids }: RowError, row: RowInput, traced: boolean): object {
  const trace = traced ? { objectWriteTraceId: [row.objectWriteTraceId] } : {};
  // Of an unknown record the answer names the id, and no trace.
  const context = ids ? { ids: [...ids, ''] } : { ...trace, ...(existingId && { existingId: [existingId] }) };
  return { status: 'error', category, message, context };
}

function resultOf({ contact, isNew }: { contact: Contact; isNew: boolean }, row: RowInput, traced: boolean): object {
  return {
    id: contact.id,
    properties: {
      ...row.properties,
      ...(row.idProperty && { [row.idProperty]: contact.properties[row.idProperty] }),
      hs_object_id: contact.id,
    },
    createdAt: contact.createdAt,
    updatedAt: contact.updatedAt,
    archived: false,
    new: isNew,
    ...(traced && { objectWriteTraceId: row.objectWriteTraceId }),
  };
}

/** Results come in any order: here the last first. */
const shuffled = (results: unknown[]) => results.reverse();

function readAll(
  contacts: Contacts,
  { idProperty = 'hs_object_id', inputs }: { idProperty?: string; inputs: { id: string }[] },
): Reply {
  const found = inputs.flatMap(({ id }) => contacts.find(idProperty, String(id)) ?? []);
  return {
    status: 200,
    body: complete(found.map(({ id, properties }) => ({ id, properties: { ...properties, hs_object_id: id } }))),
  };
}
