import { wrongUse } from './trouble.ts';

type Options = Record<string, unknown>;

/**
 * Applies `key=value` assignments and `--unset` keys to stored options; the given options stay as they are. Keys are
 * dotted (`guards.users.count=10`); a value that is JSON counts as that, any other as text (`userFilter=active eq true`).
 */
export function changeOptions(stored: Options, assignments: readonly string[], unset: readonly string[]): Options {
  const options = structuredClone(stored);
  for (const key of unset) remove(options, path(key, '--unset'));
  for (const assignment of assignments) {
    const at = assignment.indexOf('=');
    if (at < 1) throw wrongUse(`--option: got "${assignment.slice(0, 60)}", accepted key=value such as userLimit=500`);
    assign(options, path(assignment.slice(0, at), '--option'), parse(assignment.slice(at + 1)));
  }
  return options;
}

function path(key: string, flag: string): string[] {
  const steps = key.split('.');
  // Keys come from people, and `__proto__` is no option of anything.
  if (steps.every((step) => /^[A-Za-z][\w-]*$/.test(step))) return steps;
  throw wrongUse(
    `${flag}: got the key "${key.slice(0, 60)}", accepted names joined by dots such as guards.users.count`,
  );
}

function assign(options: Options, steps: string[], value: unknown): void {
  const [last] = steps.slice(-1) as [string];
  let at = options;
  for (const step of steps.slice(0, -1)) {
    if (!isObject(own(at, step))) at[step] = {};
    at = at[step] as Options;
  }
  at[last] = value;
}

/** Removes a key, and the objects above it that it leaves empty. */
function remove(options: Options, [first, ...rest]: string[]): void {
  if (first === undefined) return;
  const inner = own(options, first);
  if (rest.length > 0 && isObject(inner)) {
    remove(inner, rest);
    if (Object.keys(inner).length > 0) return;
  }
  if (rest.length === 0 || isObject(inner)) delete options[first];
}

function own(options: Options, key: string): unknown {
  return Object.hasOwn(options, key) ? options[key] : undefined;
}

function isObject(value: unknown): value is Options {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return text;
    throw error;
  }
}
