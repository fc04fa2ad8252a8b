import * as v from 'valibot';
import type { Channel, Mail } from './channel.ts';

const line = (most: number) =>
  v.pipe(v.string(), v.minLength(1), v.maxLength(most), v.regex(/^[^\r\n]*$/, 'one line of text'));

/** Mail by any SMTP server, `smtp://host:port` or `smtps://…`. A mail has no idempotency key: its Message-ID is the same at every try. */
export const smtp: Channel = {
  channel: 'smtp',
  title: 'Mail (SMTP)',
  baseUrl: '',
  settings: {
    from: { secret: false, about: 'sender, e.g. `Shop <news@shop.example>`' },
    user: { secret: false, about: 'user of the server; none: it asks for none', default: '' },
    password: { secret: true, about: 'password of the user', default: '' },
  },
  options: {
    /** True: nothing leaves, and nobody logs in, without TLS (`smtp://` begins it by STARTTLS). Default: true where a user is given. */
    requireTls: v.optional(v.boolean()),
  },
  auth: { kind: 'none' },
  limits: {},
  inFlight: 32,
  address: { kind: 'email', pattern: /^[^\s@<>,;:"]{1,64}@[^\s@<>,;:"]{1,255}$/, fold: true },
  template: v.pipe(
    v.strictObject({ subject: line(500), text: v.optional(v.string()), html: v.optional(v.string()) }),
    v.check(({ text, html }) => text !== undefined || html !== undefined, 'a text, an html, or both'),
  ),
  html: ['html'],
  // A value with a line break in the subject would write headers of its own.
  check: ({ subject }) => (/[\r\n]/.test(String(subject)) ? 'line_break:subject' : null),
  transport: { kind: 'smtp', mail: (message) => message as unknown as Mail },
  outcomes: [
    { code: ['sent'], class: 'sent' },
    { code: ['421', '450-connect'], class: 'wait', waitMs: 10_000 },
    { code: ['auth'], class: 'stop', hint: 'the server refuses user or password' },
    {
      code: ['tls'],
      class: 'stop',
      hint: 'the server offers no TLS, or one that cannot be trusted, and user and password would be readable: use smtps://, or the option requireTls=false in a network of your own',
    },
    { code: ['sender'], class: 'stop', hint: 'the server refuses the sender: correct the option from' },
    { code: ['unknown'], class: 'unknown' },
    { code: ['4xx'], class: 'retry', waitMs: 30_000 },
    { code: ['554-data', '550-data'], class: 'refused', allAlike: true, hint: 'the server refuses the content' },
    // 554 or 550 to everybody is a relay that is denied, not a list of wrong mailboxes.
    {
      class: 'refused',
      allAlike: true,
      hint: 'the server refuses every recipient: it may not relay for this sender, address or user',
    },
  ],
};
