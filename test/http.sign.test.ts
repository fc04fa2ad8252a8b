import { describe, expect, it } from 'vitest';
import { hash, signatureOf, type Unsigned } from '../activities/http/sign.ts';
import { type ValueContext, valueAt } from '../activities/http/values.ts';
import { writeCall, writeTokenCall } from '../activities/http/write.ts';
import type { ApiCall, Connector, Sign } from '../connectors/shape.ts';

type ParamsSign = Extract<Sign, { kind: 'params' }>;

const taobao: ParamsSign = {
  kind: 'params',
  name: 'sign',
  over: 'all',
  pair: '',
  joiner: '',
  secret: { field: 'secret', place: 'around' },
  digest: {
    option: 'sign_method',
    digests: {
      md5: { algorithm: 'md5', encoding: 'upper' },
      hmac: { algorithm: 'hmac-md5', encoding: 'upper', keyOnly: true },
      'hmac-sha256': { algorithm: 'hmac-sha256', encoding: 'upper', keyOnly: true },
    },
  },
};

const jushuitan: ParamsSign = {
  kind: 'params',
  name: 'sign',
  over: 'system',
  pair: '',
  joiner: '',
  secret: { field: 'secret', place: 'front' },
  digest: { algorithm: 'md5', encoding: 'lower' },
};

const jushuitanOld: Sign = {
  kind: 'custom',
  sign({ api, params, secret, hash }) {
    const { partnerid, token, ts } = params;
    const text = `${api}${partnerid}token${token}ts${ts}${secret('partnerkey')}`;
    return { sign: hash({ algorithm: 'md5', encoding: 'lower' }, text) };
  },
};

const kuaishou: ParamsSign = {
  kind: 'params',
  name: 'sign',
  over: 'system',
  only: ['access_token', 'appkey', 'method', 'param', 'signMethod', 'timestamp', 'version'],
  pair: '=',
  joiner: '&',
  secret: { field: 'signSecret', place: 'back', before: '&signSecret=' },
  digest: {
    option: 'signMethod',
    digests: {
      MD5: { algorithm: 'md5', encoding: 'lower' },
      HMAC_SHA256: { algorithm: 'hmac-sha256', encoding: 'base64' },
    },
  },
};

const context = (more: Partial<ValueContext> = {}): ValueContext => ({ options: {}, secrets: {}, nowMs: 0, ...more });
const unsigned = (more: Partial<Unsigned>): Unsigned => ({
  api: '',
  system: {},
  business: {},
  packed: false,
  body: '',
  ...more,
});

