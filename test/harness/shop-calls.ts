import { jushuitanSign } from '../../sandbox/jushuitan.ts';
import { jushuitanOldSign } from '../../sandbox/jushuitan_old.ts';
import { kuaishouSign } from '../../sandbox/kuaishou.ts';
import type { PlatformSandbox } from '../../sandbox/platform.ts';
import { taobaoSign } from '../../sandbox/taobao.ts';

// biome-ignore lint/suspicious/noExplicitAny: answers of five platforms
export type Body = any;
export type Params = Record<string, unknown>;

/** What is wrong with a call on purpose. */
export interface Spoil {
  signature?: string;
  token?: string;
  /** Milliseconds that the caller's clock is off. */
  clockMs?: number;
}

/** Calls one platform by hand, as its documentation says, without the connector and without the client. */
export interface Caller {
  call(api: string, params?: Params, spoil?: Spoil): Promise<Body>;
  /** A fresh token; the next calls use it. */
  renew(): Promise<Body>;
}

type Open = (sandbox: PlatformSandbox, account?: string) => Promise<Caller>;

const local = (ms: number) => new Date(ms + 8 * 3_600_000).toISOString().slice(0, 19).replace('T', ' ');
const form = (params: Record<string, string>): RequestInit => ({ method: 'POST', body: new URLSearchParams(params) });
const json = (value: unknown): RequestInit => ({
  method: 'POST',
  body: JSON.stringify(value),
  headers: { 'content-type': 'application/json' },
});

async function read(url: string, init?: RequestInit): Promise<Body> {
  const text = await (await fetch(url, init)).text();
  // Ids of 19 digits become texts, as careful clients read them.
  return text.startsWith('{') ? JSON.parse(text.replace(/:(\d{17,})/g, ':"$1"')) : text;
}

const kuaishou: Open = async (sandbox, account) => {
  const { credential, options } = sandbox.connection(account);
  let { refreshToken } = credential;
  let token = '';
  const caller: Caller = {
    async renew() {
      const { appSecret = '' } = credential;
      const params = { app_id: options.appKey!, app_secret: appSecret, grant_type: 'refresh_token' };
      const body = await read(`${sandbox.url}/oauth2/refresh_token`, form({ ...params, refresh_token: refreshToken! }));
      token = body.access_token ?? token;
      refreshToken = body.refresh_token ?? refreshToken;
      return body;
    },
    async call(api, business = {}, spoil = {}) {
      const params: Record<string, string> = {
        access_token: spoil.token ?? token,
        appkey: options.appKey!,
        method: api,
        version: '1',
        signMethod: 'HMAC_SHA256',
        timestamp: String(Date.now() + (spoil.clockMs ?? 0)),
        param: JSON.stringify(business),
      };
      params.sign = spoil.signature ?? kuaishouSign(params, credential.signSecret!);
      return read(`${sandbox.url}/${api.replaceAll('.', '/')}?${new URLSearchParams(params)}`);
    },
  };
  await caller.renew();
  return caller;
};

const taobao: Open = async (sandbox, account) => {
  let { credential, options } = sandbox.connection(account);
  return {
    async renew() {
      ({ credential, options } = sandbox.connection(account));
    },
    async call(api, business = {}, spoil = {}) {
      const params: Record<string, string> = {
        method: api,
        app_key: options.appKey!,
        session: spoil.token ?? credential.session!,
        timestamp: local(Date.now() + (spoil.clockMs ?? 0)),
        v: '2.0',
        sign_method: 'md5',
        format: 'json',
        ...(business as Record<string, string>),
      };
      params.sign = spoil.signature ?? taobaoSign(params, credential.appSecret!);
      return read(`${sandbox.url}/router/rest`, form(params));
    },
  };
};

const jushuitan: Open = async (sandbox, account) => {
  const { credential, options } = sandbox.connection(account);
  let token = '';
  const signed = (params: Record<string, string>, spoil: Spoil = {}) => {
    const timestamp = String(Math.floor((Date.now() + (spoil.clockMs ?? 0)) / 1000));
    const all = { app_key: options.appKey!, timestamp, charset: 'utf-8', ...params };
    return form({ ...all, sign: spoil.signature ?? jushuitanSign(all, credential.appSecret!) });
  };
  const caller: Caller = {
    async renew() {
      const first = signed({ grant_type: 'authorization_code', code: 'abc123' });
      const body = await read(`${sandbox.url}/openWeb/auth/getInitToken`, first);
      token = body.data?.access_token ?? token;
      return body;
    },
    call: (api, business = {}, spoil = {}) =>
      read(
        `${sandbox.url}/${api}`,
        signed({ access_token: spoil.token ?? token, version: '2', biz: JSON.stringify(business) }, spoil),
      ),
  };
  await caller.renew();
  return caller;
};

const jushuitan_old: Open = async (sandbox, account) => {
  const { credential, options } = sandbox.connection(account);
  return {
    renew: async () => undefined,
    async call(api, business = {}, spoil = {}) {
      const query: Record<string, string> = {
        method: api,
        partnerid: options.partnerId!,
        token: spoil.token ?? credential.token!,
        ts: String(Math.floor((Date.now() + (spoil.clockMs ?? 0)) / 1000)),
      };
      query.sign = spoil.signature ?? jushuitanOldSign(query, credential.partnerKey!);
      return read(`${sandbox.url}/api/open/query.aspx?${new URLSearchParams(query)}`, json(business));
    },
  };
};

const youzan: Open = async (sandbox, account) => {
  const { credential, options } = sandbox.connection(account);
  let token = '';
  const caller: Caller = {
    async renew() {
      const { clientId: client_id, kdtId: grant_id } = options;
      const body = await read(
        `${sandbox.url}/auth/token`,
        json({ authorize_type: 'silent', client_id, client_secret: credential.clientSecret, grant_id }),
      );
      token = body.data?.access_token ?? token;
      return body;
    },
    call: (api, business = {}, spoil = {}) =>
      read(`${sandbox.url}/api/${api}?access_token=${spoil.token ?? token}`, json(business)),
  };
  await caller.renew();
  return caller;
};

/** Opens a caller of an account of a running sandbox. */
export const callers: Record<string, Open> = { kuaishou, taobao, jushuitan, jushuitan_old, youzan };
