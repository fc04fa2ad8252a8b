import { expect } from 'vitest';
import type { Connector } from '../../../connectors/shape.ts';
import type { Truth } from '../../../sandbox/platform/account.ts';
import { ofApi } from '../../../sandbox/platform/requests.ts';
import { type Fault, type Fixture, type PlatformSandbox, startPlatformSandbox } from '../../../sandbox/platform.ts';
import { Reader, type ReaderTools } from './reader.ts';
import type { Reading } from './reading.ts';
import { type Subject, sized, subjectsOf } from './subject.ts';

const hour = 3_600_000;

/** One thing that every connector must get right. It asks connector and fixture for nothing but their data. */
export interface Check {
  name: string;
  /** Streams it concerns. */
  fits(subject: Subject): boolean;
  /** Records of each list. Default 35; 25 where they are read part by part, 6 where one by one. */
  rows?(subject: Subject): number;
  /** True: pages as large as the connector asks for. Default false: of ten rows. */
  ownPages?: boolean;
  /** True: from the first moment that the platform serves, with records of 60 days. Default: the last two hours, with records of one. */
  wide?: boolean;
  prove(trial: Trial): Promise<void>;
}

/** How far the platform's clock is ahead of ours. */
interface Clock {
  aheadMs: number;
}

/** One stream of a running platform. */
export class Trial {
  readonly subject: Subject;
  readonly source: PlatformSandbox;
  readonly reader: Reader;
  private readonly clock: Clock;

  constructor(source: PlatformSandbox, subject: Subject, reader: Reader, clock: Clock) {
    this.source = source;
    this.subject = subject;
    this.reader = reader;
    this.clock = clock;
  }

  /** The platform's clock goes on by so much, and the platform behaves. */
  later(ms: number): void {
    this.clock.aheadMs += ms;
    this.source.setFaults([]);
  }

  read(): Promise<Reading> {
    return this.reader.read(this.subject.name);
  }

  truth(): Map<string, Truth> {
    return this.source.truth(this.subject.name);
  }

  /** The platform misbehaves from here on, for this stream alone. */
  misbehave(...faults: Fault[]): void {
    this.source.setFaults(faults.map((fault) => ({ ...fault, api: this.subject.api })));
  }

  /** Requests that the API of the stream got. */
  requests(): number {
    return ofApi(this.source.requests, this.subject.api).total;
  }

  /** Expects every record of the source as it stands there, nothing else, and no doubt. */
  expectWhole(reading: Reading): void {
    const { stream } = this.subject;
    const truth = this.truth();
    const wrong = [...truth].flatMap(([id, { data, updated, removed }]) => {
      const row = reading.rows.get(id);
      if (row === undefined) return [];
      if (!same(JSON.parse(row.data), data)) return [`${id}: another record`];
      if (stream.time && row.timeMs !== updated) return [`${id}: time ${row.timeMs}, changed ${updated}`];
      return row.gone === removed || stream.deletes.kind !== 'status' ? [] : [`${id}: gone is ${row.gone}`];
    });
    const extra = [...reading.rows.keys()].filter((id) => !truth.has(id));
    expect({ extra: extra.slice(0, 3), wrong: wrong.slice(0, 3) }).toEqual({ extra: [], wrong: [] });
    this.expectNoneLost(reading);
  }

  /** Expects every record that the source holds, and no doubt. */
  expectNoneLost(reading: Reading): void {
    const { doubts, rejected } = reading;
    const missing = this.missing([reading]).slice(0, 5);
    expect(
      { missing, doubts, rejected: rejected.slice(0, 2) },
      `${this.truth().size} at the source, ${reading.rows.size} read`,
    ).toEqual({ missing: [], doubts: [], rejected: [] });
  }

  /** Records of the source that none of the readings brought; `before`: that have not changed since then. */
  missing(readings: Reading[], before = Number.POSITIVE_INFINITY): string[] {
    return [...this.truth()].flatMap(([id, { updated }]) =>
      updated >= before || readings.some(({ rows }) => rows.has(id)) ? [] : [id],
    );
  }
}

/** Where checks are proven. */
export interface Ground {
  tools: ReaderTools;
  connector: Connector;
  fixture: Fixture;
}

/**
 * Proves a check for every stream of a connector that it concerns, or for one of them; gives the names of those.
 * @throws Error that names each stream that fails, and why
 */
export async function proveCheck(ground: Ground, check: Check, only?: string): Promise<string[]> {
  const { connector, fixture } = ground;
  const subjects = subjectsOf(connector, fixture, !check.ownPages).filter(
    (subject) => check.fits(subject) && (only ?? subject.name) === subject.name,
  );
  const ends = await Promise.allSettled(subjects.map((subject) => proveStream(ground, check, subject)));
  const errors = ends.flatMap((end, i) =>
    end.status === 'rejected' ? [`${connector.platform}.${subjects[i]!.name}: ${textOf(end.reason)}`] : [],
  );
  if (errors.length > 0) throw new Error(`${check.name}\n${errors.join('\n')}`);
  return subjects.map(({ name }) => name);
}

let made = 0;

async function proveStream({ tools }: Ground, check: Check, subject: Subject): Promise<void> {
  const { connector } = subject;
  const clock = { aheadMs: 0 };
  const source = await startPlatformSandbox(sized(subject), {
    rows: check.rows?.(subject) ?? rowsOf(subject),
    limits: 'none',
    spanMs: (check.wide ? 60 * 24 : 1) * hour,
    now: () => Date.now() + clock.aheadMs,
  });
  try {
    const { platform, baseUrl, credential, options } = source.connection();
    made += 1;
    const id = `trial-${made}`;
    const connection = { id, no: 0, tenant: id, platform, baseUrl, options, credential: JSON.stringify(credential) };
    const sinceMs = check.wide ? null : Date.now() - 2 * hour;
    await check.prove(new Trial(source, subject, new Reader(tools, connection, connector, sinceMs), clock));
    const { wrong, failed, byApi } = source.requests;
    const apis = Object.keys(byApi).filter((api) => byApi[api]!.wrong > 0);
    expect({ wrong, failed, apis }, 'calls that the platform took for wrong').toEqual({
      wrong: 0,
      failed: 0,
      apis: [],
    });
  } finally {
    await source.stop();
  }
}

function rowsOf({ stream }: Subject): number {
  if (stream.over?.kind !== 'each') return 35;
  return stream.paging.kind === 'whole' ? 6 : 25;
}

const textOf = (error: unknown) => (error instanceof Error ? `${error.name}: ${error.message}` : String(error));
const same = (a: unknown, b: unknown) => JSON.stringify(sorted(a)) === JSON.stringify(sorted(b));

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).map(([key, inner]) => [key, sorted(inner)] as const);
  return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
}
