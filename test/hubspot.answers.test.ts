import { describe, expect, test } from 'vitest';
import { type BatchVerdict, readBatch, type SentRow, untilMidnight } from '../connectors/hubspot/answers.ts';
import { compareCatalog, readCatalog } from '../connectors/hubspot/catalog.ts';
import { checkValues, shapeOf } from '../connectors/hubspot/values.ts';

const rows: SentRow[] = ['1', '2', '3'].map((id) => ({
  id,
  values: { email: `User${id}@example.org`, app_plan: id === '2' ? 'gold' : 'free', app_user_id: id },
}));
const read = (
  status: number,
  body: unknown,
  kind: Parameters<typeof readBatch>[0] = 'upsert',
  headers = {},
): BatchVerdict => readBatch(kind, 'app_user_id', rows, { status, headers, body });
const outcomes = (verdict: BatchVerdict) =>
  verdict.kind === 'rows'
    ? verdict.outcomes.map((one) => (one.kind === 'bad' ? `${one.code} ${one.property}` : one.kind))
    : [verdict.kind, ...((verdict.kind === 'config' && verdict.outcomes) || []).map(({ kind }) => kind)].join(' ');
const ok = (at: number, id = String(at + 1)) => ({ id: `90${id}`, objectWriteTraceId: String(at), properties: {} });
const failed = (name: string, error: string, message = '') =>
  `Property values were not valid: [${JSON.stringify({ isValid: false, message, error, name })}]`;

