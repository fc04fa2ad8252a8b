import * as v from 'valibot';

/*
 * What the schema of a connector is made of. The message of each part is what it accepts, in words; check.ts puts file,
 * key and the value that came before it.
 */

/** Words for a key that is not there. */
function acceptedBy(schema: unknown): string {
  const { message, type } = (schema ?? {}) as { message?: unknown; type?: string };
  if (typeof message === 'string') return message;
  return type === 'variant' ? 'an object with a kind' : 'an object';
}

/** An object with these keys and no other. */
export const object = <const E extends v.ObjectEntries>(entries: E) =>
  v.strictObject(entries, ({ expected, path }) => {
    if (expected === 'never') return Object.keys(entries).join(', ');
    return path ? acceptedBy(entries[String(path[0].key)]) : 'an object';
  });

/** One of several objects, told apart by `kind`. */
export const kinds = <const O extends v.VariantOptions<'kind'>>(options: O) =>
  v.variant('kind', options, ({ path, expected }) =>
    path ? (expected ?? '').replace(/[()"]/g, '').replaceAll(' |', ',') : 'an object with a kind',
  );
export const kind = <const K extends string>(name: K) => v.literal(name);

export const word = <const O extends readonly [string | number, ...(string | number)[]]>(...words: O) =>
  v.picklist(words, words.map((one) => (one === '' ? "''" : String(one))).join(', '));
export const matching = (pattern: RegExp, accepted: string) => v.pipe(v.string(accepted), v.regex(pattern, accepted));
/** A name of ours that others must not have. */
export const untaken = (pattern: RegExp, isTaken: (name: string) => boolean, accepted: string) =>
  v.pipe(
    v.string(accepted),
    v.regex(pattern, accepted),
    v.check((name) => !isTaken(name), accepted),
  );
export const text = matching(/\S/, 'a text');
export const flag = v.boolean('true or false');

export function whole(least: number, most: number) {
  const accepted = `a whole number from ${least} to ${most}`;
  return v.pipe(v.number(accepted), v.integer(accepted), v.minValue(least, accepted), v.maxValue(most, accepted));
}

/** A list; `filled` has one value at least. */
export const list = <const S extends v.GenericSchema>(item: S, accepted: string) =>
  v.pipe(v.array(item, accepted), v.readonly());
export const filled = <const S extends v.GenericSchema>(item: S, accepted: string) =>
  v.pipe(v.array(item, accepted), v.minLength(1, accepted), v.readonly());

export const dayMs = 86_400_000;
export const path = matching(/^$|^[^.\s]+(\.[^.\s]+)*$/, "keys joined by dots, or '' for the object itself");
export const setting = matching(/^[A-Za-z]\w*$/, 'the name of a setting');
export const scalars = filled(
  v.union([v.string(), v.number(), v.boolean()], 'a text, a number, true or false'),
  'a list of texts, numbers, true or false',
);
export const timeFormat = word('ms', 's', 'iso', 'local', 'day');
export const method = word('GET', 'POST');
export const rates = filled(
  object({
    requests: whole(1, 1_000_000),
    perMs: whole(1, 366 * dayMs),
    burst: v.optional(whole(1, 1_000_000)),
    rolling: v.optional(v.boolean()),
  }),
  'a list of rates',
);

const valueWords =
  'a text, a number, true, false, { option }, { secret }, { now: ms, s, iso, local or day }, { random: 1 to 64 }, { api: name or version } or { token: access or refresh }';
/** A value of a request. */
export const value = v.union(
  [
    v.string(),
    v.number(),
    v.boolean(),
    v.strictObject({ option: setting }),
    v.strictObject({ secret: setting }),
    v.strictObject({ now: timeFormat }),
    v.strictObject({ random: whole(1, 64) }),
    v.strictObject({ api: word('name', 'version') }),
    v.strictObject({ token: word('access', 'refresh') }),
  ],
  valueWords,
);
export const values = v.record(text, value, 'an object of values');
export const valuesOrLists = v.record(
  text,
  v.union([value, list(value, 'a list of values')], `${valueWords}, or a list of these`),
  'an object of values',
);
