import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { SMTPServer } from 'smtp-server';

export interface SmtpSinkOptions {
  /** Default: a free one. */
  port?: number;
  /** Refused at RCPT TO, each with its answer. */
  refuse?: ReadonlyMap<string, { code: number; text: string }>;
  user?: string;
  password?: string;
  /** The connection breaks instead of the answer to the n-th message, which was taken. */
  cutEvery?: number;
  latencyMs?: number;
}

/** A real SMTP server that counts what each mailbox got. */
export interface SmtpSink {
  url: string;
  received: Map<string, number>;
  /** Whole messages by mailbox, the last one. */
  messages: Map<string, string>;
  counts: { delivered: number; refused: number; mostAtOnce: number };
  stop(): Promise<void>;
}

/** Starts a sink on 127.0.0.1. */
export async function startSmtpSink(options: SmtpSinkOptions = {}): Promise<SmtpSink> {
  const received = new Map<string, number>();
  const messages = new Map<string, string>();
  const counts = { delivered: 0, refused: 0, mostAtOnce: 0 };
  let open = 0;
  const server = new SMTPServer({
    authOptional: options.user === undefined,
    hideSTARTTLS: true,
    disabledCommands: options.user === undefined ? ['AUTH', 'STARTTLS'] : ['STARTTLS'],
    allowInsecureAuth: true,
    disableReverseLookup: true,
    onAuth: ({ username, password }, _session, done) =>
      username === options.user && password === options.password
        ? done(null, { user: username })
        : done(Object.assign(new Error('Invalid username or password'), { responseCode: 535 })),
    onRcptTo({ address }, _session, done) {
      const refusal = options.refuse?.get(address);
      if (!refusal) return done();
      counts.refused++;
      done(Object.assign(new Error(refusal.text), { responseCode: refusal.code }));
    },
    onData(stream, session, done) {
      open++;
      counts.mostAtOnce = Math.max(counts.mostAtOnce, open);
      const chunks: Buffer[] = [];
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.on('end', () => {
        counts.delivered++;
        for (const { address } of session.envelope.rcptTo) {
          received.set(address, (received.get(address) ?? 0) + 1);
          messages.set(address, Buffer.concat(chunks).toString());
        }
        const cut = options.cutEvery !== undefined && counts.delivered % options.cutEvery === 0;
        setTimeout(() => {
          open--;
          if (cut)
            for (const one of server.connections)
              if ((one as { id?: string }).id === session.id)
                (one as unknown as { _socket: { destroy(): void } })._socket.destroy();
          done(null);
        }, options.latencyMs ?? 0);
      });
    },
  });
  // A client that was killed resets its connections: that is what the sink is for.
  server.on('error', () => undefined);
  server.listen(options.port ?? 0, '127.0.0.1');
  await once(server.server, 'listening');
  return {
    url: `smtp://127.0.0.1:${(server.server.address() as AddressInfo).port}`,
    received,
    messages,
    counts,
    stop: () => new Promise((resolve) => server.close(() => resolve())),
  };
}
