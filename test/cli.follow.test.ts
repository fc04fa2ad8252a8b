import { expect, test } from 'vitest';
import { CommandError, isAway } from '../workers/cli/trouble.ts';

const coded = (code: string | number, message = 'x') => Object.assign(new Error(message), { code });
const service = (code: number) => Object.assign(new Error('x', { cause: coded(code) }), { name: 'ServiceError' });

test.each<[string, unknown, boolean]>([
  ['nobody listens', coded('ECONNREFUSED'), true],
  ['Postgres goes down', coded('57P01'), true],
  ['Postgres comes up', coded('57P03'), true],
  ['a cut connection', new Error('Connection terminated unexpectedly'), true],
  ['behind a statement of drizzle', new Error('Failed query: select 1', { cause: coded('ECONNRESET') }), true],
  ['Temporal is unavailable', service(14), true],
  ['Temporal is late', service(4), true],
  ['Temporal knows no such run', service(5), false],
  ['a refused statement', coded('42P01'), false],
  [
    'a run that failed for it',
    new CommandError('The run failed: readSlice: Postgres does not answer (ECONNREFUSED)'),
    false,
  ],
  ['no error', 'Postgres does not answer (ECONNREFUSED)', false],
])('who watches a run waits for a server to come back, and for nothing else: %s', (_, error, away) => {
  expect(isAway(error)).toBe(away);
});
