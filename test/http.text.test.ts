import { expect, it } from 'vitest';
import { textOf } from '../activities/http/text.ts';

it.each([
  ['nothing', Buffer.from('')],
  ['ASCII', Buffer.from('{"a":1}')],
  ['letters of two, three and four bytes', Buffer.from('{"a":"Zoë 订单 😀 \\u0000"}')],
  ['a byte order mark', Buffer.from('\ufeff{"a":"ü"}')],
  ['bytes that are no UTF-8', Buffer.from([0x22, 0xc3, 0xbc, 0xff, 0xfe, 0x22])],
  ['half a surrogate pair', Buffer.from([0xed, 0xa0, 0x80, 0x41])],
  ['a letter that is cut', Buffer.from([0x41, 0xe4, 0xb8])],
])('reads %s as Node does', (_, body) => {
  expect(textOf(body)).toBe(body.toString('utf8'));
});
