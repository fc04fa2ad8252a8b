import { describe, expect, it } from 'vitest';
import { quietUntil } from '../activities/audience/quiet.ts';
import { Settlement } from '../activities/audience/settlement.ts';
import { brokenVariable, fill, variablesOf } from '../connectors/campaign.ts';
import { channels, checkChannel } from '../connectors/channel.index.ts';
import { ruleOf } from '../connectors/channel.ts';
import { checkField } from '../connectors/wechat/fields.ts';
import { parseExpression } from '../db/audience/expression.ts';
import { filterSql } from '../db/audience/filter.ts';

describe('the language of filters', () => {
  it('binds NOT before AND before OR, and reads numbers, words, quotes and segments', () => {
    const tag = (one: number | string) => ({ kind: 'tag', tag: one });
    expect(parseExpression('1 OR 2 AND NOT vip')).toEqual({
      kind: 'or',
      of: [tag(1), { kind: 'and', of: [tag(2), { kind: 'not', of: tag('vip') }] }],
    });
    expect(parseExpression('(1 OR 2)AND"a b"AND segment:"x y"')).toEqual({
      kind: 'and',
      of: [{ kind: 'or', of: [tag(1), tag(2)] }, tag('a b'), { kind: 'segment', id: 'x y' }],
    });
    expect(parseExpression('"1"')).toEqual(tag('1'));
  });

  it.each([
    [' ', 'filter: got an empty text, accepted a filter such as "1 AND vip"; for everybody leave it out'],
    ['1 AND', 'filter, character 6: got the end, accepted a tag, segment:ID, NOT or ('],
    ['1 and 2', 'filter, character 3: got and, accepted AND in capitals, or "and"'],
    ['(1 OR 2', 'filter, character 8: got the end, accepted AND, OR or )'],
    ['1 2', 'filter, character 3: got 2, accepted AND, OR or the end'],
    ['"open', 'filter, character 1: got a " without its end, accepted "a tag"'],
    ["1' OR '1", `filter, character 1: got 1', accepted a word tag in double quotes`],
    ['99999999999999999', 'filter, character 1: got 99999999999999999, accepted a number tag of at most 15 digits'],
    [`${'('.repeat(60)}1${')'.repeat(60)}`, 'filter: got more than 50 levels, accepted fewer'],
  ])('refuses %s with the place', (text, message) => {
    expect(() => parseExpression(text)).toThrow(message);
  });

  it('becomes containment, one for siblings', () => {
    const values: unknown[] = [];
    const put = (value: unknown) => `$${values.push(value)}`;
    expect(filterSql('1 AND 2 AND (3 OR vip)', put)).toBe(
      '(u.tags @> $1::bigint[] AND (u.tags && $2::bigint[] OR u.labels && $3::text[]))',
    );
    expect(values).toEqual([[1, 2], [3], ['vip']]);
  });
});

describe('quiet hours', () => {
  const quiet = { from: '21:00', to: '08:00', timeZone: 'Asia/Shanghai' };
  const at = (text: string) => Date.parse(text);
  it.each([
    ['over midnight, before it', quiet, '2026-11-28T14:00:00Z', '2026-11-29T00:00:00Z'],
    ['over midnight, behind it', quiet, '2026-11-28T23:30:00Z', '2026-11-29T00:00:00Z'],
    ['the last minute', quiet, '2026-11-28T23:59:59Z', '2026-11-29T00:00:00Z'],
    ['their end', quiet, '2026-11-29T00:00:00Z', null],
    ['by day', quiet, '2026-11-28T06:00:00Z', null],
    ['at noon', { ...quiet, from: '12:00', to: '14:00' }, '2026-11-28T05:00:00Z', '2026-11-28T06:00:00Z'],
    ['none', { ...quiet, to: '21:00' }, '2026-11-28T14:00:00Z', null],
    [
      'an end that the clocks skip',
      { from: '22:00', to: '02:30', timeZone: 'Europe/Berlin' },
      '2026-03-28T22:00:00Z',
      '2026-03-29T01:30:00Z',
    ],
  ])('%s', (_what, hours, now, end) => {
    expect(quietUntil(hours, at(now))).toBe(end === null ? null : at(end));
  });
});

