import { expect, test } from 'vitest';
import { openCli } from './harness/cli.ts';
import { type CrmOptions, openCrm } from './harness/crm.ts';
import { failureOfRun } from './harness/platforms.ts';
import { until } from './harness/until.ts';

const { world, cli } = await openCli();
const open = async (given: CrmOptions) => {
  const crm = await openCrm(world, { ...given, options: { callsPerWindow: 10_000, ...given.options } });
  await crm.sync();
  return crm;
};

test('an emptied table archives nobody until a person says so', async () => {
  const crm = await open({ users: 300, options: { mode: 'mirror' } });
  await crm.sql('TRUNCATE users');
  for (let start = 1; start <= 2; start++)
    expect(await failureOfRun(crm.sync()), `start ${start}`).toMatchObject({
      type: 'TooManyArchives',
      message: expect.stringMatching(
        /^300 of 300 known contacts would be archived \(100\.0 %\), more than the option archivePercent allows.*--accept-archives$/,
      ),
    });
  expect(crm.source.calls.byName.archive).toBeUndefined();
  expect(await cli(`start hubspotSync ${crm.name} --accept-archives --wait`)).toMatchObject({
    code: 0,
    out: expect.stringContaining('300 archived'),
  });
  await crm.expectSame();
});

test('a condition that fits nobody archives nobody; who comes back is sent, and the others go', async () => {
  const crm = await open({ users: 300, mapping: { leave: 'archive' } });
  await crm.sql('UPDATE users SET hidden = true');
  expect(await failureOfRun(crm.sync())).toMatchObject({ type: 'TooManyArchives' });
  expect(crm.source.calls.byName.archive).toBeUndefined();
  await crm.sql('UPDATE users SET hidden = false WHERE id > 140');
  expect(await crm.sync(), '140 of 300 are under a half').toMatchObject({ outcome: 'whole', archived: 140 });
  await crm.expectSame();
});

test('an emptied table is told to nobody, where the mapping updates who left; who was told before does not count', async () => {
  const crm = await open({ users: 300, mapping: { leave: 'update', leaveValues: { app_note: 'gone' } } });
  const told = () => [...crm.source.contacts.all()].filter(({ properties }) => properties.app_note === 'gone').length;
  await crm.sql('UPDATE users SET hidden = true WHERE id <= 140');
  expect(await crm.sync()).toMatchObject({ outcome: 'whole', written: 140 });
  await crm.sql('DELETE FROM users WHERE id <= 140');
  expect(await crm.sync({ mode: 'full' }), 'told once more').toMatchObject({ outcome: 'whole', written: 300 });
  await crm.sql('TRUNCATE users');
  expect(await failureOfRun(crm.sync())).toMatchObject({
    type: 'TooManyArchives',
    message: expect.stringMatching(/^160 of 160 known contacts would be told that their users left \(100\.0 %\)/),
  });
  expect(told()).toBe(140);
  await crm.sync({ archives: 'accept' });
  expect(told()).toBe(300);
  await crm.options({ mapping: { ...crm.mapping, leave: 'archive', leaveValues: {} } });
  expect(await failureOfRun(crm.sync()), 'to be archived is another matter').toMatchObject({
    message: expect.stringMatching(/^300 of 300 known contacts would be archived/),
  });
});

test('nobody of a deletion goes that is longer than the part of the log that is moved first', async () => {
  const crm = await open({ users: 6_000, mapping: { leave: 'archive' } });
  await crm.sql('DELETE FROM users');
  expect(await failureOfRun(crm.sync())).toMatchObject({
    type: 'TooManyArchives',
    message: expect.stringMatching(/^6000 of 6000 known contacts would be archived \(100\.0 %\)/),
  });
  expect(crm.source.calls.byName.archive).toBeUndefined();
});

test('deleted users of whom HubSpot is told nothing do not count as leaving', async () => {
  const options = { archivePercent: 10 };
  const crm = await open({ users: 4_000, options, mapping: { leave: 'update', leaveValues: {} } });
  // More than the thousand that are read first, so that some are still marked when it is counted.
  const inOrder = 'SELECT id FROM users ORDER BY id::text COLLATE "C"';
  await crm.sql(`UPDATE users SET hidden = true, name = name || '!' WHERE id IN (${inOrder} LIMIT 60)`);
  await crm.sql(`DELETE FROM users WHERE id IN (${inOrder} OFFSET 1900)`);
  expect(await crm.sync()).toMatchObject({ outcome: 'whole', written: 60 });
});

test('a run that goes on behind a wait counts whom it told before', async () => {
  const options = { archivePercent: 30, inFlight: 1 };
  const crm = await open({ users: 600, options, mapping: { leave: 'update', leaveValues: { app_note: 'gone' } } });
  const inOrder = 'SELECT id FROM users ORDER BY id::text COLLATE "C"';
  await crm.sql(`UPDATE users SET name = name || '!', hidden = id IN (${inOrder} LIMIT 120)`);
  // The first hundred who left are told; the run waits before the third call, and others leave meanwhile.
  const before = crm.source.calls.refused;
  crm.source.setFaults([{ type: 'rate', policy: 'SECONDLY', retryAfter: 8, after: 2, times: 1 }]);
  const failure = failureOfRun(crm.sync());
  await until('a call to be refused', async () => crm.source.calls.refused > before);
  await crm.sql(`UPDATE users SET hidden = true WHERE id IN (${inOrder} OFFSET 500)`);
  expect(await failure, '20 percent, and 24 of the others').toMatchObject({
    type: 'TooManyArchives',
    message: expect.stringMatching(/^220 of 600 known contacts would be told that their users left/),
  });
});

test('50 may go however few there are, and an account may allow less or all', async () => {
  const few = await open({ users: 55, options: { mode: 'mirror' } });
  await few.sql('DELETE FROM users WHERE id > 5');
  expect(await few.sync()).toMatchObject({ archived: 50 });

  const crm = await open({ users: 200, options: { mode: 'mirror', archivePercent: 30 } });
  await crm.sql('DELETE FROM users WHERE id > 130');
  expect(await failureOfRun(crm.sync())).toMatchObject({
    type: 'TooManyArchives',
    message: expect.stringMatching(/^70 of 200 .*35\.0 %/),
  });
  await crm.options({ archivePercent: 100 });
  await crm.sql('DELETE FROM users');
  expect(await crm.sync()).toMatchObject({ archived: 200 });
});

test('one whose condition fails is not counted, and keeps nobody from going', async () => {
  const crm = await open({ users: 300, mapping: { where: `coalesce(u.note, '1')::int > 0`, leave: 'archive' } });
  // In the order of the bytes 99 comes last.
  await crm.sql(`UPDATE users SET note = '0' WHERE id BETWEEN 100 AND 219; UPDATE users SET note = 'x' WHERE id = 99`);
  expect(await crm.sync()).toMatchObject({ outcome: 'partial', archived: 120, refusedHere: 1 });
  expect(await crm.parked()).toEqual(new Map([['99', 'mapping_failed 22P02']]));
  await crm.sql(`UPDATE users SET note = '0' WHERE id >= 220; UPDATE users SET note = '0' WHERE id < 30`);
  expect(await failureOfRun(crm.sync()), 'nor does he who is set aside').toMatchObject({
    type: 'TooManyArchives',
    message: expect.stringMatching(/^110 of 180 known contacts would be archived/),
  });
});
