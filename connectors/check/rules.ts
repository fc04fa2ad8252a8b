import type { Connector, Digest, TokenCall, VerdictRule } from '../shape.ts';
import { none, quoted, streamProblems } from './rules.streams.ts';

/** What is wrong in a connector whose parts all have their form. */
export interface Problem {
  /** Keys joined by dots. */
  at: string;
  /** What stands there, never a secret. */
  got: string;
  accepted: string;
}

/** What the schema alone cannot see: names that point nowhere, parts that contradict each other. */
export function* problems(connector: Connector): Generator<Problem> {
  yield* settingProblems(connector);
  yield* nameProblems(connector);
  yield* limitProblems(connector);
  yield* authProblems(connector);
  yield* signProblems(connector);
  yield* gatewayProblems(connector);
  yield* envelopeProblems(connector);
  if (Object.keys(connector.streams).length === 0)
    yield { at: 'streams', got: 'an empty object', accepted: 'at least one stream' };
  for (const name of Object.keys(connector.streams)) yield* streamProblems(connector, name);
  yield* unconfirmedProblems(connector);
}

function namesOf({ settings }: Connector, secret: boolean): string[] {
  return Object.keys(settings).filter((name) => settings[name]?.secret === secret);
}

const oneOf = (names: readonly string[], what: string) =>
  names.length > 0 ? `${what}: ${names.join(', ')}` : `${what}, of which "settings" has none`;

function* settingProblems({ settings }: Connector): Generator<Problem> {
  for (const [name, setting] of Object.entries(settings))
    if (setting.secret && setting.default)
      yield {
        at: `settings.${name}.default`,
        got: `a text of ${setting.default.length} characters`,
        accepted: "nothing, or '' where the field may be left out: secrets stand in connections",
      };
}

/** Every `{ option }`, `{ secret }` and `{ token }`, wherever it stands. */
function* nameProblems(connector: Connector): Generator<Problem> {
  const [options, secrets] = [namesOf(connector, false), namesOf(connector, true)];
  const { settings: _declared, ...rest } = connector;
  for (const { at, name, value } of valuesIn(rest, '')) {
    if (name === 'option' && !options.includes(value))
      yield { at, got: quoted(value), accepted: oneOf(options, 'a setting that is no secret') };
    // Somebody may have put the secret itself there.
    if (name === 'secret' && !secrets.includes(value))
      yield { at, got: `a text of ${value.length} characters`, accepted: oneOf(secrets, 'a secret setting') };
    if (name === 'token' && connector.auth.kind !== 'token')
      yield { at, got: quoted(value), accepted: 'no token, since auth.kind is not token' };
    if (value === 'refresh' && name === 'token' && !at.startsWith('auth.refresh.'))
      yield { at, got: quoted(value), accepted: '"access"; the refresh token is sent by auth.refresh alone' };
  }
}

function* valuesIn(part: unknown, at: string): Generator<{ at: string; name: string; value: string }> {
  if (typeof part !== 'object' || part === null) return;
  const entries = Object.entries(part);
  const [only] = entries;
  if (entries.length === 1 && only && ['option', 'secret', 'token'].includes(only[0]) && typeof only[1] === 'string')
    yield { at: `${at}.${only[0]}`, name: only[0], value: only[1] };
  else for (const [key, inner] of entries) yield* valuesIn(inner, at === '' ? key : `${at}.${key}`);
}

/** An app is named by what every connection says. */
function* limitProblems(connector: Connector): Generator<Problem> {
  const { app } = connector.limits;
  const options = namesOf(connector, false);
  if (app !== undefined && !options.includes(app))
    yield { at: 'limits.app', got: quoted(app), accepted: oneOf(options, 'a setting that is no secret') };
}

function* authProblems(connector: Connector): Generator<Problem> {
  const { auth, gateway, streams } = connector;
  const secrets = namesOf(connector, true);
  if (auth.kind === 'static' && !secrets.includes(auth.secret))
    yield {
      at: 'auth.secret',
      got: `a text of ${auth.secret.length} characters`,
      accepted: oneOf(secrets, 'a secret setting'),
    };
  if (auth.kind !== 'token') return;
  const { obtain, refresh, place } = auth;
  if (!obtain && !refresh) yield { at: 'auth.obtain', got: none, accepted: 'a call, unless auth.refresh has one' };
  if (refresh && !obtain?.answer.refresh && !secrets.includes('refreshToken'))
    yield {
      at: 'settings.refreshToken',
      got: none,
      accepted: 'a secret setting: nothing else gives auth.refresh its first refresh token',
    };
  for (const [name, call] of Object.entries({ obtain, refresh }))
    if (call?.signed && !gateway.sign)
      yield { at: `auth.${name}.signed`, got: 'true', accepted: 'false: gateway.sign is absent' };
  const carried = [...valuesIn(gateway, '')].some(({ name }) => name === 'token');
  if (!place && !carried && Object.values(streams).some((stream) => stream.call))
    yield { at: 'auth.place', got: none, accepted: 'a place, unless a value of gateway is { token: access }' };
  if (place && carried)
    yield { at: 'auth.place', got: quoted(place.name), accepted: 'nothing: gateway carries { token: access } already' };
}