describe('templates', () => {
  it('are filled in every text, with a text for those without', () => {
    const template = { title: 'Hi {{name}}', parts: ['{{ city|your town }}', 7], deep: { x: '{{name}}{{name}}' } };
    expect(variablesOf(template)).toEqual(['name', 'city']);
    expect(fill(template, { name: 'Ann' })).toEqual({
      message: { title: 'Hi Ann', parts: ['your town', 7], deep: { x: 'AnnAnn' } },
    });
    expect(fill(template, { city: 'Ulm' })).toEqual({ missing: 'name' });
    expect(fill({ a: '{{toString}}' }, {})).toEqual({ missing: 'toString' });
    expect(fill({ a: '{{name}}' }, { name: '{{city}}' })).toEqual({ message: { a: '{{city}}' } });
  });
  it('escape values in fields that are HTML, and nowhere else', () => {
    const text = '<b>{{name}}</b> {{city|<i>you</i>}}';
    expect(fill({ html: text, text }, { name: `<a href="x">'&` }, ['html'])).toEqual({
      message: {
        html: '<b>&lt;a href=&quot;x&quot;&gt;&#39;&amp;</b> <i>you</i>',
        text: `<b><a href="x">'&</b> <i>you</i>`,
      },
    });
    expect(channels.smtp?.html).toEqual(['html']);
  });
  it('tell a variable that is none', () => {
    expect(brokenVariable({ a: 'x {{first name}}' })).toBe('{{first name');
    expect(brokenVariable({ a: 'x {{name}} {y}' })).toBeNull();
  });
});

describe('fields of WeChat', () => {
  it.each([
    ['thing1', '一'.repeat(20), null],
    ['thing1', '一'.repeat(21), 'too_long'],
    ['thing1', '😀'.repeat(20), null],
    ['thing1', '', 'empty'],
    ['thing1', 'a\nb', 'control_character'],
    ['number2', '12.50', null],
    ['number2', '12a', 'wrong_form'],
    ['character_string3', 'A-1'.repeat(11), 'wrong_form'],
    ['date4', '2026年11月30日', null],
    ['date4', '2026-11-30 08:00', null],
    ['date4', 'tomorrow', 'wrong_form'],
    ['amount5', '¥1234.50', null],
    ['amount5', '¥12345678901', 'wrong_form'],
    ['phone_number6', '+86 138 0013 8000', null],
    ['phone_number6', '1'.repeat(18), 'wrong_form'],
    ['name7', '欧阳娜娜', null],
    ['name7', '一'.repeat(11), 'too_long'],
    ['name7', 'Maximiliana Musterma', null],
    ['name7', 'Maximiliana 一二三', 'too_long'],
    ['phrase8', '已发货', null],
    ['phrase8', '已经发货了吗', 'wrong_form'],
    ['car_number9', '粤A1234567', 'too_long'],
    ['price1', 'x', 'unknown_field'],
  ])('%s %s: %s', (key, value, fault) => {
    expect(checkField(key, value)).toBe(fault);
  });
});

