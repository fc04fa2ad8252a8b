import type * as v from 'valibot';
import type { Auth, Digest, Limits, Setting } from './shape.ts';

/**
 * The description of a channel by which messages leave: data and pure functions. One file a channel exports one `Channel`;
 * `connectors/channels.ts` names it. Its account is a connection whose platform is the channel's name.
 */
export interface Channel {
  /** Name in `connect --platform`, e.g. `wechat`. */
  channel: string;
  title: string;
  /** Address that answers when the connection names none; '' where each account has its own. */
  baseUrl: string;
  /** What an account must or may say. */
  settings: Record<string, Setting>;
  /** Options of an account that are no texts. */
  options?: Record<string, v.GenericSchema>;
  /** `none`, or a token that is asked for; a signature stands in `request`. */
  auth: Auth;
  /** Messages in a span; the option `requestsPerSecond` of the connection stands in for those of the connection. */
  limits: Limits;
  /** Messages on their way at once, unless the option `inFlight` says otherwise: at most so many are unknown after a kill. */
  inFlight: number;
  address: {
    /** Which of a user's addresses it takes, e.g. `openid` or `email`. */
    kind: string;
    /** Form of a usable one. */
    pattern: RegExp;
    /** True: letters of this kind count alike whatever their case, so that one mailbox is one recipient, on other channels too. */
    fold?: boolean;
  };
  /** What a campaign's `template` holds for this channel; texts in it may have variables. */
  template: v.GenericSchema;
  /** Fields of the template that are HTML: values that are filled in there are escaped. */
  html?: readonly string[];
  /** What is wrong with a filled template, e.g. `too_long:thing1`; null when it may leave. Asked before the recipient is claimed. */
  check(message: Message): string | null;
  /** A message uses up a grant of its recipient: the template that grants are counted for. Absent: none are needed. */
  grantOf?(message: Message): string;
  /** True: one message at a time to an address, over all campaigns and workers. */
  serial?: boolean;
  transport: HttpTransport | { kind: 'smtp'; mail(message: Message): Mail };
  /** From code to consequence, in order; the first that fits counts. The last fits everything. */
  outcomes: readonly OutcomeRule[];
  /** How the channel tells later what became of a message; absent: it never does. */
  callbacks?: Callbacks;
}

/** A campaign's template with all variables filled in. */
export type Message = Record<string, unknown>;

export interface HttpTransport {
  kind: 'http';
  /** The request for one recipient. */
  request(message: Message, to: Recipient): { path: string; headers?: Record<string, string>; body: string };
  /** What the answer says. `code` is matched against `outcomes`; never a text that quotes values. */
  read(status: number, body: unknown): { code: string; providerId?: string };
}

export interface Recipient {
  address: string;
  user: string;
  campaign: string;
  /** The same for every try of this message: a receiver that sees it twice has seen the message twice. */
  key: string;
  token: string;
  nowMs: number;
  secret(field: string): string;
  hash(digest: Digest, text: string, key?: string): string;
}

export interface Mail {
  subject: string;
  text?: string;
  html?: string;
}

/**
 * What an answer means for the recipient and the campaign.
 * - `sent`: the channel took it
 * - `retry`: it did not; another try after a while, up to the campaign's `attempts`
 * - `token`: the token is stale: another one, the same recipient again at once; costs no attempt
 * - `refused`: never for this recipient
 * - `wait`: the whole account waits; costs no attempt
 * - `stop`: the campaign ends, for the next recipient would fare the same
 * - `unknown`: nobody can tell whether the person got it; the campaign's policy decides
 */
export type OutcomeClass = 'sent' | 'retry' | 'token' | 'refused' | 'wait' | 'stop' | 'unknown';

export interface OutcomeRule {
  /** Codes, `5xx` for a hundred of them, `http_*` for all that begin so; absent: every code. */
  code?: readonly string[];
  class: OutcomeClass;
  /** `wait`: milliseconds. `retry`: of the first try, doubled with each. Default 2,000. */
  waitMs?: number;
  /** `wait`: until the next 00:00 Beijing time. */
  until?: 'midnight';
  /** The recipient has no grants left, whatever we counted. */
  emptiesGrants?: true;
  /** `refused`: when the first 50 fare so and nobody was reached, the campaign stops: the fault is the template's. */
  allAlike?: true;
  /** What an operator should know or do. */
  hint?: string;
}

export interface CallbackRequest {
  query: Record<string, string>;
  headers: Record<string, string | undefined>;
  /** Exact bytes as text. */
  body: string;
  nowMs: number;
  secret(field: string): string;
  hash(digest: Digest, text: string, key?: string): string;
  /** Compares in a time that tells nothing about the texts. */
  same(a: string, b: string): boolean;
}

export interface Callbacks {
  /** `key`: callbacks name our idempotency key; `provider`: the channel's own id of the message. */
  by: 'key' | 'provider';
  /** Whether the request is the channel's. */
  verify(request: CallbackRequest): boolean;
  /** Answer to a question whether this address is ours; null when it is none. */
  challenge?(request: CallbackRequest): string | null;
  /** What is told; throws SyntaxError for a body that is not the channel's form. */
  read(body: string): CallbackEvent[];
  /** Body of the answer that the channel wants to see. */
  answer: string;
}

export type CallbackEvent =
  | {
      kind: 'outcome';
      /** Our key or the channel's id. */
      id: string;
      delivered: boolean;
      reason?: string;
      /** Where no id was ever heard (the answer was lost): who got it. */
      address?: string;
      /** And by which template. */
      template?: string;
    }
  /** Grants of a recipient: one more, or none any longer. */
  | { kind: 'grant'; address: string; template: string; change: 'one-more' | 'none'; event: string };

/** The rule for a code. @throws Error for a channel whose last rule does not fit everything, which is a fault of the channel */
export function ruleOf(channel: Channel, code: string): OutcomeRule {
  const rule = channel.outcomes.find(
    (one) => !one.code || one.code.some((known) => known === code || known === `${code[0]}xx` || beginsAs(known, code)),
  );
  if (rule) return rule;
  throw new Error(`connectors/${channel.channel}.ts: outcomes: the last rule must fit every code`);
}

const beginsAs = (known: string, code: string) => known.endsWith('*') && code.startsWith(known.slice(0, -1));
