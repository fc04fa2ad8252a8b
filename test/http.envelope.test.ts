import { describe, expect, it } from 'vitest';
import { judge } from '../activities/http/envelope.ts';
import { parseJson } from '../activities/http/json.ts';
import { formatTime, parseTime, resolveValue, valueAt } from '../activities/http/values.ts';
import type { Envelope, EnvelopeShape, TimeFormat, VerdictRule } from '../connectors/shape.ts';

const place = 'https://api.example.com/list';
const secretText = 'phone 13800000000';

interface Given {
  status?: number;
  headers?: Record<string, string>;
  body: unknown;
}

function answerOf({ status = 200, headers = {}, body }: Given) {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  return { status, headers: { 'content-type': 'application/json', ...headers }, body: Buffer.from(text) };
}

/** Code 0 is success; what fails carries `sub` (exact), `code` and `msg`. */
const plain: EnvelopeShape = { ok: { path: 'code', is: [0] }, code: ['sub', 'code'], text: ['msg'], data: 'data' };
const envelope = (rules: VerdictRule[] = [], shapes: EnvelopeShape[] = [plain]): Envelope => ({ shapes, rules });
const judged = (given: Given, rules?: VerdictRule[], shapes?: EnvelopeShape[]) =>
  judge(answerOf(given), place, envelope(rules, shapes));

describe('success', () => {
  it('gives the payload, and the whole body beside it', () => {
    const body = { code: 0, data: { list: [1] }, next: 'c' };
    expect(judged({ body })).toMatchObject({ verdict: 'ok', data: { list: [1] }, body });
  });
  it('takes a code for the same as a number and as a text', () => {
    expect(judged({ body: { code: '0', data: 1 } }).verdict).toBe('ok');
    expect(judged({ body: { code: 'x', data: 1 } }).verdict).toBe('unknown');
    expect(judged({ body: { data: 1 } }).verdict, 'a code that is absent').toBe('unknown');
  });
  it('tells a payload that is absent from one that is null', () => {
    expect(judged({ body: { code: 0 } }).data).toBeUndefined();
    expect(judged({ body: { code: 0, data: null } }).data).toBeNull();
  });
  it('takes the first shape that is there: three shapes of one platform', () => {
    const shapes: EnvelopeShape[] = [
      { when: 'gw_err_resp', ok: 'failure', code: ['gw_err_resp.err_code'], text: ['gw_err_resp.err_msg'], data: '' },
      { when: 'error_response', ok: 'failure', code: ['error_response.code'], data: '' },
      { when: 'response', ok: { absent: 'error_response' }, data: 'response' },
      { when: 'success', ok: { path: 'success', is: [true] }, code: ['code'], data: 'data' },
    ];
    const rules: VerdictRule[] = [{ code: [4203], verdict: 'token' }];
    expect(judged({ body: { response: { a: 1 } } }, rules, shapes)).toMatchObject({ verdict: 'ok', data: { a: 1 } });
    expect(judged({ body: { code: 200, success: true, data: [2] } }, rules, shapes).data).toEqual([2]);
    expect(judged({ body: { gw_err_resp: { err_code: 4203 } } }, rules, shapes).verdict).toBe('token');
    expect(judged({ body: { error_response: { code: 7 } } }, rules, shapes)).toMatchObject({
      verdict: 'unknown',
      code: '7',
    });
    expect(() => judged({ body: { status: 1111 } }, rules, shapes)).toThrow(
      `${place} answered 200 with JSON of none of the known shapes`,
    );
  });
  it('opens JSON text inside JSON', () => {
    const shapes: EnvelopeShape[] = [{ ok: { path: 'code', is: [200] }, data: 'result', nested: true }];
    const inner = '{"orders":[{"id":1234567890123456789}]}';
    expect(judged({ body: { code: 200, result: inner } }, [], shapes).data).toEqual({
      orders: [{ id: '1234567890123456789' }],
    });
    const cut = { code: 200, result: `{"name":"${secretText}` };
    expect(() => judged({ body: cut }, [], shapes)).toThrow(
      /the JSON text at "result" is cut or broken \(\d+ characters\)/,
    );
    expect(() => judged({ body: cut }, [], shapes)).not.toThrow(secretText);
  });
  it('takes a list for a body', () => {
    expect(judged({ body: [1, 2] }, [], [{ ok: { absent: 'error' }, data: '' }]).data).toEqual([1, 2]);
  });
});

