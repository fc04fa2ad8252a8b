import { createHash, randomBytes } from 'node:crypto';
import { type Receiver, type ReceiverOptions, startReceiver } from './receiver.ts';

export interface WechatSandbox extends Receiver {
  readonly appId: string;
  readonly appSecret: string;
  readonly callbackToken: string;
  readonly templateId: string;
  /** Grants that the person gave and no message used; a send without one is refused with 43101. */
  readonly grants: Map<string, number>;
  /** Message ids that were given, each with its openid. */
  readonly messages: Map<string, string>;
  /** Times a token was asked for, and forced renewals among them, of which the vendor allows 20 a day. */
  readonly tokens: { asked: number; forced: number; made: number };
  /** Messages to one openid that overlapped and were refused with 43108. */
  overlaps(): number;
  /** Ends the token in use at once, as a renewal elsewhere does: the next send is refused with 40001. */
  endToken(): void;
  /** A push of the vendor: query and body that our callback route takes. */
  push(event: Record<string, unknown>, ageSeconds?: number): { query: string; body: string };
}

export interface WechatSandboxOptions extends ReceiverOptions {
  /** Grants of an openid that `grants` does not name. Default 0. */
  grantsOfEach?: number;
  /** Life of a token, seconds. Default 7,200. */
  tokenSeconds?: number;
}

/** The stable token and the subscribe message of a mini program, with the vendor's error codes: HTTP is 200 whatever happens. */
export async function startWechatSandbox(options: WechatSandboxOptions = {}): Promise<WechatSandbox> {
  const { grantsOfEach = 0, tokenSeconds = 7_200 } = options;
  const appId = 'wx0123456789abcdef';
  const appSecret = 'app-secret-of-the-mini-program';
  const callbackToken = 'callback-token';
  const templateId = 'TEMPLATE_of_spring';
  const grants = new Map<string, number>();
  const messages = new Map<string, string>();
  const tokens = { asked: 0, forced: 0, made: 0 };
  let token = '';
  let overlapping = 0;
  const atWork = new Map<string, number>();
  const fail = (errcode: number, errmsg: string) => ({
    status: 200,
    body: { errcode, errmsg: `${errmsg} rid: 6745-00` },
  });
  const renew = () => {
    token = `70_${randomBytes(60).toString('base64url')}`;
    tokens.made++;
  };
  renew();
  const receiver = await startReceiver(
    {
      aside(request, body) {
        if (!request.url?.startsWith('/cgi-bin/stable_token')) return null;
        const asked = JSON.parse(body) as Record<string, unknown>;
        tokens.asked++;
        if (asked.appid !== appId) return fail(40013, 'invalid appid');
        if (asked.secret !== appSecret) return fail(40125, 'invalid appsecret');
        if (asked.force_refresh === true) {
          tokens.forced++;
          renew();
        }
        return { status: 200, body: { access_token: token, expires_in: tokenSeconds } };
      },
      read(request, body) {
        const url = new URL(request.url ?? '/', 'http://sandbox');
        if (url.pathname !== '/cgi-bin/message/subscribe/send') return { status: 404, body: 'not found' };
        if (url.searchParams.get('access_token') !== token)
          return fail(40001, 'invalid credential, access_token is invalid');
        const message = JSON.parse(body) as {
          touser?: string;
          template_id?: string;
          data?: Record<string, { value: string }>;
        };
        if (message.template_id !== templateId) return fail(40037, 'invalid template_id');
        if (!message.touser || !/^[\w-]{10,64}$/.test(message.touser)) return fail(40003, 'invalid openid');
        for (const [name, { value }] of Object.entries(message.data ?? {})) {
          if (value === '') return fail(47003, `argument invalid! data.${name}.value is emtpy`);
          if (name.startsWith('thing') && [...value].length > 20)
            return fail(47003, `argument invalid! data.${name}.value invalid`);
        }
        return { address: message.touser, key: '' };
      },
      take(address) {
        const left = grants.get(address) ?? grantsOfEach;
        if (left <= 0) return { delivered: false, ...fail(43101, 'user refuse to accept the msg') };
        grants.set(address, left - 1);
        const msgid = `${3_000_000_000_000 + messages.size}`;
        messages.set(msgid, address);
        return { delivered: true, status: 200, body: { errcode: 0, errmsg: 'ok', msgid: Number(msgid) } };
      },
      begin(address) {
        const busy = atWork.get(address) ?? 0;
        atWork.set(address, busy + 1);
        if (busy > 0) overlapping++;
        return busy > 0 ? fail(43108, 'concurrent message to the same user') : null;
      },
      end(address) {
        const busy = (atWork.get(address) ?? 1) - 1;
        if (busy <= 0) atWork.delete(address);
        else atWork.set(address, busy);
      },
      addressOf: (body) => (JSON.parse(body) as { touser?: string }).touser ?? '',
      limited: { status: 200, body: { errcode: 45011, errmsg: 'api minute-quota reach limit rid: 6745-01' } },
    },
    options,
  );
  return {
    ...receiver,
    ...{ appId, appSecret, callbackToken, templateId, grants, messages, tokens },
    overlaps: () => overlapping,
    endToken: renew,
    push(event, ageSeconds = 0) {
      const timestamp = String(Math.floor(Date.now() / 1_000) - ageSeconds);
      const nonce = randomBytes(4).toString('hex');
      const signature = createHash('sha1').update([callbackToken, timestamp, nonce].sort().join('')).digest('hex');
      return {
        query: new URLSearchParams({ signature, timestamp, nonce }).toString(),
        body: JSON.stringify({ ToUserName: 'gh_sandbox', CreateTime: Number(timestamp), MsgType: 'event', ...event }),
      };
    },
  };
}
