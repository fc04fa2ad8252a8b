import { Client, Connection } from '@temporalio/client';
import { expect, onTestFinished, test } from 'vitest';
import { failure } from '../activities/errors.ts';
import { createPool } from '../db/client.ts';
import { freePort } from '../workers/embedded/launch.ts';

const thrown = (work: Promise<unknown>) =>
  work.then(
    () => expect.fail('it did not fail'),
    (error: unknown) => error,
  );

test('says that it is Postgres that does not answer', async () => {
  const pool = createPool({ url: `postgres://me:hunter2@127.0.0.1:${await freePort()}/ours`, size: 1, name: 'test' });
  onTestFinished(() => pool.end());
  const told = failure(await thrown(pool.query('SELECT 1')), 'stageUsers');
  expect(told).toMatchObject({
    type: 'Unavailable',
    nonRetryable: false,
    message: 'stageUsers: Postgres does not answer (ECONNREFUSED)',
  });
});

test('says that it is Temporal that does not answer', async () => {
  const connection = Connection.lazy({ address: `127.0.0.1:${await freePort()}` });
  onTestFinished(() => connection.close());
  const asked = connection.withDeadline(Date.now() + 5_000, () =>
    new Client({ connection }).workflow.getHandle('any').describe(),
  );
  expect(failure(await thrown(asked), 'prepare')).toMatchObject({
    type: 'Unavailable',
    nonRetryable: false,
    message: expect.stringMatching(/^prepare: Temporal does not answer \(gRPC code (4|14)\)$/),
  });
});