describe('published vectors', () => {
  it.each([
    ['md5', '66987CB115214E59E6EC978214934FB8'],
    ['hmac', 'D56D7858309C31B6251083A874D48273'],
    ['hmac-sha256', '04DB15AD0774D5CFCE2C837DE43E3FCEA9011ED74F3038FB6AB5F3C4CEA119E8'],
  ])('Taobao, sign_method %s', (sign_method, expected) => {
    const system = {
      method: 'taobao.item.seller.get',
      app_key: '12345678',
      session: 'test',
      timestamp: '2016-01-01 12:00:00',
      v: '2.0',
      sign_method,
      format: 'json',
    };
    const call = unsigned({ system, business: { fields: 'num_iid,title,nick,price,num', num_iid: '11223344' } });
    const at = context({ options: { sign_method }, secrets: { secret: 'helloworld' } });
    expect(signatureOf(taobao, call, at)).toEqual({ sign: expected });
  });

  it('Jushuitan, new gateway: empty values and the signature itself are left out', () => {
    const system = { app_key: 'app', timestamp: '100', charset: 'utf-8', access_token: '', sign: 'old' };
    expect(signatureOf(jushuitan, unsigned({ system }), context({ secrets: { secret: 'secret' } }))).toEqual({
      sign: '706427ca94e342781ac36d501151cb10',
    });
  });

  it('Jushuitan, old gateway: the body is not signed', () => {
    const system = { partnerid: 'PID', token: 'TOK', ts: '1700000000', method: 'orders.single.query' };
    const call = unsigned({
      api: 'orders.single.query',
      system,
      business: { page_index: '1' },
      body: '{"page_index":1}',
    });
    expect(signatureOf(jushuitanOld, call, context({ secrets: { partnerkey: 'KEY' } }))).toEqual({
      sign: '180579e9c8d8bee145af6117027089fe',
    });
  });

  it.each([
    ['MD5', '57f9f7e7ee919b07e1cb92ea011b27be'],
    ['HMAC_SHA256', 'e/GZdRFlsQFg1aF+U487bEigubx1n236HqQBxXvOQfY='],
  ])('Kuaishou, signMethod %s', (signMethod, expected) => {
    const system = {
      version: '1',
      appkey: 'ks123',
      access_token: 'tok',
      method: 'open.order.detail',
      signMethod,
      timestamp: '1583271919000',
      stranger: 'not signed',
    };
    const call = unsigned({ system, business: { param: '{"oid":1}' }, packed: true });
    const at = context({ options: { signMethod }, secrets: { signSecret: 'sec' } });
    expect(signatureOf(kuaishou, call, at)).toEqual({ sign: expected });
  });

  it('Qiyu and Dewu', () => {
    const sha1 = { algorithm: 'sha1', encoding: 'lower' } as const;
    const md5 = { algorithm: 'md5', encoding: 'lower' } as const;
    expect(hash(sha1, `secret${hash(md5, '{"uid":"user1"}')}1463217187`)).toBe(
      '02d1dc67987d70317b03c82bc5e00c2c0dde9a15',
    );
    const dewu: ParamsSign = {
      ...jushuitan,
      over: 'all',
      pair: '=',
      joiner: '&',
      secret: { field: 'secret', place: 'back' },
      digest: { algorithm: 'md5', encoding: 'upper' },
    };
    const call = unsigned({ system: { app_key: 'k', timestamp: '1700000000000' }, business: { page_no: '1' } });
    expect(signatureOf(dewu, call, context({ secrets: { secret: 'secret' } }))).toEqual({
      sign: 'A235329709ED7E6E5D85AA169D2435E5',
    });
  });
});

describe('the rest of the family', () => {
  const plain: ParamsSign = { ...jushuitan, digest: { algorithm: 'md5', encoding: 'lower' } };
  const sign = (s: ParamsSign, call: Partial<Unsigned>) =>
    signatureOf(s, unsigned(call), context({ secrets: { secret: 's' } })).sign;
  const md5 = (text: string) => hash({ algorithm: 'md5', encoding: 'lower' }, text);

  it('sorts keys by their bytes: capitals, digits, letters, then what UTF-16 would put elsewhere', () => {
    const system = { b: '1', B: '2', a: '3', '9': '4', '\u{1F600}': '6', '\uFF5E': '5' };
    expect(sign(plain, { system })).toBe(md5('s94B2a3b1\uFF5E5\u{1F600}6'));
  });
  it('signs raw values: spaces and Chinese before they are encoded', () => {
    expect(sign(plain, { system: { t: '2016-01-01 12:00:00', n: '订单+%' } })).toBe(
      md5('sn订单+%t2016-01-01 12:00:00'),
    );
  });
  it('leaves business parameters out of `system`, and takes the one JSON text of `as` in', () => {
    const call = { system: { a: '1' }, business: { biz: '{}' } };
    expect(sign(plain, call)).toBe(md5('sa1'));
    expect(sign(plain, { ...call, packed: true })).toBe(md5('sa1biz{}'));
    expect(sign({ ...plain, over: 'all' }, call)).toBe(md5('sa1biz{}'));
  });
  it('keeps `except` out', () => {
    expect(sign({ ...plain, except: ['a'] }, { system: { a: '1', b: '2' } })).toBe(md5('sb2'));
  });
  it.each([
    ['around', 'sa1-s'],
    ['front', '-sa1'],
    ['back', 'a1-s'],
    ['none', 'a1'],
  ] as const)('puts the secret %s', (place, text) => {
    const secret = { field: 'secret', place, before: '-' };
    expect(sign({ ...plain, secret }, { system: { a: '1' } })).toBe(md5(text));
  });
  it('names the option whose digest does not exist, and what is accepted', () => {
    const at = context({ options: { sign_method: 'sha512' }, secrets: { secret: 's' } });
    expect(() => signatureOf(taobao, unsigned({}), at)).toThrow(
      'Option "sign_method": got "sha512", accepted md5, hmac, hmac-sha256. Set it: npx syncline connect NAME --option sign_method=VALUE',
    );
  });
  it('names the missing field of the credential', () => {
    expect(() => signatureOf(plain, unsigned({}), context())).toThrow('The credential has no field "secret"');
  });
});

