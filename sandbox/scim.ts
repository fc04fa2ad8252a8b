import { randomBytes } from 'node:crypto';
import * as v from 'valibot';
import { type Change, type Changed, change } from './scim/change.ts';
import { Directory } from './scim/directory.ts';
import { Faults } from './scim/due.ts';
import type { Fault } from './scim/faults.ts';
import { grow } from './scim/grow.ts';
import type { Paging } from './scim/lists.ts';
import { PreparedPages } from './scim/pages.ts';
import type { MembershipBumps } from './scim/registry.ts';
import { Renderer } from './scim/render.ts';
import { basePath, close, listen, type RequestCounts, type Served } from './scim/server.ts';

export type { Change, Changed } from './scim/change.ts';
export type { Directory } from './scim/directory.ts';
export type { Fault, FaultLimits } from './scim/faults.ts';
export type { PersonFields } from './scim/people.ts';
export type { RequestCounts } from './scim/server.ts';

/** How a SCIM server of the sandbox is filled, and how it differs from others while it works as it should. */
export interface ScimSandboxOptions {
  /** People at the start, 0 to 2,000,000. */
  users: number;
  /** Groups at the start, 0 to 200,000. */
  groups: number;
  /** The same seed gives the same ids, names and memberships. Default 1. */
  seed?: number;
  /** Groups a person is in, on average; at least one. Default 1.5. */
  membershipsPerUser?: number;
  /** Levels of the group tree, 1 (no nesting) to 100. Default 4. */
  depth?: number;
  /** Share of people that are switched off (`active: false`), 0 to 1. Default 0. */
  inactiveShare?: number;
  /** Users carry `groups`. Default false: memberships stand in the groups only. */
  userGroups?: boolean;
  /** Whose `meta.lastModified` moves when a membership changes. Default `group`. */
  membershipBumps?: MembershipBumps;
  /** The bearer token. Default: a random one. */
  token?: string;
  /** Rows a page when the client names no `count`. Default 20. */
  pageSize?: number;
  /** The most rows a page. Default 200. */
  maxPageSize?: number;
  /** `index`: a cursor is ignored in silence. `cursor`: `startIndex` is. `both`: index unless a cursor is sent. Default `index`. */
  paging?: Paging;
  /** Waits this long before every answer, in milliseconds. Default 0. */
  latencyMs?: number;
  /** Serves pages rendered ahead, so that a benchmark measures the reader. Costs about 1 KB of memory a person. Default false. */
  prepared?: boolean;
  /** The content type of answers. Default `application/scim+json`; many servers say `application/json`. */
  contentType?: string;
  /** The clock behind `created` and `lastModified`, in milliseconds since 1970. Default: the computer's. */
  now?: () => number;
  /** Ways in which it misbehaves from the first request on. Default none. */
  faults?: Fault[];
}

/** A running SCIM server. */
export interface ScimSandbox {
  /** The base, such as `http://127.0.0.1:40123/scim/v2`. */
  readonly url: string;
  readonly token: string;
  readonly requests: RequestCounts;
  /** The data behind the server; changes show in the next answer. */
  readonly directory: Directory;
  /** Replaces all faults, with fresh counts; `[]` ends them. @throws RangeError for an unknown type. */
  setFaults(faults: Fault[]): void;
  /** Changes many people at once, and renders prepared pages again. */
  change(change?: Change): Changed;
  /** Closes the port and every socket. Calling it again does nothing. */
  stop(): Promise<void>;
  /** Listens on the same port again, after closing every socket. Data, faults and counts stay. Also works after `stop()`. */
  restart(): Promise<void>;
}

const whole = (from: number, to: number) => v.pipe(v.number(), v.integer(), v.minValue(from), v.maxValue(to));
const between = (from: number, to: number) => v.pipe(v.number(), v.minValue(from), v.maxValue(to));

const schema = v.strictObject({
  users: whole(0, 2_000_000),
  groups: whole(0, 200_000),
  seed: v.optional(whole(0, 2 ** 31 - 1), 1),
  membershipsPerUser: v.optional(between(1, 100), 1.5),
  depth: v.optional(whole(1, 100), 4),
  inactiveShare: v.optional(between(0, 1), 0),
  userGroups: v.optional(v.boolean(), false),
  membershipBumps: v.optional(v.picklist(['group', 'user', 'both', 'none']), 'group'),
  token: v.optional(v.pipe(v.string(), v.minLength(1))),
  pageSize: v.optional(whole(1, 100_000), 20),
  maxPageSize: v.optional(whole(1, 100_000), 200),
  paging: v.optional(v.picklist(['index', 'cursor', 'both']), 'index'),
  latencyMs: v.optional(between(0, 600_000), 0),
  prepared: v.optional(v.boolean(), false),
  contentType: v.optional(v.string(), 'application/scim+json'),
  now: v.optional(
    v.custom<() => number>((value) => typeof value === 'function'),
    () => Date.now,
  ),
  faults: v.optional(v.array(v.custom<Fault>((value) => typeof value === 'object' && value !== null)), []),
});

function readOptions(options: ScimSandboxOptions): v.InferOutput<typeof schema> {
  const read = v.safeParse(schema, options);
  if (read.success) return read.output;
  const faults = read.issues.map((issue) => `${v.getDotPath(issue) ?? 'options'}: ${issue.message}`);
  throw new RangeError(`SCIM sandbox: ${faults.join('; ')}`);
}

/** Starts a SCIM 2.0 server on a free loopback port. @throws RangeError that names the option, for a value out of bounds. */
export async function startScimSandbox(options: ScimSandboxOptions): Promise<ScimSandbox> {
  const read = readOptions(options);
  const directory = new Directory(read);
  grow(directory, read);
  const requests: RequestCounts = { total: 0, limited: 0, byPath: {} };
  const view = { url: '', userGroups: read.userGroups };
  const renderer = new Renderer(directory, view);
  const pages = read.prepared ? new PreparedPages(directory, renderer) : undefined;
  directory.onTouch = (kind, serial) => pages?.drop(kind, serial);
  const token = read.token ?? randomBytes(16).toString('hex');
  const faults = new Faults(read.faults);
  const served: Served = { ...read, url: '', token, directory, renderer, pages, faults, requests };

  let running: Awaited<ReturnType<typeof listen>> | undefined = await listen(served, 0);
  const { port } = running;
  const url = `http://127.0.0.1:${port}${basePath}`;
  served.url = url;
  view.url = url;
  // After the port is known: pages carry addresses.
  pages?.prepare();

  const stop = async () => {
    const open = running;
    running = undefined;
    if (open) await close(open.server);
  };
  return {
    url,
    token,
    requests,
    directory,
    setFaults: (next) => {
      served.faults = new Faults(next);
    },
    change: (wanted) => {
      const done = change(directory, wanted);
      pages?.prepare();
      return done;
    },
    stop,
    restart: async () => {
      await stop();
      running = await listen(served, port);
    },
  };
}
