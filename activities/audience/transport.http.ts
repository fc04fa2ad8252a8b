import { setMaxListeners } from 'node:events';
import type { Channel, HttpTransport } from '../../connectors/channel.ts';
import type { Connection } from '../../db/connections.ts';
import { SyncError } from '../errors.ts';
import type { ClientDeps } from '../http/client.ts';
import type { TokenAsk } from '../http/grant.ts';
import { readBody } from '../http/json.ts';
import { send } from '../http/request.ts';
import { settingsOf } from '../http/settings.ts';
import { hash } from '../http/sign.ts';
import type { BudgetUse } from '../http/throttle.ts';
import { secretOf } from '../http/values.ts';
import { retryAfterMs } from '../http/verdict.ts';
import { accountOf } from './account.ts';
import type { Envelope, Sent, Transport } from './transport.ts';

/** An answer that takes longer is none; whoever sent it may have delivered. */
const answerMs = 30_000;
/** Codes of a connection that was never made: no byte of the request left. */
const neverLeft =
  /^(ECONNREFUSED|ENOTFOUND|EAI_|EHOSTUNREACH|ENETUNREACH|UND_ERR_CONNECT_TIMEOUT|ERR_TLS|CERT_|SELF_SIGNED|UNABLE_TO_|DEPTH_ZERO)/;

/** Ids of messages that can be kept: Postgres refuses U+0000 and half a character, and with it every outcome of the group. */
const keepable = /^[^\p{Cc}\p{Cs}]{1,200}$/u;

/** @throws SyncError InvalidInput for a credential that cannot be used */
export function openHttp(
  deps: ClientDeps,
  channel: Channel & { transport: HttpTransport },
  connection: Connection,
  campaign: string,
  use: BudgetUse,
): Transport {
  const account = accountOf(channel);
  const settings = settingsOf(connection, account);
  const { transport } = channel;
  const base = new URL(connection.baseUrl);
  const stem = base.href.replace(/\/$/, '');
  const abort = new AbortController();
  // Each message in flight asks for the token with it.
  setMaxListeners(0, abort.signal);
  const ask: TokenAsk = {
    connection,
    connector: account,
    settings,
    budget: (signal) => deps.throttle.take(use, signal),
  };
  const secret = (field: string) =>
    account.settings[field]?.default === '' && !settings.secrets[field] ? '' : secretOf(settings, field);
  let stale = -1;

  async function tokenOf(): Promise<{ access: string; version: number }> {
    if (channel.auth.kind !== 'token') return { access: '', version: 0 };
    const token = await deps.tokens.current(ask, abort.signal);
    return token.version > stale ? token : deps.tokens.replace(ask, stale, abort.signal);
  }

  return {
    async send({ user, address, key, message }: Envelope): Promise<Sent> {
      const token = await tokenOf();
      const request = transport.request(message, {
        ...{ address, user, key, campaign, token: token.access, nowMs: Date.now() },
        ...{ secret, hash },
      });
      try {
        const answer = await send({
          url: request.path ? `${stem}${request.path}` : base.href,
          method: 'POST',
          headers: { 'content-type': 'application/json', accept: 'application/json', ...request.headers },
          body: request.body,
          answerMs,
        });
        const read = readBody(answer);
        const { code, providerId } = transport.read(answer.status, 'body' in read ? read.body : undefined);
        const waits = answer.headers['retry-after'] !== undefined && { retryAfterMs: retryAfterMs(answer) };
        const kept = providerId !== undefined && keepable.test(providerId) && { providerId };
        return { code, ...kept, ...waits, tokenVersion: token.version };
      } catch (error) {
        if (!(error instanceof SyncError)) throw error;
        // An answer that is too long is an answer nobody can read.
        if (error.type !== 'Unavailable') return { noAnswer: 'bad_answer' };
        const code = String((error.cause as { code?: unknown } | undefined)?.code ?? '');
        return neverLeft.test(code) ? { neverLeft: error.message } : { noAnswer: 'no_answer' };
      }
    },
    refresh(version) {
      stale = Math.max(stale, version);
    },
    async close() {
      abort.abort();
    },
  };
}