const connector = (gateway: Partial<Connector['gateway']>, more: Partial<Connector> = {}): Connector => ({
  platform: 'sample',
  title: 'Sample',
  baseUrl: 'https://api.example.com',
  settings: {},
  auth: { kind: 'none' },
  gateway: {
    path: '/{api}',
    method: 'GET',
    system: { in: 'query', params: {} },
    business: { in: 'query' },
    ...gateway,
  },
  envelope: { shapes: [], rules: [] },
  limits: {},
  streams: {},
  unconfirmed: [],
  ...more,
});
const base = 'http://127.0.0.1:8080/base/';
const write = (c: Connector, call: ApiCall, params: Record<string, unknown> = {}, at = context(), url?: string) =>
  writeCall(c, base, { call, params, url }, { ...at, api: { name: call.api, version: call.version } });

describe('a call is written', () => {
  const packed = connector(
    {
      dots: '/',
      method: 'POST',
      system: {
        in: 'query',
        params: {
          access_token: { token: 'access' },
          appkey: 'ks123',
          method: { api: 'name' },
          signMethod: { option: 'signMethod' },
          timestamp: { now: 'ms' },
          version: '1',
          absent: '',
        },
      },
      business: { in: 'form', as: 'param' },
      sign: kuaishou,
    },
    { auth: { kind: 'token' } },
  );
  const at = context({
    nowMs: 1583271919000,
    options: { signMethod: 'MD5' },
    secrets: { signSecret: 'sec' },
    token: { access: 'tok' },
  });

  it('with its parameters as one JSON text, signed, the secret nowhere in it', () => {
    const { url, body, method, headers } = write(
      packed,
      { api: 'open.order.detail', params: {} },
      { oid: 1, none: null },
      at,
    );
    expect(method).toBe('POST');
    expect(headers!['content-type']).toBe('application/x-www-form-urlencoded;charset=utf-8');
    expect(body).toBe('param=%7B%22oid%22%3A1%7D');
    const { origin, pathname, searchParams } = new URL(url);
    expect(origin + pathname).toBe('http://127.0.0.1:8080/base/open/order/detail');
    expect(Object.fromEntries(searchParams)).toEqual({
      access_token: 'tok',
      appkey: 'ks123',
      method: 'open.order.detail',
      signMethod: 'MD5',
      timestamp: '1583271919000',
      version: '1',
      sign: '57f9f7e7ee919b07e1cb92ea011b27be',
    });
    expect(url + body).not.toContain('sec&');
  });

  it('by GET with everything in its query, since a GET has no body', () => {
    const { url, body } = write(packed, { api: 'open.order.detail', method: 'GET', params: {} }, { oid: 1 }, at);
    expect(body).toBeUndefined();
    expect(new URL(url).searchParams.get('param')).toBe('{"oid":1}');
    expect(new URL(url).searchParams.get('sign')).toBe('57f9f7e7ee919b07e1cb92ea011b27be');
  });

  it('with a JSON body that keeps types, and flat texts elsewhere', () => {
    const json = connector({ method: 'POST', business: { in: 'json' } });
    const call = { api: 'users', params: { ids: ['a', 'b'], size: 100, on: true } };
    expect(write(json, call, { size: 50, cursor: '', gone: undefined }).body).toBe(
      '{"ids":["a","b"],"size":50,"on":true,"cursor":""}',
    );
    expect(new URL(write(connector({}), call, { filter: { a: 1 } }).url).search).toBe(
      '?ids=a%2Cb&size=100&on=true&filter=%7B%22a%22%3A1%7D',
    );
  });

  it('with a parameter inside its path, which stands nowhere else', () => {
    const call = { api: 'departments/{department_id}/children', params: { fetch: true } };
    const { url } = write(connector({}), call, { department_id: 'a/b c' });
    expect(url).toBe('http://127.0.0.1:8080/base/departments/a%2Fb%20c/children?fetch=true');
    expect(() => write(connector({}), call, { department_id: '..' })).toThrow(
      'parameter "department_id" is empty or dots',
    );
  });

  it('with a token in a header, form or query', () => {
    const auth = (place: object) => ({ auth: { kind: 'static', secret: 'key', place } }) as Partial<Connector>;
    const secrets = context({ secrets: { key: 'k' } });
    const bearer = connector({}, auth({ in: 'header', name: 'authorization', prefix: 'Bearer ' }));
    expect(write(bearer, { api: 'a', params: {} }, {}, secrets).headers).toMatchObject({ authorization: 'Bearer k' });
    const form = connector({ method: 'POST', business: { in: 'form' } }, auth({ in: 'form', name: 'key' }));
    expect(write(form, { api: 'a', params: { b: '1' } }, {}, secrets).body).toBe('b=1&key=k');
    expect(() => write(bearer, { api: 'a', params: {} }, {}, context({ secrets: { key: 'k\n' } }))).toThrow(
      /^Header "authorization": its value \(9 characters\) holds a line break/,
    );
  });

  it('as a link on its own server, and refuses any other', () => {
    const signed = connector({ system: { in: 'query', params: { v: '2' } } });
    const link = (url: string) => write(signed, { api: 'a', params: { old: '1' } }, { page: 2 }, context(), url).url;
    expect(link('/base/a?after=x%2Fy')).toBe('http://127.0.0.1:8080/base/a?after=x%2Fy&v=2');
    expect(() => link('https://evil.example.com/a?after=secretvalue')).toThrow(
      'http://127.0.0.1:8080 names a next page on https://evil.example.com; accepted: pages on its own server.',
    );
    expect(() => link('https://evil.example.com/a?after=secretvalue')).not.toThrow('secretvalue');
    expect(() => link('http://[')).toThrow('names a next page that is no address');
  });

  it('for a token, signed with nothing but its own parameters', () => {
    const c = connector({ method: 'POST', sign: jushuitan, system: { in: 'form', params: { other: 'x' } } });
    const request = writeTokenCall(
      c,
      base,
      {
        method: 'POST',
        path: '/openWeb/auth/getInitToken',
        in: 'form',
        params: { app_key: 'app', charset: 'utf-8', timestamp: '100', code: { random: 6 } },
        signed: true,
        answer: { access: 'access_token', lifeSeconds: 1 },
      },
      context({ secrets: { secret: 'secret' } }),
    );
    const sent = Object.fromEntries(new URLSearchParams(request.body));
    expect(sent.code).toMatch(/^[A-Za-z0-9]{6}$/);
    const text = `secretapp_keyappcharsetutf-8code${sent.code}timestamp100`;
    expect(sent).toEqual({
      app_key: 'app',
      charset: 'utf-8',
      timestamp: '100',
      code: sent.code,
      sign: hash({ algorithm: 'md5', encoding: 'lower' }, text),
    });
    expect(valueAt(request, 'url')).toBe('http://127.0.0.1:8080/base/openWeb/auth/getInitToken');
  });
});
