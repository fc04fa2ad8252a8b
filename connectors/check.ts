import * as v from 'valibot';
import { problems } from './check/rules.ts';
import { connectorSchema } from './check/schema.ts';
import type { Connector } from './shape.ts';

/**
 * Proves a connector when it is loaded: form, names that must point somewhere, parts that must agree.
 * @param file where it stands, for the message
 * @throws Error with file, key, value got (never a secret) and values accepted of what is wrong first, and how much more is
 */
export function checkConnector(connector: unknown, file: string): Connector {
  const { issues, success } = v.safeParse(connectorSchema, connector);
  const found = success ? [...problems(connector as Connector)] : issues.map(problemOf);
  const [first] = found;
  if (first === undefined) return connector as Connector;
  const more = found.length > 1 ? ` (and ${found.length - 1} more)` : '';
  throw new Error(`${file}: ${first.at}: got ${first.got}, accepted ${first.accepted}${more}`);
}

function problemOf(issue: v.BaseIssue<unknown>) {
  const keys = (issue.path ?? []).map(({ key }) => String(key));
  // A key too many is told where it stands; of a missing one valibot says the same, but expects the key itself.
  if (issue.expected === 'never')
    return { at: at(keys.slice(0, -1)), got: `the key "${keys.at(-1)?.slice(0, 60)}"`, accepted: issue.message };
  if (issue.path?.at(-1)?.origin === 'key' && issue.input === undefined)
    return { at: at(keys), got: 'nothing', accepted: issue.message };
  return { at: at(keys), got: shown(keys, issue.input), accepted: issue.message };
}

const at = (keys: string[]) => keys.join('.') || 'the connector';

/** Keys where a secret may stand by mistake: in place of the name of its setting. */
const hidden = ['secret', 'field', 'default', 'baseUrl'];

function shown(keys: string[], value: unknown): string {
  if (typeof value === 'string')
    return hidden.includes(keys.at(-1) ?? '') || /[?@]/.test(value)
      ? `a text of ${value.length} characters`
      : JSON.stringify(value.slice(0, 60));
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (typeof value === 'function') return 'a function';
  if (typeof value !== 'object' || value === null) return value === undefined ? 'nothing' : String(value);
  const inside = Object.keys(value).slice(0, 6);
  return inside.length > 0 ? `an object with ${inside.join(', ')}` : 'an empty object';
}
