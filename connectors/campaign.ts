import * as v from 'valibot';

const name = v.pipe(v.string(), v.regex(/^[a-z0-9][a-z0-9_-]{0,63}$/, 'a name of 1-64 characters a-z, 0-9, - and _'));
const whole = (least: number, most: number) => v.pipe(v.number(), v.integer(), v.minValue(least), v.maxValue(most));
const clock = v.pipe(v.string(), v.regex(/^([01]\d|2[0-3]):[0-5]\d$/, 'a time such as 21:00'));
const zone = v.pipe(v.string(), v.check(isZone, 'a time zone such as Asia/Shanghai'));

export const policies = ['at-most-once', 'at-least-once', 'reconcile'] as const;
export type Policy = (typeof policies)[number];

/** What a campaign is: who, by which channel, what, how fast, when. Frozen with its audience. */
export const campaignDefinition = v.strictObject({
  audience: v.strictObject({
    /** Connection of the people (platform database). */
    connection: name,
    /** Tags and segments, e.g. `1 AND (11 OR vip) AND NOT 21 AND segment:gold`. Default: everybody. */
    filter: v.optional(v.string()),
    /** Draws the audience from order records: only users with one. */
    orders: v.optional(
      v.strictObject({
        /** Calendar days up to and with today. Default 2: yesterday and today. */
        days: v.optional(whole(1, 366), 2),
        /** A user with more orders than this in these days together counts as one record. Default 2. */
        moreThan: v.optional(whole(1, 1_000), 2),
        /** Where a day begins. Default UTC. */
        timeZone: v.optional(zone, 'UTC'),
      }),
    ),
    /** Users left out, by id. */
    exclude: v.optional(v.pipe(v.array(v.string()), v.maxLength(10_000))),
  }),
  /** Connection of the channel's account. */
  channel: name,
  /** What is sent; its form is the channel's. `{{name}}` stands for a field of the user, `{{name|friend}}` has a text for those without. */
  template: v.record(v.string(), v.unknown()),
  /** Messages a second of this campaign, within the account's budget. Default: the account's. */
  throttle: v.optional(v.pipe(v.number(), v.minValue(0.01), v.maxValue(100_000))),
  /** Nothing leaves from `from` to `to`; `zoneOf: "user"` goes by each user's own zone where the source tells it. */
  quiet: v.optional(
    v.strictObject({ from: clock, to: clock, timeZone: zone, zoneOf: v.optional(v.picklist(['campaign', 'user'])) }),
  ),
  /** What becomes of a message whose request left and whose answer never came. Default at-most-once: it is listed as unknown. */
  policy: v.optional(v.picklist(policies), 'at-most-once'),
  /** With `reconcile`: how long callbacks are waited for once all is sent, minutes. Default 30. */
  reconcileMinutes: v.optional(whole(0, 10_080), 30),
  /** Nothing leaves afterwards. */
  deadline: v.optional(v.pipe(v.string(), v.isoTimestamp('a moment such as 2026-12-01T18:00:00Z'))),
  /** Tries a recipient has before it counts as failed. Default 5. */
  attempts: v.optional(whole(1, 20), 5),
  /** A user who got so many messages of all campaigns in so many days is left out. Default: no cap. */
  cap: v.optional(v.strictObject({ messages: whole(1, 1_000), days: whole(1, 366) })),
});

export type CampaignDefinition = v.InferOutput<typeof campaignDefinition>;

/** Intl takes offsets and abbreviations too; a zone of the database has its summer time. */
function isZone(text: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone: text });
    return true;
  } catch {
    return false;
  }
}

/** Everything that can be filled into a text, by name. */
export type Values = Readonly<Record<string, string | undefined>>;

const variable = /\{\{\s*([A-Za-z_]\w*)\s*(?:\|([^{}]*))?\}\}/g;

/** Names of the variables in all texts of a template. */
export function variablesOf(template: unknown): string[] {
  const names = new Set<string>();
  walk(template, (text) => {
    for (const [, found] of text.matchAll(variable)) names.add(found as string);
    return text;
  });
  return [...names];
}

/** A text that looks like a variable and is none, e.g. `{{first name}}`; null when there is none. */
export function brokenVariable(template: unknown): string | null {
  let broken: string | null = null;
  walk(template, (text) => {
    const rest = text.replaceAll(variable, '');
    broken ??= /\{\{[^}]{0,40}/.exec(rest)?.[0] ?? null;
    return text;
  });
  return broken;
}

/**
 * Fills a template, or names the variable that this user has no value for. `html`: fields of the template that are HTML, where
 * values are escaped; what the template itself says is not, its texts for those without included.
 */
export function fill<T extends Record<string, unknown>>(
  template: T,
  values: Values,
  html: readonly string[] = [],
): { message: T } | { missing: string } {
  let missing: string | undefined;
  const filled = (part: unknown, escaped: boolean) =>
    walk(part, (text) =>
      text.replaceAll(variable, (_, name: string, fallback: string | undefined) => {
        const value = Object.hasOwn(values, name) ? values[name] : undefined;
        if (value !== undefined && value !== '') return escaped ? escapeHtml(value) : value;
        if (fallback === undefined) missing ??= name;
        return fallback?.trim() ?? '';
      }),
    );
  const parts = Object.entries(template).map(([field, part]) => [field, filled(part, html.includes(field))]);
  const message = Object.fromEntries(parts) as T;
  return missing === undefined ? { message } : { missing };
}

const entities: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };

/** Safe between tags and in a quoted attribute. */
const escapeHtml = (text: string) => text.replace(/[&<>"']/g, (sign) => entities[sign] as string);

function walk<T>(value: T, change: (text: string) => string): T {
  if (typeof value === 'string') return change(value) as T;
  if (Array.isArray(value)) return value.map((one) => walk(one, change)) as T;
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, walk(one, change)])) as T;
}