describe('the outcome matrix', () => {
  test.each<[string, BatchVerdict | unknown, unknown]>([
    ['all valid, in any order', read(200, { status: 'COMPLETE', results: [ok(2), ok(0), ok(1)] }), ['ok', 'ok', 'ok']],
    [
      '207 by trace ids',
      read(207, {
        results: [ok(0), ok(2)],
        numErrors: 1,
        errors: [
          {
            category: 'VALIDATION_ERROR',
            message: failed('email', 'INVALID_EMAIL'),
            context: { objectWriteTraceId: ['1'] },
          },
        ],
      }),
      ['ok', 'invalid_email email', 'ok'],
    ],
    [
      'joined by the unique property without trace ids',
      read(200, {
        results: [
          { id: '9', properties: { app_user_id: '3' } },
          { id: '8', properties: { app_user_id: '1' } },
        ],
      }),
      ['ok', 'unaccounted', 'ok'],
    ],
    [
      '2xx with empty results',
      read(200, { status: 'COMPLETE', results: [] }),
      ['unaccounted', 'unaccounted', 'unaccounted'],
    ],
    [
      'an unknown record by subtraction',
      read(
        207,
        {
          results: [ok(0), ok(1)],
          numErrors: 1,
          errors: [{ category: 'OBJECT_NOT_FOUND', message: 'x', context: { ids: [''] } }],
        },
        'update',
      ),
      ['ok', 'ok', 'absent'],
    ],
    [
      'one error for two rows, by its count',
      read(207, { results: [ok(1)], numErrors: 2, errors: [{ category: 'OBJECT_NOT_FOUND', message: 'x' }] }, 'update'),
      ['absent', 'ok', 'absent'],
    ],
    [
      'two kinds for two rows that nobody can tell apart',
      read(207, {
        results: [ok(1)],
        numErrors: 2,
        errors: [
          { category: 'CONFLICT', message: 'a' },
          { category: 'VALIDATION_ERROR', message: 'b' },
        ],
      }),
      ['unnamed null', 'ok', 'unnamed null'],
    ],
    [
      'fewer errors than rows that are missing',
      read(207, { results: [ok(1)], numErrors: 1, errors: [{ category: 'CONFLICT', message: 'a' }] }),
      ['unaccounted', 'ok', 'unaccounted'],
    ],
    [
      'a contact that is there, on create',
      read(
        207,
        {
          results: [ok(0), ok(2)],
          errors: [{ category: 'CONFLICT', message: 'x', context: { objectWriteTraceId: ['1'], existingId: ['77'] } }],
        },
        'create',
      ),
      ['ok', 'present', 'ok'],
    ],
    ['archived', read(204, undefined, 'archive'), ['ok', 'ok', 'ok']],
    [
      'a property that is not there, in a row',
      read(207, {
        results: [],
        errors: [{ category: 'VALIDATION_ERROR', message: failed('x', 'PROPERTY_DOESNT_EXIST') }],
      }),
      'config unaccounted unaccounted unaccounted',
    ],
    [
      'the same, beside a row that is written',
      read(207, {
        results: [ok(1)],
        numErrors: 2,
        errors: [{ category: 'VALIDATION_ERROR', message: failed('x', 'PROPERTY_DOESNT_EXIST') }],
      }),
      'config bad ok bad',
    ],
    [
      'a trace id that nobody sent',
      read(200, { results: [{ id: '5', objectWriteTraceId: '17', properties: {} }] }),
      ['unaccounted', 'unaccounted', 'unaccounted'],
    ],
  ])('%s', (_, verdict, wanted) => {
    expect(outcomes(verdict as BatchVerdict)).toEqual(wanted);
  });

  test('a whole batch is refused: the row is named by the value that is quoted, and only by that very value', () => {
    expect(
      read(400, {
        category: 'VALIDATION_ERROR',
        message: failed('app_plan', 'INVALID_OPTION', 'gold was not one of the allowed options: ["free"]'),
      }),
    ).toMatchObject({
      kind: 'refused',
      code: 'invalid_option',
      property: 'app_plan',
      named: new Map([[1, { code: 'invalid_option', property: 'app_plan' }]]),
    });
    expect(
      read(400, {
        category: 'VALIDATION_ERROR',
        message: failed('email', 'INVALID_EMAIL', 'Email address user3@example.org is invalid'),
      }),
    ).toMatchObject({ named: new Map([[2, { code: 'invalid_email', property: 'email' }]]) });
    expect(
      read(400, { category: 'VALIDATION_ERROR', message: failed('app_plan', 'RULE', 'gold breaks a rule') }),
    ).toMatchObject({ named: new Map(), suspects: [1] });
    expect(
      read(400, { category: 'VALIDATION_ERROR', message: failed('app_plan', 'RULE', 'free breaks a rule') }),
      'two of three',
    ).toMatchObject({ suspects: [0, 2] });
    expect(
      read(400, { category: 'VALIDATION_ERROR', message: failed('email', 'RULE', 'somebody else') }),
    ).toMatchObject({ named: new Map(), suspects: [] });
  });

  test('ids twice: the first stays', () => {
    const doubled = [rows[0]!, rows[1]!, { ...rows[2]!, id: '1' }];
    const body = {
      category: 'VALIDATION_ERROR',
      message: 'Duplicate IDs found in batch input: [1]. IDs must be unique',
      context: { ids: ['1'] },
    };
    expect(readBatch('upsert', 'app_user_id', doubled, { status: 400, headers: {}, body })).toMatchObject({
      code: 'duplicate_id',
      named: new Map([[2, { code: 'duplicate_id', property: null }]]),
    });
  });

  test('a message that is cut still tells code and property', () => {
    const message = `${failed('app_plan', 'INVALID_OPTION', 'gold was not one').slice(0, -2)},"localizedErrorMessage":"cut off he`;
    expect(read(400, { category: 'VALIDATION_ERROR', message })).toMatchObject({
      kind: 'refused',
      code: 'invalid_option',
      property: 'app_plan',
    });
  });

  test.each<[number, unknown, Record<string, string>, object]>([
    [401, {}, {}, { kind: 'token' }],
    [
      403,
      {
        category: 'MISSING_SCOPES',
        errors: [{ message: 'x', context: { requiredGranularScopes: ['crm.objects.contacts.write'] } }],
      },
      {},
      { kind: 'forbidden', scopes: ['crm.objects.contacts.write'] },
    ],
    [423, {}, {}, { kind: 'wait', why: 'locked', waitMs: 2_000 }],
    [423, {}, { 'retry-after': '7' }, { kind: 'wait', why: 'locked', waitMs: 7_000 }],
    [477, {}, { 'retry-after': '30' }, { kind: 'wait', why: 'migrating', waitMs: 30_000 }],
    [429, { policyName: 'TEN_SECONDLY_ROLLING' }, {}, { kind: 'wait', why: 'burst', waitMs: 10_000 }],
    [429, { policyName: 'SECONDLY' }, {}, { kind: 'wait', why: 'second', waitMs: 1_000 }],
    [429, { policyName: 'DAILY' }, { 'retry-after': '5' }, { kind: 'wait', why: 'daily', waitMs: null }],
    [429, undefined, {}, { kind: 'wait', why: 'burst', waitMs: 10_000 }],
    [413, undefined, {}, { kind: 'too-big' }],
    [500, undefined, {}, { kind: 'unknown', status: 500 }],
    [524, undefined, {}, { kind: 'unknown', status: 524 }],
    [404, { category: 'OBJECT_NOT_FOUND' }, {}, { kind: 'strange', status: 404 }],
    [200, undefined, {}, { kind: 'strange', status: 200 }],
    [
      400,
      { message: 'Unable to perform upsert by non-unique string property' },
      {},
      { kind: 'config', code: 'non_unique' },
    ],
  ])('%i %j %j', (status, body, headers, verdict) => {
    expect(read(status, body, 'upsert', headers)).toMatchObject(verdict);
  });

  test("the account's midnight, over a change of its clock as well", () => {
    expect(untilMidnight('UTC', Date.UTC(2026, 0, 1, 23, 59, 59, 250))).toBe(750);
    expect(untilMidnight('Asia/Tokyo', Date.UTC(2026, 0, 1, 12, 0, 0))).toBe(3 * 3_600_000);
    expect(untilMidnight('US/Eastern', Date.UTC(2026, 10, 28, 12, 0, 0))).toBe(17 * 3_600_000);
  });
});

