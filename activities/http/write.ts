import type { Auth, Connector, Place, TokenCall, Value } from '../../connectors/shape.ts';
import { SyncError } from '../errors.ts';
import { addressOf, apiPath, linkOf } from './address.ts';
import type { CallRequest } from './client.ts';
import type { HttpRequest } from './request.ts';
import { signatureOf } from './sign.ts';
import { resolveValue, secretOf, type ValueContext } from './values.ts';

type Texts = Record<string, string>;

/** A request in parts: what the signature needs, and where things stand. */
interface Draft {
  url: URL;
  method: 'GET' | 'POST';
  headers: Texts;
  query: Texts;
  form: Texts;
  json: Record<string, unknown> | null;
}

/**
 * Writes a call as the gateway wants it: system parameters, business parameters, token, and the signature over what is
 * sent. @throws SyncError InvalidInput for a missing setting, BadAnswer for a link to another server
 */
export function writeCall(
  connector: Connector,
  baseUrl: string,
  request: Pick<CallRequest, 'call' | 'params' | 'url'>,
  context: ValueContext,
): HttpRequest {
  const { gateway } = connector;
  const { call } = request;
  const system = textsOf(valuesOf(gateway.system.params, context), true);
  const headers = textsOf(valuesOf(gateway.headers ?? {}, context), true);
  const { draft, business, packed } =
    request.url === undefined
      ? fresh(connector, baseUrl, request, context)
      : linked(baseUrl, request.url, call.method ?? gateway.method);
  Object.assign(draft.headers, headers);
  placeToken(draft, connector.auth, context);
  const unsigned = { api: call.api, system, business, packed, body: bodyOf(draft) };
  const signature = gateway.sign ? signatureOf(gateway.sign, unsigned, context) : {};
  const home = gateway.system.in === 'form' && draft.method === 'POST' && !draft.json ? 'form' : 'query';
  addSigned(draft, home, { ...system, ...signature });
  return finish(draft);
}

interface Drafted {
  draft: Draft;
  business: Texts;
  packed: boolean;
}

function fresh(
  { gateway }: Connector,
  baseUrl: string,
  { call, params: more }: Pick<CallRequest, 'call' | 'params'>,
  context: ValueContext,
): Drafted {
  const params = { ...valuesOf(call.params, context), ...more };
  const draft = draftOf(addressOf(baseUrl, apiPath(gateway, call, params)), call.method ?? gateway.method);
  const sent = given(params);
  const packed = gateway.business.as !== undefined;
  const business = packed ? { [gateway.business.as!]: JSON.stringify(sent) } : textsOf(sent, false);
  const home = draft.method === 'GET' ? 'query' : gateway.business.in;
  if (home === 'json') draft.json = packed ? business : sent;
  else Object.assign(draft[home], business);
  return { draft, business, packed };
}

/** A link has its parameters in itself; they count as business parameters for a signature over all. */
function linked(baseUrl: string, link: string, method: 'GET' | 'POST'): Drafted {
  const draft = draftOf(linkOf(baseUrl, link), method);
  return { draft, business: Object.fromEntries(draft.url.searchParams), packed: false };
}

/**
 * Writes a call for a token. Where the connector names a whole address, the setting `tokenUrl` replaces its server.
 * @throws SyncError InvalidInput
 */
export function writeTokenCall(
  connector: Connector,
  baseUrl: string,
  call: TokenCall,
  context: ValueContext,
): HttpRequest {
  const draft = draftOf(tokenAddress(baseUrl, call.path, context), call.method);
  const values = valuesOf(call.params, context);
  const home = call.method === 'GET' ? 'query' : call.in;
  const system = textsOf(values, true);
  if (home === 'json') draft.json = given(values);
  else Object.assign(draft[home], system);
  const { sign } = connector.gateway;
  if (call.signed && sign) {
    const unsigned = { api: call.path, system, business: {}, packed: false, body: bodyOf(draft) };
    addSigned(draft, home, signatureOf(sign, unsigned, context));
  }
  return finish(draft);
}

function tokenAddress(baseUrl: string, path: string, { options }: ValueContext): URL {
  if (!path.startsWith('https:')) return addressOf(baseUrl, path);
  const whole = new URL(path);
  return typeof options.tokenUrl === 'string' ? addressOf(options.tokenUrl, whole.pathname) : whole;
}

function draftOf(url: URL, method: 'GET' | 'POST'): Draft {
  return { url, method, headers: { accept: 'application/json' }, query: {}, form: {}, json: null };
}

function valuesOf(params: Record<string, Value | readonly Value[]>, context: ValueContext): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(params).map(([name, value]) => [
      name,
      Array.isArray(value)
        ? value.map((v: Value) => resolveValue(v, context)).filter((v) => v !== undefined)
        : resolveValue(value as Value, context),
    ]),
  );
}

function given(params: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(params).filter(([, value]) => value !== undefined && value !== null));
}

/** Flat parameters: lists joined by commas, objects as JSON. `dropEmpty`: '' is not sent. */
function textsOf(params: Record<string, unknown>, dropEmpty: boolean): Texts {
  const texts = Object.entries(given(params)).map(([name, value]) => [name, textOf(value)] as const);
  return Object.fromEntries(dropEmpty ? texts.filter(([, text]) => text !== '') : texts);
}

function textOf(value: unknown): string {
  if (Array.isArray(value) && value.every((item) => typeof item !== 'object')) return value.join(',');
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

function placeToken(draft: Draft, auth: Auth, context: ValueContext): void {
  if (auth.kind === 'none' || !auth.place) return;
  const value = auth.kind === 'static' ? secretOf(context, auth.secret) : context.token?.access;
  if (value === undefined) throw new SyncError('Defect', 'A call was written without its token');
  put(draft, auth.place, `${auth.place.prefix ?? ''}${value}`);
}

function put(draft: Draft, place: Place, value: string): void {
  if (place.in === 'header') draft.headers[place.name] = value;
  else if (place.in === 'query' || draft.method === 'GET') draft.query[place.name] = value;
  else if (place.in === 'form') draft.form[place.name] = value;
  else draft.json = { ...draft.json, [place.name]: value };
}

function addSigned(draft: Draft, home: 'query' | 'form' | 'json', texts: Texts): void {
  for (const [name, value] of Object.entries(texts)) {
    if (name.startsWith('header:')) draft.headers[name.slice('header:'.length)] = value;
    else if (home === 'json') draft.json = { ...draft.json, [name]: value };
    else draft[home][name] = value;
  }
}

function bodyOf(draft: Draft): string {
  return draft.json ? JSON.stringify(draft.json) : '';
}

function finish(draft: Draft): HttpRequest {
  const { url, method, headers, query, form } = draft;
  for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
  requireClean(headers);
  if (method === 'GET') return { url: url.href, method, headers };
  const type = draft.json ? 'application/json' : 'application/x-www-form-urlencoded;charset=utf-8';
  const body = draft.json ? bodyOf(draft) : new URLSearchParams(form).toString();
  return { url: url.href, method, headers: { 'content-type': type, ...headers }, body };
}

/** A secret with the line break of the file it came from; the driver would call it trouble of the network. */
function requireClean(headers: Texts): void {
  for (const [name, value] of Object.entries(headers)) {
    if (/^[\t\x20-\x7e\x80-\xff]*$/.test(value)) continue;
    throw new SyncError(
      'InvalidInput',
      `Header "${name}": its value (${value.length} characters) holds a line break or another character that no header may hold. Give the credential or option anew: npx syncline connect NAME --credential-env VARIABLE`,
    );
  }
}