describe('failure inside HTTP 200: each class of rule', () => {
  const failing = { body: { code: 40, sub: 'isv.x', msg: secretText } };
  it.each([
    'empty',
    'retry-after',
    'busy',
    'token',
    'consent',
    'app',
    'permission',
    'too-big',
    'too-deep',
    'quota',
    'bad-request',
    'gone',
    'unknown',
  ] as const)('%s, by code, with code, hint and level', (verdict) => {
    const rule: VerdictRule = { code: ['isv.x'], verdict, hint: 'Look here.', level: 'platform', waitMs: 70 };
    const judgement = judged(failing, [rule]);
    expect(judgement).toMatchObject({ verdict, code: 'isv.x', hint: 'Look here.', level: 'platform', waitMs: 70 });
    expect(judgement.data).toBe(verdict === 'empty' ? null : undefined);
    expect(judgement.body).toEqual(failing.body);
  });
  it('ok: a failure that is none', () => {
    expect(judged({ body: { code: 5, data: [1] } }, [{ code: [5], verdict: 'ok' }])).toMatchObject({
      verdict: 'ok',
      data: [1],
    });
  });
  it('the most exact code wins over the order of rules; a less exact one counts where none fits it', () => {
    const rules: VerdictRule[] = [
      { code: [40], verdict: 'bad-request' },
      { code: ['isv.x'], verdict: 'too-big' },
    ];
    expect(judged(failing, rules).verdict).toBe('too-big');
    expect(judged({ body: { code: 40, sub: 'isv.y' } }, rules).verdict).toBe('bad-request');
  });
  it('a text is matched whatever its case, and never shown', () => {
    const rules: VerdictRule[] = [{ code: [40], text: 'PHONE \\d+', verdict: 'permission' }];
    const judgement = judged(failing, rules);
    expect(judgement.verdict).toBe('permission');
    expect(JSON.stringify({ ...judgement, body: null })).not.toContain(secretText);
    expect(judged({ body: { code: 40, msg: 'other' } }, rules).verdict).toBe('unknown');
  });
  it('a status, a code and a text must all fit', () => {
    const rules: VerdictRule[] = [{ status: [400], code: [40], text: 'phone', verdict: 'too-deep' }];
    expect(judged({ ...failing, status: 400 }, rules).verdict).toBe('too-deep');
    expect(judged(failing, rules).verdict).toBe('unknown');
    expect(judged({ status: 400, body: { code: 41, msg: secretText } }, rules).verdict).toBe('unknown');
  });
  it('a sentence in the place of a code is not shown', () => {
    expect(judged({ body: { code: `no ${secretText}` } })).toMatchObject({ verdict: 'unknown', code: 'HTTP 200' });
  });
});