describe('values and catalog', () => {
  const body = {
    results: [
      { name: 'a', type: 'enumeration', options: [{ value: 'x' }, { value: 'y' }] },
      { name: 'd', type: 'date' },
      { name: 'n', type: 'number', modificationMetadata: { readOnlyValue: true } },
      { name: 'gone', type: 'string', archived: true },
      { name: 'other', type: 'string' },
    ],
  };
  const catalog = readCatalog(body, ['a', 'd', 'n', 'gone', 'email', 's'])!;

  test('only what is mapped is kept, and nothing that is archived', () => {
    expect(Object.keys(catalog)).toEqual(['a', 'd', 'n']);
    expect(readCatalog('<html>', [])).toBeNull();
  });

  test.each<[string, Record<string, string>, unknown]>([
    ['an option', { a: 'x' }, null],
    ['several options', { a: 'x;y' }, null],
    ['an option of other case', { a: 'X' }, { property: 'a', code: 'invalid_option' }],
    ['midnight', { d: '1774742400000' }, null],
    ['an hour past midnight', { d: '1774746000000' }, { property: 'd', code: 'invalid_date' }],
    ['infinity', { d: 'infinity' }, { property: 'd', code: 'invalid_date' }],
    ['not a number', { n: 'NaN' }, { property: 'n', code: 'invalid_number' }],
    ['an exponent', { n: '1e5' }, { property: 'n', code: 'invalid_number' }],
    ['empty clears anything', { a: '', d: '', n: '' }, null],
    ['a text that is too long', { s: 'x'.repeat(65_537) }, { property: 's', code: 'too_long' }],
    ['an address', { email: 'a@b.example' }, null],
    ['no address', { email: 'nobody' }, { property: 'email', code: 'invalid_email' }],
  ])('%s', (_, values, fault) => {
    expect(
      checkValues(values, { ...catalog, s: { type: 'string', options: [], readOnly: false, unique: false } }),
    ).toEqual(fault);
  });

  test('the mapping beside the account', () => {
    const mapping = {
      from: 'a.b',
      key: 'id',
      idProperty: 'uid',
      leave: 'leave',
      leaveValues: { late: 'x' },
      tables: {},
      columns: [],
      properties: { a: { sql: 'x', type: 'string' }, n: { sql: 'x', type: 'number' } },
    } as const;
    expect(compareCatalog(mapping as never, catalog).map(({ kind, property }) => `${kind} ${property}`)).toEqual([
      'type a',
      'missing late',
      'read-only n',
      'missing uid',
    ]);
  });

  test.each([
    [undefined, 'no value'],
    ['', 'an empty text'],
    ['-120', 'a whole number of 3 digits'],
    ['1.5', 'a number with decimals'],
    ['x@y', 'a text of 3 characters (letters, @)'],
    ['?', 'a text of 1 character'],
  ])('the shape of %j', (value, shape) => {
    expect(shapeOf(value)).toBe(shape);
  });
});
