import type { ApiCall, Connector, Level, Rate } from '../../connectors/shape.ts';
import type { Connection } from '../../db/connections.ts';
import { RetryLater, SyncError } from '../errors.ts';
import type { Token, Tokens } from './auth.ts';
import { type Judgement, judge, whyWait } from './envelope.ts';
import { Refused } from './refused.ts';
import { type HttpAnswer, send, where } from './request.ts';
import { appOf, appRates, connectionRates, settingsOf } from './settings.ts';
import type { BudgetUse, Throttle } from './throttle.ts';
import { writeCall } from './write.ts';

export { Refused, type RefusedVerdict } from './refused.ts';

/** One call of a stream. */
export interface CallRequest {
  call: ApiCall;
  /** Parameters of paging, window and over; one of the same name as a parameter of the call replaces it. */
  params: Record<string, unknown>;
  /** Address of a next page: replaces path and parameters. It must stand on the connection's own server. */
  url?: string;
  /** Limits of this API alone: the stream's, of one connection and over all connections of the app. */
  limits?: readonly Rate[] | undefined;
  appLimits?: readonly Rate[] | undefined;
  /** Name of the stream, for errors. */
  stream: string;
  signal: AbortSignal;
}

export interface Answer {
  /** Payload, envelope taken off; null where the verdict is `empty`; undefined where none, or null, stands at its path. */
  data: unknown;
  /** Whole body, for cursors and totals beside the payload. */
  body: unknown;
  headers: Record<string, string | string[] | undefined>;
  /** When the request left, ms since 1970. */
  requestedAt: number;
  /** Length of the body. */
  bytes: number;
}

/** Calls one connection's platform. */
export interface PlatformClient {
  /**
   * Sends one request within the budget; a token that the platform refuses is replaced once.
   * @throws Refused, RetryLater, SyncError Unauthorized, Forbidden, BadAnswer, Unavailable, InvalidInput; the signal's reason
   */
  call(request: CallRequest): Promise<Answer>;
}

/** What a client needs of the worker. */
export interface ClientDeps {
  tokens: Tokens;
  throttle: Throttle;
}

export interface ClientOptions {
  /** Lane of the budget. Default `bulk`. */
  lane?: BudgetUse['lane'];
}

/** An answer with what it means. */
interface Reply {
  answer: HttpAnswer;
  judgement: Judgement;
  requestedAt: number;
  place: string;
}

/**
 * Opens a client for the length of one activity call: options and credential are those of this moment.
 * @throws SyncError InvalidInput for a credential or an option that cannot be used
 */
