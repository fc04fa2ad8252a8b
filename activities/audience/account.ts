import type { Channel, OutcomeClass } from '../../connectors/channel.ts';
import type { Connector, Verdict, VerdictRule } from '../../connectors/shape.ts';

/** A channel's account in the form in which tokens, budgets and settings are known: a connector without streams. */
export function accountOf(channel: Channel): Connector {
  let account = accounts.get(channel);
  if (account === undefined) {
    account = {
      platform: channel.channel,
      title: channel.title,
      baseUrl: channel.baseUrl,
      settings: channel.settings,
      auth: channel.auth,
      limits: channel.limits,
      gateway: { path: '/', method: 'POST', system: { in: 'query', params: {} }, business: { in: 'json' } },
      envelope: {
        shapes: [
          { when: 'errcode', ok: { path: 'errcode', is: [0] }, code: ['errcode'], data: '' },
          { ok: { absent: 'error' }, code: ['error'], data: '' },
        ],
        rules: channel.outcomes.flatMap(ruleOf),
      },
      streams: {},
      unconfirmed: [],
    };
    accounts.set(channel, account);
  }
  return account;
}

/** One object a channel: budgets keep what they know by its lists of rates. */
const accounts = new WeakMap<Channel, Connector>();

/** What an answer to the question for a token means. */
const verdicts: Partial<Record<OutcomeClass, Verdict>> = {
  retry: 'busy',
  wait: 'retry-after',
  stop: 'bad-request',
  refused: 'bad-request',
};

function ruleOf({ code, class: kind, waitMs, hint }: Channel['outcomes'][number]): VerdictRule[] {
  const verdict = verdicts[kind];
  const exact = code?.filter((one) => !/xx$|\*$/.test(one));
  if (!verdict || !exact?.length) return [];
  return [
    { code: exact, verdict, ...(waitMs !== undefined && { waitMs }), ...(hint !== undefined && { hint: `${hint}.` }) },
  ];
}
