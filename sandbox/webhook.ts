import { createHmac } from 'node:crypto';
import { type Receiver, type ReceiverOptions, startReceiver } from './receiver.ts';

export interface WebhookSandbox extends Receiver {
  /** Shared secret of the signature. */
  readonly secret: string;
  /** Keys that came, each with its address: a receiver that knows them would drop what comes again. */
  readonly keys: Map<string, string>;
  /** What the receiver would post back about a message: address and headers that our callback route takes. */
  callback(events: { key: string; status: 'delivered' | 'failed'; reason?: string }[]): {
    headers: Record<string, string>;
    body: string;
  };
}

export interface WebhookSandboxOptions extends ReceiverOptions {
  secret?: string;
  /** False: keys are not kept, for a million messages. Default true. */
  keepKeys?: boolean;
}

/** A receiver of the signed webhook. A wrong signature is refused with 401; an idempotency key that came before still counts. */
export async function startWebhookSandbox(options: WebhookSandboxOptions = {}): Promise<WebhookSandbox> {
  const { secret = 'webhook-secret', keepKeys = true } = options;
  const keys = new Map<string, string>();
  const digestOf = (text: string) => createHmac('sha256', secret).update(text).digest('hex');
  const receiver = await startReceiver(
    {
      read(request, body) {
        const parts = /^t=(\d+),v1=([0-9a-f]{64})$/.exec(String(request.headers['x-syncline-signature']));
        if (!parts || digestOf(`${parts[1]}.${body}`) !== parts[2])
          return { status: 401, body: { error: 'wrong signature' } };
        const { key, to } = JSON.parse(body) as { key: string; to: string };
        if (request.headers['idempotency-key'] !== key) return { status: 400, body: { error: 'no idempotency key' } };
        return { address: to, key };
      },
      take(address, key) {
        if (keepKeys) keys.set(key, address);
        return { delivered: true, status: 200, body: '{"ok":true}' };
      },
      limited: { status: 429, headers: { 'retry-after': '1' }, body: { error: 'too many requests' } },
    },
    options,
  );
  return {
    ...receiver,
    secret,
    keys,
    callback(events) {
      const body = JSON.stringify(events);
      const seconds = Math.floor(Date.now() / 1_000);
      return {
        headers: {
          'x-syncline-signature': `t=${seconds},v1=${digestOf(`${seconds}.${body}`)}`,
          'content-type': 'application/json',
        },
        body,
      };
    },
  };
}
