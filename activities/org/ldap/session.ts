import { connect as openTcp, type Socket } from 'node:net';
import { type ConnectionOptions, connect as openTls } from 'node:tls';
import {
  BindRequest,
  type BindResponse,
  ExtendedRequest,
  type ExtendedResponse,
  MessageParser,
  SearchEntry,
  SearchReference,
  type SearchRequest,
  type SearchResponse,
  UnbindRequest,
} from 'ldapts';
import type { LdapOptions } from '../../../connectors/ldap.ts';
import { SyncError } from '../../errors.ts';
import { type Target, tlsOptions } from './target.ts';
import { ldapCode, refusal, trouble } from './verdict.ts';

const startTlsOid = '1.3.6.1.4.1.1466.20037';
const connectTimeoutMs = 10_000;
/** Silence while an answer is awaited. A server without an index for the filter is silent until its first match. */
const silenceMs = 120_000;

type Request = BindRequest | ExtendedRequest | SearchRequest;
type Response = BindResponse | ExtendedResponse | SearchResponse;

interface Operation {
  id: number;
  onEntry: ((entry: SearchEntry) => void) | undefined;
  referrals: number;
  resolve: (answer: Answer) => void;
  reject: (error: Error) => void;
}

export interface Answer {
  response: Response;
  referrals: number;
}

/**
 * One connection, signed in, one request at a time. Messages are coded by ldapts; its Client is not used for three
 * reasons seen in its source (8.2.0): it takes a page without rows for the end of the list even when a cookie says
 * otherwise, it connects anew without signing in, and it hides the codes of network errors. Here a connection that is
 * lost stays lost.
 */
export class Session {
  readonly target: Target;
  private readonly signal: AbortSignal;
  private parser: MessageParser;
  private socket!: Socket;
  private operation: Operation | null = null;
  private lastId = 0;
  private lost: Error | null = null;

  private constructor(target: Target, signal: AbortSignal) {
    this.target = target;
    this.signal = signal;
    this.parser = this.newParser();
  }

  /** Connects, starts TLS where asked, and signs in. */
  static async open(target: Target, password: string | null, options: LdapOptions, signal: AbortSignal) {
    signal.throwIfAborted();
    const { bindDn } = options;
    if ((bindDn === undefined) !== !password)
      throw new SyncError(
        'InvalidInput',
        `${target.url}: ${bindDn === undefined ? 'a password without the option bindDn' : 'bindDn without a password, which servers take for an anonymous bind'}. Set both, or neither for an anonymous read`,
      );
    const session = new Session(target, signal);
    signal.addEventListener('abort', session.abort);
    try {
      const tls = await tlsOptions(target, options);
      await session.connect(
        target.tls
          ? () => openTls({ ...tls, port: target.port })
          : () => openTcp({ host: target.host, port: target.port }),
      );
      if (options.startTls) await session.startTls(tls);
      if (bindDn !== undefined) await session.bind(bindDn, password as string);
      return session;
    } catch (error) {
      session.close();
      throw error;
    }
  }

  /** Requests sent so far. */
  get requests(): number {
    return this.lastId;
  }

  /** Sends a request and awaits its answer; entries of a search are given to `onEntry` as they come. */
  request(make: (messageId: number) => Request, onEntry?: (entry: SearchEntry) => void): Promise<Answer> {
    if (this.lost) return Promise.reject(this.lost);
    if (this.operation) return Promise.reject(new Error('A session takes one request at a time'));
    const id = ++this.lastId;
    return new Promise((resolve, reject) => {
      this.operation = { id, onEntry, referrals: 0, resolve, reject };
      this.socket.write(make(id).write());
    });
  }

  close(): void {
    this.signal.removeEventListener('abort', this.abort);
    this.lost ??= new Error('The session is closed');
    if (!this.socket || this.socket.destroyed) return;
    const goodbye = new UnbindRequest({ messageId: ++this.lastId }).write();
    this.socket.end(goodbye, () => this.socket.destroy());
  }

  private readonly abort = (): void => this.lose(this.signal.reason);

  private async connect(open: () => Socket, ready = this.target.tls ? 'secureConnect' : 'connect'): Promise<void> {
    const socket = open();
    this.socket = socket;
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => {
        socket.destroy(Object.assign(new Error('no connection in time'), { code: 'ETIMEDOUT' }));
      }, connectTimeoutMs);
      socket.on('error', (error) => this.lose(trouble(error, this.target.url)));
      socket.once('close', () => {
        clearTimeout(timer);
        this.lose(new SyncError('Unavailable', `${this.target.url} closed the connection`));
        reject(this.lost);
      });
      socket.once(ready, () => {
        clearTimeout(timer);
        resolve();
      });
    });
    socket.on('data', this.read);
    socket.setTimeout(silenceMs, () => {
      if (this.operation)
        this.lose(new SyncError('Unavailable', `${this.target.url} was silent for ${silenceMs / 1000} s`));
    });
  }

  private async startTls(tls: ConnectionOptions): Promise<void> {
    const { response } = await this.request((messageId) => new ExtendedRequest({ messageId, oid: startTlsOid }));
    if (response.status !== ldapCode.success)
      throw new SyncError(
        response.status === ldapCode.busy || response.status === ldapCode.unavailable ? 'Unavailable' : 'InvalidInput',
        `${this.target.url} refuses StartTLS (LDAP code ${response.status}): give the server a certificate, or use ldaps://`,
      );
    const plain = this.socket;
    plain.removeListener('data', this.read);
    plain.setTimeout(0);
    // What came unencrypted behind the answer may be somebody else's and must not be read as the server's.
    this.parser = this.newParser();
    await this.connect(() => openTls({ ...tls, socket: plain }), 'secureConnect');
  }

  private async bind(dn: string, password: string): Promise<void> {
    const { response } = await this.request((messageId) => new BindRequest({ messageId, dn, password }));
    if (response.status !== ldapCode.success) throw refusal(response.status, this.target.url, 'sign-in');
  }

  private newParser(): MessageParser {
    const parser = new MessageParser();
    parser.on('message', (message) => this.take(message as Response | SearchEntry | SearchReference));
    parser.on('error', () =>
      this.lose(new SyncError('BadAnswer', `${this.target.url} sent something that is no answer of LDAP`)),
    );
    return parser;
  }

  private readonly read = (data: Buffer): void => this.parser.read(data, new Map());

  private take(message: Response | SearchEntry | SearchReference): void {
    const { operation } = this;
    if (!operation || message.messageId !== operation.id) return;
    if (message instanceof SearchEntry) operation.onEntry?.(message);
    else if (message instanceof SearchReference) operation.referrals += 1;
    else {
      this.operation = null;
      operation.resolve({ response: message, referrals: operation.referrals });
    }
  }

  /** The first reason stays; what comes after it is its consequence. */
  private lose(error: Error): void {
    this.lost ??= error;
    this.operation?.reject(this.lost);
    this.operation = null;
    this.socket?.destroy();
  }
}
