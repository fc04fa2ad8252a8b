import { Readable } from 'node:stream';
import { createTransport } from 'nodemailer';
import MailComposer from 'nodemailer/lib/mail-composer';
import SMTPConnection from 'nodemailer/lib/smtp-connection';
import type { Channel, Mail } from '../../connectors/channel.ts';
import type { Connection } from '../../db/connections.ts';
import { SyncError } from '../errors.ts';
import { settingsOf } from '../http/settings.ts';
import { accountOf } from './account.ts';
import type { Envelope, Sent, Transport } from './transport.ts';

const connectMs = 15_000;
/** RFC 5321, 4.5.3.2, gives a server ten minutes for the end of DATA; whoever takes a minute is not sending anything any more. */
const answerMs = 60_000;

interface SmtpError extends Error {
  code?: string;
  command?: string;
  responseCode?: number;
}

/**
 * Mail over connections that are kept while a call lasts, one message at a time on each. nodemailer's own pool is not used: it
 * sends a message again by itself when a connection breaks, and only we may decide that.
 * @throws SyncError InvalidInput for an address that is none
 */
export function openSmtp(channel: Channel, connection: Connection): Transport {
  const { options, secrets } = settingsOf(connection, accountOf(channel));
  const url = new URL(connection.baseUrl);
  if (!/^smtps?:$/.test(url.protocol))
    throw new SyncError(
      'InvalidInput',
      `Connection "${connection.id}": --url: got ${url.protocol}//…, accepted smtp://host:port or smtps://host:port`,
    );
  const secure = url.protocol === 'smtps:';
  const from = String(options.from);
  const user = String(options.user ?? '');
  const domain = /@([\w.-]+)/.exec(from)?.[1] ?? 'syncline.invalid';
  const idle: SMTPConnection[] = [];
  const all = new Set<SMTPConnection>();

  async function open(): Promise<SMTPConnection> {
    const made = new SMTPConnection({
      host: url.hostname,
      port: Number(url.port || (secure ? 465 : 587)),
      secure,
      connectionTimeout: connectMs,
      greetingTimeout: connectMs,
      socketTimeout: answerMs,
      requireTLS: tlsRequired(options),
    });
    all.add(made);
    const gone = () => {
      all.delete(made);
      const at = idle.indexOf(made);
      if (at >= 0) idle.splice(at, 1);
    };
    made.once('end', gone);
    await new Promise<void>((done, failed) => {
      made.once('error', failed);
      made.connect((error) => (error ? failed(error) : done()));
    });
    // Between two messages nobody else listens.
    made.on('error', gone);
    if (user !== '')
      await new Promise<void>((done, failed) =>
        made.login({ user, pass: secrets.password ?? '' } as never, (error) => (error ? failed(error) : done())),
      );
    return made;
  }

  return {
    async send({ address, key, message }: Envelope): Promise<Sent> {
      let made: SMTPConnection;
      try {
        made = idle.pop() ?? (await open());
      } catch (error) {
        return opening(error as SmtpError, url);
      }
      const mail = channel.transport.kind === 'smtp' ? channel.transport.mail(message) : (message as unknown as Mail);
      // A value that came from the database must not make the composer read a file or fetch an address.
      const composed = new MailComposer({
        ...{ from, to: address, messageId: `<${key}@${domain}>`, disableFileAccess: true, disableUrlAccess: true },
        ...{ subject: mail.subject, text: mail.text, html: mail.html },
      }).compile();
      const bytes = await composed.build();
      let begun = false;
      const body = new Readable({
        read() {
          begun = true;
          this.push(bytes);
          this.push(null);
        },
      });
      const { from: sender } = composed.getEnvelope();
      return new Promise<Sent>((told) => {
        const broke = (error: SmtpError) => told(outcome(error, begun));
        made.once('error', broke);
        made.send({ from: sender || from, to: [address] }, body, (error) => {
          made.off('error', broke);
          if (!error) {
            idle.push(made);
            told({ code: 'sent' });
            return;
          }
          told(outcome(error as SmtpError, begun));
          // After an answer the connection can be used on; after silence nobody knows what it would answer to.
          if ((error as SmtpError).responseCode && all.has(made))
            made.reset((broken) => void (broken ? made.close() : idle.push(made)));
          else made.close();
        });
      });
    },
    async close() {
      for (const made of all) made.quit();
      for (const made of all) made.close();
    },
  };
}

/** Whoever gives a password does not mean to give it to everybody on the way. */
const tlsRequired = ({ requireTls, user }: Record<string, unknown>): boolean =>
  requireTls === undefined ? String(user ?? '') !== '' : String(requireTls) === 'true';

/** Connects and logs in. @throws SyncError Unauthorized, Unavailable */
export async function openSmtpProbe(channel: Channel, connection: Connection): Promise<void> {
  const url = new URL(connection.baseUrl);
  const { options, secrets } = settingsOf(connection, accountOf(channel));
  const transport = createTransport({
    ...{
      host: url.hostname,
      port: Number(url.port || (url.protocol === 'smtps:' ? 465 : 587)),
      secure: url.protocol === 'smtps:',
    },
    ...{ connectionTimeout: connectMs, greetingTimeout: connectMs, requireTLS: tlsRequired(options) },
    ...(options.user ? { auth: { user: String(options.user), pass: secrets.password ?? '' } } : {}),
  });
  try {
    await transport.verify();
  } catch (cause) {
    const { code = '' } = cause as SmtpError;
    if (code === 'ETLS')
      throw new SyncError(
        'Unauthorized',
        `smtp://${url.host} offers no TLS that can be trusted. Use smtps://, or --option requireTls=false in a network of your own`,
        { cause },
      );
    if (code === 'EAUTH') throw new SyncError('Unauthorized', `smtp://${url.host} refuses user or password`, { cause });
    throw new SyncError(
      'Unavailable',
      `smtp://${url.host} did not answer (${/^[A-Z_]{2,30}$/.test(code) ? code : 'no code'})`,
      { cause },
    );
  } finally {
    transport.close();
  }
}

/** No message was on its way yet. */
function opening({ code, responseCode }: SmtpError, url: URL): Sent {
  if (code === 'EAUTH' && (responseCode ?? 500) >= 500) return { code: 'auth' };
  if (code === 'ETLS') return { code: 'tls' };
  if (responseCode === 421) return { code: '421' };
  if (responseCode) return { code: '450-connect' };
  return { neverLeft: `smtp://${url.host} did not answer (${/^[A-Z_]{2,30}$/.test(code ?? '') ? code : 'no code'})` };
}

function outcome({ code, command, responseCode }: SmtpError, begun: boolean): Sent {
  if (responseCode) {
    if (responseCode === 421) return { code: '421' };
    if (command === 'MAIL FROM' && responseCode >= 500) return { code: 'sender' };
    return { code: `${responseCode}${command === 'DATA' ? '-data' : ''}` };
  }
  if (begun) return { noAnswer: 'no_answer' };
  if (code === 'EENVELOPE') return { code: 'bad_address' };
  return {
    neverLeft: `the connection broke before the message left (${/^[A-Z_]{2,30}$/.test(code ?? '') ? code : 'no code'})`,
  };
}