describe('how long to wait', () => {
  const limited = (headers: Record<string, string>, rule: Partial<VerdictRule> = {}) =>
    judged({ status: 429, headers, body: { code: 1 } }, [{ code: [1], verdict: 'retry-after', ...rule }]).waitMs;
  it("takes the rule's header before retry-after, before the rule's number, before 5 s", () => {
    const headers = { 'retry-after': '7', 'x-reset': '3' };
    expect(limited(headers, { waitHeader: 'X-Reset', waitMs: 900 })).toBe(3_000);
    expect(limited(headers, { waitMs: 900 })).toBe(7_000);
    expect(limited({ 'x-reset': 'soon' }, { waitHeader: 'x-reset', waitMs: 900 })).toBe(900);
    expect(limited({})).toBe(5_000);
  });
  it('takes a large number in a header for a moment, and at most a day', () => {
    const inTenSeconds = String(Math.floor(Date.now() / 1000) + 10);
    expect(limited({ 'x-reset': inTenSeconds }, { waitHeader: 'x-reset' })).toBeGreaterThan(8_000);
    expect(limited({ 'x-reset': inTenSeconds }, { waitHeader: 'x-reset' })).toBeLessThanOrEqual(10_000);
    expect(limited({ 'x-reset': '999999999' }, { waitHeader: 'x-reset' })).toBe(86_400_000);
    expect(limited({ 'x-reset': '0' }, { waitHeader: 'x-reset' })).toBe(100);
  });
  it("takes the seconds in a failure's text, bounded like a header's", () => {
    const rules: VerdictRule[] = [{ code: [1], verdict: 'retry-after', waitText: 'for (\\d+) more', waitMs: 900 }];
    const wait = (msg: string, headers = {}) => judged({ status: 200, headers, body: { code: 1, msg } }, rules).waitMs;
    expect(wait('This ban will last FOR 37 more seconds', { 'retry-after': '7' })).toBe(37_000);
    expect(wait('for 0 more seconds')).toBe(100);
    expect(wait('for 99999999 more seconds')).toBe(86_400_000);
    expect(wait('for ever')).toBe(900);
    expect(wait('for 999999999999 more seconds')).toBe(900);
  });
  it('waits until the next midnight in Beijing', () => {
    const { waitMs } = judged({ body: { code: 1 } }, [{ code: [1], verdict: 'quota', until: 'midnight' }]);
    expect(formatTime(Date.now() + waitMs + 500, 'local')).toMatch(/ 00:00:00$/);
    expect(waitMs).toBeLessThanOrEqual(86_400_000);
  });
});

describe('what HTTP alone says, where no rule fits', () => {
  it.each([
    [429, {}, 'retry-after', 'HTTP 429'],
    [503, { 'retry-after': '2' }, 'retry-after', 'HTTP 503'],
    [401, {}, 'token', 'HTTP 401'],
    [403, {}, 'permission', 'HTTP 403'],
    [404, {}, 'unknown', 'HTTP 404'],
    [302, { location: 'https://login.example.com' }, 'unknown', 'HTTP 302'],
  ] as const)('%i', (status, headers, verdict, code) => {
    expect(judged({ status, headers, body: status === 302 ? {} : '' })).toMatchObject({ verdict, code });
  });
  it.each([500, 502, 503, 504, 408])('%i is away', (status) => {
    const html = () => judged({ status, headers: { 'content-type': 'text/html' }, body: '<h1>Bad gateway</h1>' });
    expect(html).toThrow(expect.objectContaining({ type: 'Unavailable', message: `${place} answered ${status}` }));
  });
  it('a good envelope in a bad status is a failure all the same', () => {
    expect(() => judged({ status: 500, body: { code: 0, data: [] } })).toThrow(
      expect.objectContaining({ type: 'Unavailable', message: `${place} answered 500 (0)` }),
    );
  });
});

