import { startChild } from './child.ts';
import type { HubspotCalls, HubspotFault, HubspotSandboxOptions } from './hubspot.ts';
import type { Requests } from './platform/requests.ts';
import type { Fault as PlatformFault, PlatformSandboxOptions, SandboxConnection } from './platform.ts';
import type { Change, Changed } from './scim/change.ts';
import type { Fault, FaultOf } from './scim/faults.ts';
import type { RequestCounts } from './scim/server.ts';
import type { ScimSandboxOptions } from './scim.ts';
import type { Paced, StripeCounts, StripeSandboxOptions } from './stripe.ts';

/** Faults that can be written as text: all but the one with a function. */
export type PlainFault = Exclude<Fault, FaultOf<'between'>>;

/** Options that can be written as text. */
export type ScimProcessOptions = Omit<ScimSandboxOptions, 'faults' | 'now'> & { faults?: PlainFault[] };

/** A SCIM sandbox in another process, so that a benchmark does not share its event loop. */
export interface ScimProcess {
  /** The base, such as `http://127.0.0.1:40123/scim/v2`. */
  readonly url: string;
  readonly token: string;
  /** The id of the process, for measuring it. */
  readonly pid: number;
  /** Changes many people at once; resolves when the pages are ready again. */
  change(change?: Change): Promise<Changed>;
  requests(): Promise<RequestCounts>;
  /** Replaces all faults; `[]` ends them. */
  setFaults(faults: PlainFault[]): Promise<void>;
  /** Ends the process; resolves when it is gone. Calling it again does nothing. */
  stop(): Promise<void>;
}

/** Starts a SCIM sandbox in a process of its own. @throws Error with its error output when it ends before it serves. */
export async function startScimProcess(options: ScimProcessOptions): Promise<ScimProcess> {
  const { ready, pid, ask, stop } = await startChild<{ url: string; token: string }>('scim', options);
  return {
    ...ready,
    pid,
    change: (change) => ask({ op: 'change', ...change }),
    requests: () => ask({ op: 'requests' }),
    setFaults: async (faults) => {
      await ask({ op: 'setFaults', faults });
    },
    stop,
  };
}

/** A simulated Stripe account in another process. */
export interface StripeProcess {
  readonly url: string;
  readonly key: string;
  requests(): Promise<StripeCounts>;
  ids(list: string, limit: number): Promise<string[]>;
  update(list: string, id: string): Promise<void>;
  /** Changes one object after the other, each once; `paced` ends it and tells each change. */
  pace(list: string, perSecond: number): Promise<void>;
  paced(): Promise<Paced[]>;
  /** Ends the process; resolves when it is gone. Calling it again does nothing. */
  stop(): Promise<void>;
}

/** Starts a Stripe sandbox in a process of its own. @throws Error with its error output when it ends before it serves. */
export async function startStripeProcess(options: StripeSandboxOptions): Promise<StripeProcess> {
  const { ready, ask, stop } = await startChild<{ url: string; key: string }>('stripe', options);
  return {
    ...ready,
    requests: () => ask({ op: 'requests' }),
    ids: async (list, limit) => (await ask<{ ids: string[] }>({ op: 'ids', list, limit })).ids,
    update: async (list, id) => void (await ask({ op: 'update', list, id })),
    pace: async (list, perSecond) => void (await ask({ op: 'pace', list, perSecond })),
    paced: async () => (await ask<{ changes: Paced[] }>({ op: 'paced' })).changes,
    stop,
  };
}

/** A simulated platform in another process. */
export interface PlatformProcess {
  /** The base, such as `http://127.0.0.1:40123`. */
  readonly url: string;
  readonly pid: number;
  /** What a connection says; each call gives a consent of its own. Default account `main`. */
  connection(account?: string): Promise<SandboxConnection>;
  requests(): Promise<Requests>;
  /** Changes a share of a list's records of an account; says how many. */
  change(list: string, change?: { share?: number; seed?: number; account?: string }): Promise<number>;
  /** Keys that the account `main` holds for a stream, each with its last change (ms) and whether it is removed. */
  keys(stream: string): Promise<[key: string, updated: number, removed: boolean][]>;
  /** Replaces all faults; `[]` ends them. */
  setFaults(faults: PlatformFault[]): Promise<void>;
  /** Ends the process; resolves when it is gone. Calling it again does nothing. */
  stop(): Promise<void>;
}

/**
 * Starts the sandbox of a platform (a name in fixtures.ts) in a process of its own.
 * @throws Error with its error output when it ends before it serves.
 */
export async function startPlatformProcess(
  platform: string,
  options: Omit<PlatformSandboxOptions, 'now'> = {},
): Promise<PlatformProcess> {
  const { ready, pid, ask, stop } = await startChild<{ url: string }>(platform, options);
  return {
    url: ready.url,
    pid,
    connection: (account) => ask({ op: 'connection', account }),
    requests: () => ask({ op: 'requests' }),
    change: async (list, change) => (await ask<{ changed: number }>({ op: 'change', list, ...change })).changed,
    keys: async (stream) => (await ask<{ keys: [string, number, boolean][] }>({ op: 'keys', stream })).keys,
    setFaults: async (faults) => {
      await ask({ op: 'setFaults', faults });
    },
    stop,
  };
}

/** What a receiver in another process counted. */
export interface ReceiverCounts {
  messages: number;
  delivered: number;
  limited: number;
  refused: number;
  mostAtOnce: number;
  /** Different addresses that got something. */
  reached: number;
  /** Addresses that got more than one. */
  twice: number;
  /** As in Receiver. */
  answered: [address: string, atMs: number][];
}

/** A receiver of messages (webhook or wechat) in a process of its own. */
export interface ReceiverProcess<Account> {
  readonly url: string;
  readonly account: Account;
  readonly pid: number;
  counts(): Promise<ReceiverCounts>;
  stop(): Promise<void>;
}

/** Starts a receiver in a process of its own. @throws Error with its error output when it ends before it serves. */
export async function startReceiverProcess<Account>(
  name: 'webhook' | 'wechat',
  options: object = {},
): Promise<ReceiverProcess<Account>> {
  const { ready, pid, ask, stop } = await startChild<{ url: string } & Account>(name, options);
  return { url: ready.url, account: ready, pid, counts: () => ask({ op: 'counts' }), stop };
}

/** A simulated HubSpot account in another process. */
export interface HubspotProcess {
  readonly url: string;
  readonly token: string;
  readonly pid: number;
  calls(): Promise<HubspotCalls>;
  /** Contacts there are, and writes over all of them. */
  contacts(): Promise<{ contacts: number; writes: number }>;
  setFaults(faults: HubspotFault[]): Promise<void>;
  /** Ends the process; resolves when it is gone. Calling it again does nothing. */
  stop(): Promise<void>;
}

/** Starts a HubSpot account in a process of its own. @throws Error with its error output when it ends before it serves. */
export async function startHubspotProcess(options: HubspotSandboxOptions = {}): Promise<HubspotProcess> {
  const { ready, pid, ask, stop } = await startChild<{ url: string; token: string }>('hubspot', options);
  return {
    ...ready,
    pid,
    calls: () => ask({ op: 'calls' }),
    contacts: () => ask({ op: 'contacts' }),
    setFaults: async (faults) => {
      await ask({ op: 'setFaults', faults });
    },
    stop,
  };
}
