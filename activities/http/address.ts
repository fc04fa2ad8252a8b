import type { ApiCall, Gateway } from '../../connectors/shape.ts';
import { SyncError } from '../errors.ts';
import { Refused } from './refused.ts';

/** Joins a base address, which may have a path of its own, and a path. */
export function addressOf(baseUrl: string, path: string): URL {
  const base = new URL(baseUrl);
  const [pathname, search] = path.split(/\?(.*)/s);
  base.pathname = `${base.pathname.replace(/\/+$/, '')}${pathname}`;
  base.search = search ?? '';
  return base;
}

/**
 * Path of a call. `{name}` inside the API's name takes the parameter of that name out of `params`.
 * @throws Refused bad-request for an id that cannot stand in a path
 */
export function apiPath(gateway: Gateway, call: ApiCall, params: Record<string, unknown>): string {
  const dotted = gateway.dots ? call.api.replaceAll('.', gateway.dots) : call.api;
  const api = dotted.replace(/\{(\w+)\}/g, (_, name: string) => {
    const segment = String(params[name] ?? '');
    delete params[name];
    // A dot segment would lead to another API; ids come from the source.
    if (/^\.{0,2}$/.test(segment))
      throw new Refused('bad-request', 'none', `API ${call.api}: parameter "${name}" is empty or dots, which is no id`);
    return encodeURIComponent(segment);
  });
  return gateway.path.replace('{api}', api.replace(/^\//, '')).replace('{version}', call.version ?? '');
}

/**
 * Address of a next page. It must stand on the connection's own server: the request carries the credential.
 * @throws SyncError BadAnswer
 */
export function linkOf(baseUrl: string, link: string): URL {
  const base = new URL(baseUrl);
  const url = URL.canParse(link, base.href) ? new URL(link, base) : null;
  if (url?.origin === base.origin) return url;
  throw new SyncError(
    'BadAnswer',
    `${base.origin} names a next page ${url ? `on ${url.origin}` : 'that is no address'}; accepted: pages on its own server. If that is its address, set it: npx syncline connect NAME --url URL`,
  );
}