function* signProblems(connector: Connector): Generator<Problem> {
  const { sign } = connector.gateway;
  if (sign?.kind !== 'params') return;
  const at = 'gateway.sign';
  const secrets = namesOf(connector, true);
  const { field, place } = sign.secret;
  if (!secrets.includes(field))
    yield {
      at: `${at}.secret.field`,
      got: `a text of ${field.length} characters`,
      accepted: oneOf(secrets, 'a secret setting'),
    };
  if ('option' in sign.digest) {
    const { option, digests } = sign.digest;
    const setting = connector.settings[option];
    const names = Object.keys(digests);
    if (!setting || setting.secret)
      yield {
        at: `${at}.digest.option`,
        got: quoted(option),
        accepted: oneOf(namesOf(connector, false), 'a setting that is no secret'),
      };
    else if (setting.default !== undefined && !names.includes(setting.default))
      yield { at: `settings.${option}.default`, got: quoted(setting.default), accepted: names.join(', ') };
    for (const [name, digest] of Object.entries(digests))
      yield* digestProblems(`${at}.digest.digests.${name}`, digest, place);
  } else yield* digestProblems(`${at}.digest`, sign.digest, place);
}

/** A signature without a secret in it proves nothing. */
function* digestProblems(at: string, { algorithm, keyOnly }: Digest, place: string): Generator<Problem> {
  if (algorithm.startsWith('hmac-')) return;
  if (keyOnly) yield { at: `${at}.keyOnly`, got: 'true', accepted: `false: ${algorithm} has no key` };
  if (place === 'none')
    yield {
      at: `${at}.algorithm`,
      got: quoted(algorithm),
      accepted: 'hmac-md5 or hmac-sha256, since secret.place is none',
    };
}

function* gatewayProblems({ gateway, auth, streams }: Connector): Generator<Problem> {
  const called = Object.entries(streams).flatMap(([name, { call }]) => (call ? [{ name, call }] : []));
  if (called.length > 0 && !gateway.path.includes('{api}') && !uses(gateway, 'name'))
    yield {
      at: 'gateway.path',
      got: quoted(gateway.path),
      accepted: 'a path with {api}, unless a value is { api: name }',
    };
  const wantsVersion = gateway.path.includes('{version}') || uses(gateway, 'version');
  for (const { name, call } of called)
    if (wantsVersion && call.version === undefined)
      yield {
        at: `streams.${name}.call.version`,
        got: none,
        accepted: 'a text: gateway sends the version of each call',
      };
  const ours: [string, TokenCall | undefined][] =
    auth.kind === 'token'
      ? [
          ['obtain', auth.obtain],
          ['refresh', auth.refresh],
        ]
      : [];
  for (const [name, call] of ours)
    if (call?.method === 'GET' && call.in !== 'query')
      yield { at: `auth.${name}.in`, got: quoted(call.in), accepted: 'query: a GET has no body' };
}

/** Whether `{ api: part }` stands anywhere in it. */
function uses(part: unknown, api: 'name' | 'version'): boolean {
  if (typeof part !== 'object' || part === null) return false;
  return (part as { api?: unknown }).api === api || Object.values(part).some((inner) => uses(inner, api));
}

function* envelopeProblems({ envelope: { shapes, rules } }: Connector): Generator<Problem> {
  const open = shapes.findIndex(({ when }) => when === undefined);
  if (open >= 0 && open < shapes.length - 1)
    yield {
      at: `envelope.shapes.${open}.when`,
      got: none,
      accepted: 'a path: without one the shapes behind it are never reached',
    };
  for (const [i, rule] of rules.entries()) {
    const at = `envelope.rules.${i}`;
    if (!rule.status && !rule.code && rule.text === undefined && !rule.notJson)
      yield { at, got: 'a rule that fits every failure', accepted: 'a rule with status, code, text or notJson' };
    if (rule.text !== undefined && !isPattern(rule.text))
      yield { at: `${at}.text`, got: quoted(rule.text.slice(0, 60)), accepted: 'a regular expression' };
    if (rule.until && rule.verdict !== 'quota')
      yield { at: `${at}.until`, got: quoted(rule.until), accepted: `nothing, since verdict is ${rule.verdict}` };
    yield* waitProblems(at, rule);
  }
}

function* waitProblems(at: string, rule: VerdictRule): Generator<Problem> {
  const { verdict, until, waitMs, waitHeader, waitText } = rule;
  if (verdict === 'quota' && !until && waitMs === undefined && waitHeader === undefined && waitText === undefined)
    yield {
      at: `${at}.until`,
      got: none,
      accepted: 'midnight, unless waitMs, waitHeader or waitText says when a used-up quota is full again',
    };
  const waits = ['retry-after', 'busy', 'quota'].includes(verdict);
  if (waitMs && !waits)
    yield { at: `${at}.waitMs`, got: String(waitMs), accepted: `nothing, since verdict is ${verdict}` };
  if (waitText === undefined) return;
  const got = quoted(waitText.slice(0, 60));
  if (!waits) yield { at: `${at}.waitText`, got, accepted: `nothing, since verdict is ${verdict}` };
  if (!isPattern(waitText) || groupsOf(waitText) !== 1)
    yield { at: `${at}.waitText`, got, accepted: 'a regular expression with one group, which holds the seconds' };
}

/** With an alternative that fits everything it tells of each group, also of those that took no part. */
const groupsOf = (pattern: string) => (new RegExp(`${pattern}|`).exec('')?.length ?? 1) - 1;

function isPattern(text: string): boolean {
  try {
    return new RegExp(text, 'i').source !== '';
  } catch (error) {
    if (error instanceof SyntaxError) return false;
    throw error;
  }
}

/** A fact may be that something is not there, so the last key need not be. */
function* unconfirmedProblems(connector: Connector): Generator<Problem> {
  for (const [i, { at }] of connector.unconfirmed.entries()) {
    let part: unknown = connector;
    for (const key of at.split('.').slice(0, -1))
      part = typeof part === 'object' && part !== null ? (part as Record<string, unknown>)[key] : undefined;
    if (typeof part !== 'object' || part === null)
      yield { at: `unconfirmed.${i}.at`, got: quoted(at), accepted: 'keys that lead to a part of this connector' };
  }
}
