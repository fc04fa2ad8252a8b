import type { Catalog } from './catalog.ts';

/** Longest text of a property. */
export const longestText = 65_536;
const dayMs = 86_400_000;

/** Why one value cannot be taken: HubSpot's own code, in small letters. */
export interface ValueFault {
  property: string;
  code:
    | 'invalid_option'
    | 'invalid_number'
    | 'invalid_bool'
    | 'invalid_date'
    | 'invalid_datetime'
    | 'too_long'
    | 'invalid_email';
}

/**
 * Checks a mapped row against the catalog before it costs a call. What only the account can know (rules of its
 * administrators, addresses it finds bad) is left to it: a row that is refused here would never be sent.
 * @returns the first fault, or null
 */
export function checkValues(values: Readonly<Record<string, string>>, catalog: Catalog): ValueFault | null {
  for (const property in values) {
    const value = values[property]!;
    // An empty text clears a property of any type.
    if (value === '') continue;
    const code = faultOf(property, value, catalog);
    if (code) return { property, code };
  }
  return null;
}

function faultOf(property: string, value: string, catalog: Catalog): ValueFault['code'] | null {
  if (property === 'email')
    return value.length > longestText || !/^[^\s@]+@[^\s@]+$/.test(value) ? 'invalid_email' : null;
  const known = catalog[property];
  switch (known?.type) {
    case 'enumeration':
      return known.options.length === 0 || isOption(known.options, value) ? null : 'invalid_option';
    case 'number':
      return /^-?\d+(\.\d+)?$/.test(value) ? null : 'invalid_number';
    case 'bool':
      return value === 'true' || value === 'false' ? null : 'invalid_bool';
    case 'date':
      return isDay(value) ? null : 'invalid_date';
    case 'datetime':
      return /^-?\d{1,17}$/.test(value) ? null : 'invalid_datetime';
    default:
      return value.length > longestText ? 'too_long' : null;
  }
}

/** Options may grow to thousands, and a run looks at millions of values. */
const optionSets = new WeakMap<readonly string[], ReadonlySet<string>>();

function isOption(options: readonly string[], value: string): boolean {
  let set = optionSets.get(options);
  if (!set) {
    set = new Set(options);
    optionSets.set(options, set);
  }
  return set.has(value) || value.split(';').every((one) => set.has(one));
}

/** Midnight UTC in milliseconds: everything else is refused with "is at …, not midnight!". */
function isDay(value: string): boolean {
  return /^-?\d{1,17}$/.test(value) && Number(value) % dayMs === 0;
}

/** What may be said of a refused value: never the value. */
export function shapeOf(value: string | undefined): string {
  if (value === undefined) return 'no value';
  if (value === '') return 'an empty text';
  if (/^-?\d+$/.test(value)) return `a whole number of ${value.replace('-', '').length} digits`;
  if (/^-?\d+\.\d+$/.test(value)) return 'a number with decimals';
  const kinds = [
    /[a-z]/i.test(value) && 'letters',
    /\d/.test(value) && 'digits',
    /\s/.test(value) && 'spaces',
    /@/.test(value) && '@',
  ];
  const made = kinds.filter(Boolean).join(', ');
  return `a text of ${value.length} character${value.length === 1 ? '' : 's'}${made && ` (${made})`}`;
}
