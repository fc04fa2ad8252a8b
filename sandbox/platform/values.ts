/** A number that looks random and is the same for the same serial and salt, 0 to `below` − 1. */
export function pick(serial: number, salt: number, below: number): number {
  let mixed = Math.imul(serial ^ 0x9e3779b9, 0x85ebca6b) ^ Math.imul(salt + 0x7f4a7c15, 0xc2b2ae35);
  mixed ^= mixed >>> 15;
  mixed = Math.imul(mixed, 0x2c1b3c6d);
  mixed ^= mixed >>> 12;
  return (mixed >>> 0) % below;
}

const beijing = 8 * 3600_000;

/** `yyyy-MM-dd HH:mm:ss` in Beijing time. */
export function local(ms: number): string {
  return new Date(ms + beijing).toISOString().slice(0, 19).replace('T', ' ');
}

/** How the platform reads a moment; NaN for what is none. */
export function moment(value: unknown, format: 'ms' | 's' | 'iso' | 'local' | 'day'): number {
  const text = typeof value === 'number' ? String(value) : typeof value === 'string' ? value : '';
  if (format === 'ms') return /^\d{13}$/.test(text) ? Number(text) : Number.NaN;
  if (format === 's') return /^\d{10}$/.test(text) ? Number(text) * 1000 : Number.NaN;
  if (format === 'iso') return Date.parse(text);
  if (format === 'day') return /^\d{4}-\d\d-\d\d$/.test(text) ? Date.parse(`${text}T00:00:00+08:00`) : Number.NaN;
  return /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/.test(text) ? Date.parse(`${text.replace(' ', 'T')}+08:00`) : Number.NaN;
}

/** A whole number that came as number or text; NaN for what is none. */
export function whole(value: unknown): number {
  if (typeof value === 'number') return Number.isInteger(value) ? value : Number.NaN;
  return typeof value === 'string' && /^-?\d+$/.test(value) ? Number(value) : Number.NaN;
}

const mark = '\u0001';

/** A whole number of any length: written in JSON without quotes, where a JavaScript number would be rounded. */
export function longNumber(digits: string): string {
  return mark + digits;
}

/** JSON with long numbers as numbers. */
export function writeJson(value: unknown): string {
  const text = JSON.stringify(value) ?? '';
  return text.includes('"\\u0001') ? text.replace(/"\\u0001(\d+)"/g, '$1') : text;
}

/** What a careful reader holds after reading the JSON: long numbers as texts. */
export function asRead<T>(value: T): T {
  return JSON.parse(JSON.stringify(value).replaceAll('"\\u0001', '"')) as T;
}