describe('an answer that is no JSON', () => {
  it.each([
    [
      'HTML',
      { headers: { 'content-type': 'text/html; charset=utf-8' }, body: `<p>${secretText}</p>` },
      'HTML (text/html, 24 bytes)',
    ],
    ['HTML that says it is JSON', { body: '  <!doctype html>' }, 'HTML (application/json, 17 bytes)'],
    ['cut JSON', { body: `{"code":0,"data":["${secretText}` }, 'truncated or broken JSON (application/json, 36 bytes)'],
    ['an empty body', { body: '' }, 'an empty body (application/json, 0 bytes)'],
    ['a 204', { status: 204, body: '' }, 'an empty body'],
  ])('%s is a bad answer, its text unseen', (_, given: Given, shown) => {
    const run = () => judged(given, [{ text: 'phone|html|code', verdict: 'busy' }]);
    expect(run).toThrow(
      expect.objectContaining({ type: 'BadAnswer', message: expect.stringContaining(`with ${shown}`) }),
    );
    expect(run).not.toThrow(secretText);
  });
  it('is what a rule for pages says: the ban of an address', () => {
    const ban = { headers: { 'content-type': 'text/html' }, body: '<html>source x5 punish deny</html>' };
    const rule: VerdictRule = {
      notJson: true,
      text: 'punish',
      verdict: 'retry-after',
      waitMs: 300_000,
      level: 'platform',
    };
    expect(judged(ban, [rule])).toMatchObject({ verdict: 'retry-after', waitMs: 300_000, level: 'platform' });
    expect(judged({ body: { code: 1, msg: 'punish' } }, [rule]).verdict, 'JSON is none of its business').toBe(
      'unknown',
    );
  });
  it('with a bad status is judged by rules for that status', () => {
    expect(judged({ status: 502, body: '<html>' }, [{ status: [502], verdict: 'busy', waitMs: 9 }])).toMatchObject({
      verdict: 'busy',
      waitMs: 9,
    });
  });
  it('reads JSON behind a byte order mark', () => {
    expect(judged({ body: '\uFEFF{"code":0,"data":1}' }).data).toBe(1);
  });
});

describe('long numbers', () => {
  it('become texts where a double cannot hold them, and only there', () => {
    const text =
      '{"a":1234567890123456789,"b":-9007199254740993,"c":[9007199254740991,12345678901234567890],"d":0.12345678901234567890,"e":1.5e300,"f":123,"s":"x 1234567890123456789 \\" 1234567890123456789","t":"\\\\","u":2234567890123456789}';
    expect(parseJson(text)).toEqual({
      a: '1234567890123456789',
      b: '-9007199254740993',
      c: [9007199254740991, '12345678901234567890'],
      d: '0.12345678901234567890',
      e: 1.5e300,
      f: 123,
      s: 'x 1234567890123456789 " 1234567890123456789',
      t: '\\',
      u: '2234567890123456789',
    });
  });
  it.each([
    ['a sum with more digits than a double has', '12345678901234567.89', true],
    ['an id that is written with a point', '9007199254740993.0', true],
    ['a number too large', '1e400', true],
    ['a number too small', '-1.5e-400', true],
    ['a rate whose last digit would change', '0.10000000000000001', true],
    ['one of 17 digits that a double has', '0.30000000000000004', false],
    ['zeros behind the point', '1.00000000000000000000', false],
    ['zeros before the digits', '0.00000000000000000012', false],
    ['nothing but zeros', '-0.00000000000000000000', false],
    ['digits and an exponent', '1234567890.12340000000E+03', false],
    ['an exponent of three digits', '1.5e300', false],
  ])('%s: %s', (_, literal, asText) => {
    for (const text of [literal, `[${literal}]`, `{"a":"1","b": ${literal} ,"c":"\\"${literal}"}`]) {
      const value = ['b', '0', ''].map((path) => valueAt(parseJson(text), path)).find((one) => one !== undefined);
      expect(value, text).toBe(asText ? literal : Number(literal));
    }
  });
  it('are found in a long text of many strings without delay', () => {
    const row = { id: 1, note: `${'\\"'.repeat(50)}1234567890123456789` };
    const rows = Array.from({ length: 20_000 }, () => row);
    const text = JSON.stringify(rows).replaceAll('"id":1,', '"id":1234567890123456789,');
    const started = performance.now();
    const read = parseJson(text) as { id: string; note: string }[];
    expect(performance.now() - started).toBeLessThan(3_000);
    expect(read).toHaveLength(20_000);
    expect(read[19_999]).toEqual({ id: '1234567890123456789', note: row.note });
  });
});

