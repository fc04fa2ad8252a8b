import { timingSafeEqual } from 'node:crypto';
import { channels } from '../../connectors/channel.index.ts';
import type { CallbackEvent, CallbackRequest, Channel } from '../../connectors/channel.ts';
import { applyGrants, applyOutcomes } from '../../db/audience/callbacks.ts';
import { ConnectionUnknown } from '../../db/connections.ts';
import type { Deps } from '../deps.ts';
import { settingsOf } from '../http/settings.ts';
import { hash } from '../http/sign.ts';
import { accountOf } from './account.ts';

/** What a callback route is asked. */
export interface IncomingCallback {
  /** Connection of the channel's account, from the path. */
  connection: string;
  method: 'GET' | 'POST';
  query: Record<string, string>;
  headers: Record<string, string | undefined>;
  body: string;
}

export interface CallbackAnswer {
  status: number;
  body: string;
}

type Told = Channel & { callbacks: NonNullable<Channel['callbacks']> };

/**
 * Takes what a channel tells of messages that left: proves the signature, moves `sent` to `delivered` or `failed`, resolves
 * `unknown`, counts grants. Tolerates what comes twice, and what nobody here knows (200: the channel would send it for ever).
 */
export async function takeCallback(
  deps: Pick<Deps, 'pool' | 'connection'>,
  incoming: IncomingCallback,
): Promise<CallbackAnswer> {
  const found = await find(deps, incoming.connection);
  // Who asks without a signature learns nothing of which connections there are.
  if (!found) return { status: 404, body: 'no such callback' };
  const { channel, request } = found(incoming);
  const { callbacks } = channel;
  if (!callbacks.verify(request)) return { status: 401, body: 'wrong signature' };
  if (incoming.method === 'GET') {
    const answer = callbacks.challenge?.(request) ?? null;
    return answer === null ? { status: 404, body: 'nothing to answer' } : { status: 200, body: answer };
  }
  const events = readEvents(channel, incoming.body)?.map(plain);
  if (events === undefined) return { status: 400, body: 'the body is not in the form of this channel' };
  const { pool } = deps;
  await applyOutcomes(
    pool,
    incoming.connection,
    callbacks.by,
    events.flatMap((one) => (one.kind === 'outcome' ? [one] : [])),
  );
  await applyGrants(
    pool,
    incoming.connection,
    events.flatMap((one) => (one.kind === 'grant' ? [one] : [])),
  );
  return { status: 200, body: callbacks.answer };
}

/** Without what Postgres refuses in a text: one such would keep a channel sending its callback for ever. */
function plain(event: CallbackEvent): CallbackEvent {
  const entries = Object.entries(event).map(([name, value]) => [
    name,
    typeof value === 'string' ? value.replace(/[\0\p{Cs}]/gu, '') : value,
  ]);
  return Object.fromEntries(entries) as CallbackEvent;
}

function readEvents({ callbacks }: Told, body: string): CallbackEvent[] | null {
  try {
    return callbacks.read(body);
  } catch (error) {
    // What the parser says quotes the body.
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}

function same(a: string, b: string): boolean {
  const [one, other] = [Buffer.from(a), Buffer.from(b)];
  return one.length === other.length && timingSafeEqual(one, other);
}

async function find(
  { connection }: Pick<Deps, 'connection'>,
  name: string,
): Promise<((incoming: IncomingCallback) => { channel: Told; request: CallbackRequest }) | null> {
  const account = await connection(name).catch((error: unknown) => {
    if (error instanceof ConnectionUnknown) return null;
    throw error;
  });
  const channel = account && Object.hasOwn(channels, account.platform) ? channels[account.platform] : undefined;
  if (!account || !channel?.callbacks) return null;
  const { secrets } = settingsOf(account, accountOf(channel));
  const secret = (field: string) => secrets[field] ?? '';
  const { callbacks } = channel;
  return ({ query, headers, body }) => ({
    channel: { ...channel, callbacks },
    request: { query, headers, body, nowMs: Date.now(), secret, hash, same },
  });
}