describe('outcomes', () => {
  const wechat = channels.wechat!;
  it.each([
    ['0', 'sent'],
    ['-1', 'retry'],
    ['40001', 'token'],
    ['40014', 'token'],
    ['42001', 'token'],
    ['41001', 'token'],
    ['40003', 'refused'],
    ['40037', 'stop'],
    ['41030', 'stop'],
    ['43101', 'refused'],
    ['43107', 'stop'],
    ['43108', 'retry'],
    ['45009', 'wait'],
    ['45011', 'wait'],
    ['45168', 'refused'],
    ['47003', 'refused'],
    ['48001', 'stop'],
    ['http_502', 'unknown'],
    ['no_errcode', 'unknown'],
    ['47501', 'refused'],
    ['61007', 'refused'],
  ])('WeChat %s is %s', (code, kind) => {
    expect(ruleOf(wechat, code).class).toBe(kind);
  });

  const one = { no: 1, attempt: 0 };
  it('unknown ones are listed, or tried again, as the policy says', () => {
    expect(new Settlement({ policy: 'at-most-once', attempts: 5 }, false).unknown(one, 'no_answer')).toMatchObject({
      state: 'unknown',
      grant: 'kept',
    });
    expect(new Settlement({ policy: 'reconcile', attempts: 5 }, false).unknown(one, 'no_answer')).toMatchObject({
      state: 'unknown',
    });
    const again = new Settlement({ policy: 'at-least-once', attempts: 5 }, false);
    expect(again.unknown(one, 'no_answer')).toMatchObject({ state: 'planned', counts: true, grant: 'kept' });
    expect(again.unknown({ no: 1, attempt: 4 }, 'no_answer')).toMatchObject({ state: 'unknown' });
  });

  it('tries end, waits cost none, a grant goes back unless the channel says there is none', () => {
    const settled = new Settlement({ policy: 'at-most-once', attempts: 2 }, false);
    const answer = (code: string, attempt = 0) => settled.answer({ no: 1, attempt }, { code }, ruleOf(wechat, code));
    expect(answer('-1').outcome).toMatchObject({ state: 'planned', counts: true, grant: 'kept' });
    expect(answer('-1', 1).outcome).toMatchObject({ state: 'failed', reason: '-1', grant: 'back' });
    expect(answer('43101').outcome).toMatchObject({ state: 'refused', grant: 'none-left' });
    expect(answer('40003').outcome).toMatchObject({ state: 'refused', grant: 'back' });
    expect(answer('45011')).toMatchObject({
      outcome: { state: 'planned', counts: false },
      ending: { kind: 'wait', waitMs: 5_000 },
    });
    const midnight = answer('45009').ending as { waitMs: number };
    expect((Date.now() + midnight.waitMs + 8 * 3_600_000) % 86_400_000).toBeLessThan(1_000);
  });

  it.each([
    ['wechat', '61007'],
    ['smtp', '554'],
    ['smtp', '550'],
  ])('of %s: %s for everybody stops the campaign', (channel, code) => {
    const settled = new Settlement({ policy: 'at-most-once', attempts: 5 }, false);
    const answers = Array.from({ length: 50 }, () => settled.answer(one, { code }, ruleOf(channels[channel]!, code)));
    expect(answers.at(-1)).toMatchObject({ outcome: { state: 'refused' }, ending: { kind: 'stop', code } });
  });

  it('the same refusal fifty times and nobody reached stops the campaign', () => {
    const refused = (settled: Settlement) =>
      Array.from({ length: 50 }, () => settled.answer(one, { code: '47003' }, ruleOf(wechat, '47003')).ending);
    expect(
      refused(new Settlement({ policy: 'at-most-once', attempts: 5 }, false)).map((end) => end?.kind ?? null),
    ).toEqual([...Array(49).fill(null), 'stop']);
    expect(refused(new Settlement({ policy: 'at-most-once', attempts: 5 }, true)).every((end) => end === null)).toBe(
      true,
    );
  });
});

describe('a channel is proven when it is loaded', () => {
  const sound = channels.webhook!;
  it.each([
    [
      'another name',
      { channel: 'hook' },
      'connectors/webhook.ts: channel: got "hook", accepted the name of its export: webhook',
    ],
    [
      'no last rule',
      { outcomes: [{ code: ['2xx'], class: 'sent' }] },
      'accepted the last rule, and only it, without code',
    ],
    [
      'nothing is ever sent',
      { outcomes: [{ class: 'refused' }] },
      'outcomes: got no rule of class sent, accepted at least one',
    ],
    ['too many at once', { inFlight: 5_000 }, 'inFlight: got 5000, accepted a whole number from 1 to 1000'],
    ['a pattern with flags', { address: { kind: 'id', pattern: /a/i } }, 'address.pattern: got /a/i'],
  ])('%s', (_what, change, message) => {
    expect(() => checkChannel({ ...sound, ...change }, 'webhook', 'connectors/webhook.ts')).toThrow(message);
  });
});
