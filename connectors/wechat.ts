import * as v from 'valibot';
import type { CallbackEvent, Channel } from './channel.ts';
import { checkField, fieldKey } from './wechat/fields.ts';

const template = v.strictObject({
  /** Id of the subscribe-message template. */
  templateId: v.pipe(v.string(), v.minLength(1), v.maxLength(100)),
  /** Values by field, e.g. `{"thing1": "{{title}}", "date2": "2026-11-30"}`. */
  data: v.record(v.pipe(v.string(), v.regex(fieldKey, 'a field such as thing1, date2, amount3')), v.string()),
  /** Page that a tap opens. */
  page: v.optional(v.string()),
  state: v.optional(v.picklist(['developer', 'trial', 'formal']), 'formal'),
  lang: v.optional(v.picklist(['zh_CN', 'en_US', 'zh_HK', 'zh_TW']), 'zh_CN'),
});

/** Older signatures are somebody's recording. */
const longestAgeMs = 300_000;

type Filled = v.InferOutput<typeof template>;

/** Subscribe messages of a WeChat mini program: one grant, one message, one recipient a call; no idempotency key. */
export const wechat: Channel = {
  channel: 'wechat',
  title: 'WeChat subscribe message (微信订阅消息)',
  baseUrl: 'https://api.weixin.qq.com',
  settings: {
    appId: { secret: false, about: 'AppID of the mini program' },
    appSecret: { secret: true, about: 'AppSecret of the mini program' },
    callbackToken: {
      secret: true,
      about: 'token of the message push (开发管理, 消息推送), for delivery results',
      default: '',
    },
  },
  auth: {
    kind: 'token',
    // Normal mode returns the same token to everybody until its end is near; force_refresh (20 a day) is never asked for.
    obtain: {
      method: 'POST',
      path: '/cgi-bin/stable_token',
      in: 'json',
      params: { grant_type: 'client_credential', appid: { option: 'appId' }, secret: { secret: 'appSecret' } },
      answer: { access: 'access_token', expires: { path: 'expires_in', unit: 's' }, lifeSeconds: 7_200 },
    },
    earlySeconds: 300,
  },
  limits: {},
  inFlight: 256,
  address: { kind: 'openid', pattern: /^[\w-]{10,64}$/ },
  template,
  check({ data }) {
    for (const [key, value] of Object.entries(data as Filled['data'])) {
      const fault = checkField(key, value);
      if (fault) return `${fault}:${key}`;
    }
    return null;
  },
  grantOf: ({ templateId }) => String(templateId),
  serial: true,
  transport: {
    kind: 'http',
    request(message, { address, token }) {
      const { templateId, data, page, state, lang } = message as unknown as Filled;
      const values = Object.fromEntries(Object.entries(data).map(([key, value]) => [key, { value }]));
      return {
        path: `/cgi-bin/message/subscribe/send?access_token=${encodeURIComponent(token)}`,
        body: JSON.stringify({
          touser: address,
          template_id: templateId,
          ...(page !== undefined && { page }),
          data: values,
          miniprogram_state: state,
          lang,
        }),
      };
    },
    read(status, body) {
      const { errcode, msgid } = (typeof body === 'object' && body !== null ? body : {}) as Record<string, unknown>;
      // HTTP is 200 even on failure: without an error code it was no answer of WeChat.
      if (typeof errcode !== 'number') return { code: status === 200 ? 'no_errcode' : `http_${status}` };
      return { code: String(errcode), ...(msgid !== undefined && { providerId: String(msgid) }) };
    },
  },
  outcomes: [
    { code: ['0'], class: 'sent' },
    { code: ['-1'], class: 'retry' },
    { code: ['40001', '40014', '42001', '41001'], class: 'token' },
    { code: ['40003'], class: 'refused' },
    { code: ['40037'], class: 'stop', hint: 'the template id is not of this mini program' },
    { code: ['41030'], class: 'stop', hint: 'the page is not in the released mini program' },
    { code: ['43101'], class: 'refused', emptiesGrants: true },
    {
      code: ['43107'],
      class: 'stop',
      hint: 'the ability to send subscribe messages, or this template, is banned: look into the mini program’s back office',
    },
    { code: ['48001'], class: 'stop', hint: 'the mini program has no right to this API' },
    { code: ['43108'], class: 'retry', waitMs: 1_000 },
    { code: ['45009'], class: 'wait', until: 'midnight', hint: 'the quota of the day is used up' },
    { code: ['45011'], class: 'wait', waitMs: 5_000 },
    { code: ['45168'], class: 'refused', allAlike: true, hint: 'the text has sensitive words' },
    {
      code: ['47003'],
      class: 'refused',
      allAlike: true,
      hint: 'a field does not fit the template: compare their names',
    },
    { code: ['40013', '40125'], class: 'stop', hint: 'appId or appSecret are wrong' },
    // A gateway or a page in between: whether WeChat took the message stands nowhere.
    { code: ['no_errcode', 'http_*'], class: 'unknown' },
    // WeChat answered, and not with 0: it did not take the message.
    { class: 'refused', allAlike: true, hint: 'look the errcode up in the documentation of subscribeMessage.send' },
  ],
  callbacks: {
    by: 'provider',
    // In plain mode WeChat signs time and nonce, not the body: whoever saw one push could send another body with its signature.
    verify({ query, nowMs, secret, hash, same }) {
      const { signature = '', timestamp = '', nonce = '' } = query;
      if (!/^\d{1,12}$/.test(timestamp) || Math.abs(nowMs - Number(timestamp) * 1_000) > longestAgeMs) return false;
      const text = [secret('callbackToken'), timestamp, nonce].sort().join('');
      return secret('callbackToken') !== '' && same(hash({ algorithm: 'sha1', encoding: 'lower' }, text), signature);
    },
    challenge: ({ query }) => query.echostr ?? null,
    read: readEvents,
    answer: 'success',
  },
};

/** One push; its `List` is an object when there is one entry and a list when there are more. */
function readEvents(body: string): CallbackEvent[] {
  const told = JSON.parse(body) as Record<string, unknown>;
  const { Event: name, FromUserName: openid, CreateTime: time } = told;
  if (typeof openid !== 'string') throw new SyntaxError('accepted: the JSON form of a message push');
  const lists = Array.isArray(told.List) ? told.List : [told.List];
  return lists.flatMap((one): CallbackEvent[] => {
    const entry = (one ?? {}) as Record<string, unknown>;
    const templateId = String(entry.TemplateId ?? '');
    if (name === 'subscribe_msg_sent_event') {
      const delivered = String(entry.ErrorCode) === '0';
      const reason = { ...(!delivered && { reason: String(entry.ErrorCode) }) };
      return [
        { kind: 'outcome', id: String(entry.MsgID), delivered, address: openid, template: templateId, ...reason },
      ];
    }
    const status = entry.SubscribeStatusString;
    const grant = { kind: 'grant', address: openid, template: templateId } as const;
    const event = `${name} ${openid} ${templateId} ${time}`;
    if (name === 'subscribe_msg_popup_event' && status === 'accept') return [{ ...grant, change: 'one-more', event }];
    if (name === 'subscribe_msg_change_event' && status === 'reject') return [{ ...grant, change: 'none', event }];
    return [];
  });
}
