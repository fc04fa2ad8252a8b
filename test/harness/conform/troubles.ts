import { expect } from 'vitest';
import { RetryLater, SyncError } from '../../../activities/errors.ts';
import type { Fault } from '../../../sandbox/platform.ts';
import type { Reading } from './reading.ts';
import { isKind, isPaged, type Subject, subjectsOf } from './subject.ts';
import type { Check, Trial } from './trial.ts';

const every = () => true;

/** After the first request where there are several, else at once. */
function inTheMiddle({ stream }: Subject): Pick<Fault, 'after' | 'times'> {
  return { after: stream.paging.kind === 'whole' && stream.over === undefined ? 0 : 1, times: 1 };
}

/** What a read ends with that must not succeed. */
async function failureOf(reading: Promise<Reading>): Promise<SyncError> {
  const error = await reading.then(
    ({ rows }) => expect.fail(`the read should have failed, and ended with ${rows.size} rows`),
    (thrown: unknown) => thrown,
  );
  if (error instanceof SyncError) return error;
  throw error;
}

/** A token that ends: replaced in silence where tokens can be asked for, else a person is told what to do. */
async function proveToken(trial: Trial, fault: Fault): Promise<void> {
  trial.misbehave(fault);
  if (trial.subject.connector.auth.kind === 'token') {
    trial.expectWhole(await trial.read());
    const { token } = trial.source.requests.byApi;
    expect(token?.total, 'calls for a token: the first one, and its replacement').toBe(2);
    return;
  }
  const { type, message } = await failureOf(trial.read());
  expect(type, message).toBe('Unauthorized');
  expect(message).toContain('npx syncline connect NAME');
}

/** A failure after which the read goes on, having noticed it. */
const passing = (name: string, fault: Fault, noticed: (reading: Reading) => void): Check => ({
  name,
  fits: every,
  async prove(trial) {
    trial.misbehave({ ...fault, ...inTheMiddle(trial.subject) });
    const reading = await trial.read();
    noticed(reading);
    trial.expectWhole(reading);
  },
});

const troubled = (type: string) => (reading: Reading) =>
  expect(reading.troubles, 'what was tried again').toEqual([type]);

/** Answers that are no list. */
export const troubles: Check[] = [
  {
    name: 'a token that ends in the middle',
    fits: every,
    prove: (trial) => proveToken(trial, { type: 'expire', ...inTheMiddle(trial.subject) }),
  },
  {
    name: 'HTTP 401 in the middle',
    fits: every,
    prove: (trial) => proveToken(trial, { type: 'status', status: 401, ...inTheMiddle(trial.subject) }),
  },
  passing('HTTP 429 with Retry-After', { type: '429', seconds: 4 }, ({ waits }) =>
    expect(waits, 'waits').toEqual([4_000]),
  ),
  {
    name: "the platform's own refusal of too many calls",
    fits: every,
    async prove(trial) {
      const { reader, subject } = trial;
      trial.misbehave({ type: 'refuse', kind: 'rate', ...inTheMiddle(subject) });
      const refused = await reader.read(subject.name, { patient: false }).catch((error: unknown) => error);
      if (!(refused instanceof RetryLater))
        expect.fail(`ended with ${refused instanceof Error ? refused.message : 'a list'}, not with a wait`);
      expect(refused.waitMs, 'wait').toBeGreaterThanOrEqual(500);
      await expectHeld(trial, refused.waitMs);
      reader.renew();
      trial.expectWhole(await trial.read());
    },
  },
  {
    name: 'a cursor that ended, or that the platform does not know',
    fits: (subject) => isKind(subject, 'cursor', 'link'),
    async prove(trial) {
      trial.misbehave({ type: 'refuse', kind: 'cursor', ...inTheMiddle(trial.subject) });
      const reading = await trial.read();
      troubled('ChainBroken')(reading);
      trial.expectWhole(reading);
    },
  },
  passing('an error with HTTP 200: the platform is busy', { type: 'refuse', kind: 'busy' }, ({ waits, troubles }) =>
    expect(waits.length + troubles.length, 'waits and tries').toBe(1),
  ),
  {
    name: 'an error with HTTP 200 that is no empty list',
    fits: every,
    async prove(trial) {
      trial.misbehave({ type: 'refuse', kind: 'api' });
      await failureOf(trial.read());
    },
  },
  {
    name: 'a success without its list is no empty list',
    // Where the payload is the list, or the record of an id, nothing is known to be missing.
    fits: ({ stream }) => stream.rows !== '' && stream.key !== '$over',
    async prove(trial) {
      trial.misbehave({ type: 'bare' });
      const { type, message } = await failureOf(trial.read());
      expect(type, message).toBe('BadAnswer');
      expect(message).toContain(`got nothing at "${trial.subject.stream.rows}"`);
    },
  },
  {
    name: 'a permission that is missing parks the stream, and others go on',
    fits: every,
    async prove(trial) {
      const { subject, reader } = trial;
      trial.misbehave({ type: 'refuse', kind: 'permission' });
      const { type, message } = await failureOf(trial.read());
      expect(type, message).toBe('Forbidden');
      expect(message).toContain(subject.name);
      const { name, api, connector, fixture } = subject;
      const other = subjectsOf(connector, fixture, false).find((s) => s.api !== api && needs(s) !== name);
      if (other) expect((await reader.read(other.name)).doubts).toEqual([]);
    },
  },
  passing('a body that is cut on the wire', { type: 'cut' }, troubled('Unavailable')),
  passing('JSON that is cut', { type: 'truncated' }, troubled('BadAnswer')),
  passing('HTML with HTTP 200', { type: 'html' }, troubled('BadAnswer')),
  {
    name: 'a cursor or a page that does not advance',
    fits: isPaged,
    async prove(trial) {
      trial.misbehave({ type: 'stuck', after: 1 });
      const { type, message } = await failureOf(trial.read());
      expect(type, message).toBe('BadAnswer');
      const readings = 3;
      expect(trial.requests(), 'requests').toBeLessThan(readings * 45);
    },
  },
];

const needs = ({ stream }: Subject) => (stream.over?.kind === 'each' ? stream.over.stream : undefined);

/** Permits in hand are good for a quarter of a second; a busy machine hands them out later. */
const inHandMs = 750;

/** While a platform waits, its calls stay here: told to come back, or sent when the wait is over. */
async function expectHeld({ reader, subject }: Trial, waitMs: number): Promise<void> {
  const began = performance.now();
  for (;;) {
    const asked = performance.now() - began;
    const again = await reader.read(subject.name, { patient: false }).catch((error: unknown) => error);
    if (again instanceof RetryLater || performance.now() - began >= waitMs * 0.9) return;
    expect(asked, `milliseconds into a wait of ${waitMs}, and the platform is called`).toBeLessThan(inHandMs);
  }
}