export function openClient(
  deps: ClientDeps,
  connection: Connection,
  connector: Connector,
  { lane = 'bulk' }: ClientOptions = {},
): PlatformClient {
  const settings = settingsOf(connection, connector);
  const use: BudgetUse = {
    platform: connector.platform,
    app: appOf(settings, connector),
    platformRates: connector.limits.platform ?? [],
    connection: connection.id,
    connectionRates: connectionRates(connection, connector),
    lane,
  };
  // A scope of its own costs rows in the budget: only for APIs that have a limit, or can be refused alone.
  const refuses = (one: Level) => connector.envelope.rules.some(({ level }) => level === one);
  const [refusesApps, refusesApis] = [refuses('api'), refuses('endpoint')];
  const useOf = ({ call: { api: name }, limits = noRates, appLimits }: CallRequest): BudgetUse => {
    const shared = appLimits ? appRates(connection, appLimits) : refusesApps ? noRates : undefined;
    if (limits.length === 0 && !refusesApis && !shared) return use;
    return { ...use, endpoint: { name, rates: limits, ...(shared && { shared }) } };
  };
  const ask = { connection, connector, settings, budget: (signal: AbortSignal) => deps.throttle.take(use, signal) };

  async function exchange(request: CallRequest, budget: BudgetUse, token: Token | undefined): Promise<Reply> {
    await deps.throttle.take(budget, request.signal);
    const { api: name, version } = request.call;
    const requestedAt = Date.now();
    const context = { ...settings, nowMs: requestedAt, api: { name, version }, token: { access: token?.access } };
    const written = writeCall(connector, connection.baseUrl, request, context);
    const place = placeOf(written.url, request);
    const answer = await send({ ...written, shown: place, signal: request.signal });
    return { answer, judgement: judge(answer, place, connector.envelope), requestedAt, place };
  }

  return {
    async call(request) {
      const { signal } = request;
      const budget = useOf(request);
      const hasTokens = connector.auth.kind === 'token';
      let token = hasTokens ? await deps.tokens.current(ask, signal) : undefined;
      let reply = await exchange(request, budget, token);
      if (reply.judgement.verdict === 'token' && token) {
        token = await deps.tokens.replace(ask, token.version, signal);
        reply = await exchange(request, budget, token);
      }
      const { answer, judgement, requestedAt } = reply;
      if (judgement.verdict === 'retry-after' || judgement.verdict === 'quota')
        await deps.throttle.refused(budget, judgement.level, judgement.waitMs, whyWait(judgement, reply.place));
      requireGood(reply, request.stream, hasTokens);
      const { verdict, data, body } = judgement;
      return {
        data: verdict === 'empty' ? null : (data ?? undefined),
        body,
        headers: answer.headers,
        requestedAt,
        bytes: answer.body.length,
      };
    },
  };
}

const noRates: readonly Rate[] = [];
const connect = 'npx syncline connect NAME --credential-env VARIABLE';

/** What an error may say of the address: an id in the path may be a person's, and its parameter stands for it. */
function placeOf(url: string, { call, params }: CallRequest): string {
  const inPath = Object.entries(params).filter(([name]) => call.api.includes(`{${name}}`));
  const shown = new Map(inPath.map(([name, value]) => [encodeURIComponent(String(value)), `{${name}}`]));
  const parts = where(new URL(url)).split('/');
  return parts.map((part) => shown.get(part) ?? part).join('/');
}

/** The one table from verdict to error. Sentences carry the platform's code and the connector's hint, never the platform's text. */
function requireGood({ judgement, place }: Reply, stream: string, hasTokens: boolean): void {
  const { verdict, code, waitMs } = judgement;
  const hint = judgement.hint ? ` ${judgement.hint}` : '';
  switch (verdict) {
    case 'ok':
    case 'empty':
      return;
    case 'retry-after':
    case 'quota':
    case 'busy':
      throw new RetryLater(waitMs, whyWait(judgement, place));
    case 'token': {
      const what = hasTokens ? 'the token it gave a moment ago' : 'the credential';
      throw new SyncError(
        'Unauthorized',
        `${place} refused ${what} (${code}).${hint} Give a valid credential: ${connect}`,
      );
    }
    case 'consent':
      throw new SyncError(
        'Unauthorized',
        `${place} wants a person to consent again (${code}).${hint} Then store the fresh credential: ${connect}`,
      );
    case 'app':
      throw new SyncError(
        'Unauthorized',
        // It need not be the credential: an address that is not let in, or a clock, is mended elsewhere.
        `${place} refuses every call of this app (${code}).${hint} A wrong option or credential is corrected with: ${connect}`,
      );
    case 'permission':
      throw new SyncError(
        'Forbidden',
        // A hint knows what is lacking: it need not be a permission.
        `${place}: the connection may not read ${stream} (${code}).${hint || ' Grant it that permission at the platform.'}`,
      );
    case 'too-big':
    case 'too-deep':
    case 'bad-request':
    case 'gone':
      throw new Refused(verdict, code, `${place} refused the call for ${stream} as ${verdict} (${code}).${hint}`);
    case 'unknown':
      throw new SyncError(
        'BadAnswer',
        `${place} answered ${stream} with a failure that its connector does not know (${code}).${hint}`,
      );
  }
}
