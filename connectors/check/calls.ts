import * as v from 'valibot';
import type { SignedCall } from '../shape.ts';
import {
  dayMs,
  filled,
  flag,
  kind,
  kinds,
  list,
  matching,
  method,
  object,
  path,
  scalars,
  setting,
  text,
  values,
  whole,
  word,
} from './parts.ts';

const tokenCall = object({
  method,
  path: matching(/^(\/|https:\/\/)\S+$/, 'a path that begins with / or a whole https address'),
  in: word('query', 'form', 'json'),
  params: values,
  signed: v.optional(flag),
  answer: object({
    access: path,
    refresh: v.optional(path),
    expires: v.optional(object({ path, unit: word('s', 'ms', 'until-ms') })),
    lifeSeconds: whole(1, 366 * 86_400),
  }),
});
const place = object({
  in: word('query', 'form', 'json', 'header'),
  name: text,
  prefix: v.optional(v.string('a text')),
});
export const auth = kinds([
  object({ kind: kind('none') }),
  object({ kind: kind('static'), secret: setting, place }),
  object({
    kind: kind('token'),
    obtain: v.optional(tokenCall),
    refresh: v.optional(tokenCall),
    earlySeconds: v.optional(whole(0, 86_400)),
    place: v.optional(place),
  }),
]);

const digest = object({
  algorithm: word('md5', 'sha1', 'sha256', 'hmac-md5', 'hmac-sha256'),
  encoding: word('lower', 'upper', 'base64'),
  keyOnly: v.optional(flag),
});
const sign = kinds([
  object({
    kind: kind('params'),
    name: text,
    over: word('all', 'system'),
    only: v.optional(filled(text, 'a list of keys')),
    except: v.optional(filled(text, 'a list of keys')),
    pair: word('', '='),
    joiner: word('', '&'),
    secret: object({
      field: setting,
      place: word('around', 'front', 'back', 'none'),
      before: v.optional(v.string('a text')),
    }),
    digest: v.union(
      [digest, object({ option: setting, digests: v.record(text, digest) })],
      '{ algorithm: md5, sha1, sha256, hmac-md5 or hmac-sha256, encoding: lower, upper or base64 } or { option, digests }',
    ),
  }),
  object({
    kind: kind('custom'),
    sign: v.custom<(call: SignedCall) => Record<string, string>>((f) => typeof f === 'function', 'a function'),
  }),
]);
export const gateway = object({
  path: matching(/^\//, 'a path that begins with /'),
  dots: v.optional(word('/')),
  method,
  system: object({ in: word('query', 'form'), params: values }),
  business: object({ in: word('query', 'form', 'json'), as: v.optional(text) }),
  headers: v.optional(values),
  sign: v.optional(sign),
});

const verdict = word(
  ...([
    'ok',
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
  ] as const),
  ...(['bad-request', 'gone', 'unknown'] as const),
);
export const envelope = object({
  shapes: filled(
    object({
      when: v.optional(path),
      ok: v.union(
        [object({ path, is: scalars }), object({ absent: path }), v.literal('failure')],
        "{ path, is: a list of texts, numbers, true or false }, { absent: a path } or 'failure'",
      ),
      code: v.optional(filled(path, 'a list of paths')),
      text: v.optional(filled(path, 'a list of paths')),
      data: path,
      nested: v.optional(flag),
    }),
    'a list of at least one shape',
  ),
  rules: list(
    object({
      status: v.optional(filled(whole(100, 599), 'a list of HTTP statuses')),
      code: v.optional(filled(v.union([v.string(), v.number()], 'a text or a number'), 'a list of codes')),
      text: v.optional(text),
      notJson: v.optional(flag),
      verdict,
      waitMs: v.optional(whole(1, 31 * dayMs)),
      waitHeader: v.optional(text),
      waitText: v.optional(text),
      header: v.optional(v.strictObject({ name: text, is: v.pipe(v.array(text), v.readonly()) })),
      until: v.optional(word('midnight')),
      level: v.optional(word('platform', 'api', 'connection', 'endpoint')),
      hint: v.optional(text),
    }),
    'a list of rules',
  ),
});