describe('values', () => {
  it('are found by path, never among inherited names', () => {
    const object = { a: { list: [{ id: 7 }], none: null } };
    expect(valueAt(object, '')).toBe(object);
    expect(valueAt(object, 'a.list.0.id')).toBe(7);
    expect(valueAt(object, 'a.none')).toBeNull();
    for (const path of ['a.none.x', 'a.list.length', 'constructor', 'a.list.1', 'a.x.y', '__proto__'])
      expect(valueAt(object, path), path).toBeUndefined();
  });
  it('stand for options, secrets, moments, random letters, the API and the token', () => {
    const context = {
      options: { shop: 'x' },
      secrets: { key: 'k' },
      nowMs: 1_700_000_000_123,
      api: { name: 'n' },
      token: { access: 'a' },
    };
    const resolve = (value: Parameters<typeof resolveValue>[0]) => resolveValue(value, context);
    expect(resolve({ option: 'shop' })).toBe('x');
    expect(resolve({ secret: 'key' })).toBe('k');
    expect(resolve({ now: 's' })).toBe(1_700_000_000);
    expect(resolve({ random: 12 })).toMatch(/^[A-Za-z0-9]{12}$/);
    expect(resolve({ random: 12 })).not.toBe(resolve({ random: 12 }));
    expect(resolve({ api: 'name' })).toBe('n');
    expect(resolve({ api: 'version' })).toBeUndefined();
    expect(resolve({ token: 'access' })).toBe('a');
    expect(resolve({ token: 'refresh' })).toBeUndefined();
    expect(() => resolve({ option: 'toString' })).toThrow(/^Option "toString" of the connection: got nothing/);
  });
  const moment = Date.UTC(2024, 1, 29, 16, 30, 5);
  it.each([
    ['ms', moment],
    ['s', moment / 1000],
    ['iso', '2024-02-29T16:30:05.000Z'],
    ['local', '2024-03-01 00:30:05'],
  ] as [TimeFormat, string | number][])('write and read a moment as %s', (format, text) => {
    expect(formatTime(moment, format)).toBe(text);
    expect(parseTime(text, format)).toBe(moment);
    expect(parseTime(String(text), format)).toBe(moment);
  });
  it('read days as Beijing days', () => {
    expect(formatTime(moment, 'day')).toBe('2024-03-01');
    expect(parseTime('2024-03-01', 'day')).toBe(Date.UTC(2024, 1, 29, 16));
  });
  it.each([
    ['iso', '2024-02-29T16:30:05'],
    ['iso', '2024-02-30T16:30:05Z'],
    ['iso', '2024-02-29T25:30:05Z'],
    ['iso', moment],
    ['local', '2023-02-29 00:00:00'],
    ['local', '0000-00-00 00:00:00'],
    ['local', '2024-02-29 24:61:00'],
    ['local', '0001-01-01 00:00:00'],
    ['local', '0001-01-01 07:59:59'],
    ['day', '0001-01-01'],
    ['iso', '0001-01-01T00:00:00Z'],
    ['iso', '9999-12-31T23:59:59-01:00'],
    ['ms', moment * 1000],
    ['s', moment],
    ['local', ''],
    ['day', '2024-02-29 10:00:00'],
    ['ms', ''],
    ['ms', '12x'],
    ['ms', 1e20],
    ['s', Number.NaN],
    ['s', null],
    ['s', {}],
  ] as [TimeFormat, unknown][])('take no moment as %s from %j', (format, value) => {
    expect(parseTime(value, format)).toBeNull();
  });
  it.each([
    ['iso', '2024-03-01T00:30:05.25+08:00', moment + 250],
    ['iso', '2024-03-01 00:30:05+0800', moment],
    ['iso', '2024-02-29T16:30Z', moment - 5_000],
    ['local', '2024-03-01T00:30:05.123456', moment + 123],
    ['s', '1709224205.5', moment + 500],
  ] as [TimeFormat, unknown, number][])('read variants of %s: %s', (format, value, expected) => {
    expect(parseTime(value, format)).toBe(expected);
  });
});
