import { describe, expect, it } from 'vitest';
import type { Directory, PersonFields } from '../sandbox/scim.ts';
import { expectSameAsSource } from './harness/compare.ts';
import { livingIds, personOf, rejectLines, rejectsOf, snapshot } from './harness/ours.ts';
import { positionOf, recordOf, without } from './harness/spoil.ts';
import { openWorld } from './harness/world.ts';

const world = await openWorld();
const size = { users: 60, groups: 6 };
const pageSize = 20;
const enterprise = 'urn:ietf:params:scim:schemas:extension:enterprise:2.0:User';

interface Bad {
  reason: string;
  field: string;
  /** Fields as the directory holds them. */
  edit?: Partial<Record<keyof PersonFields, unknown>>;
  /** Attributes replaced in the record as it is sent. */
  raw?: Record<string, unknown>;
}

const bad: Bad[] = [
  { reason: 'too_long', field: 'userName', edit: { userName: `${'n'.repeat(10_000)}@example.org` } },
  { reason: 'too_long', field: 'displayName', edit: { displayName: 'd'.repeat(10_000) } },
  { reason: 'too_long', field: 'email', edit: { email: `${'m'.repeat(10_000)}@example.org` } },
  { reason: 'control_character', field: 'userName', edit: { userName: 'a\u0000b@example.org' } },
  { reason: 'control_character', field: 'title', edit: { title: 'Bell\u0007' } },
  { reason: 'control_character', field: 'familyName', edit: { familyName: 'tab\there', displayName: 'Tab' } },
  { reason: 'control_character', field: 'givenName', edit: { givenName: 'half \ud800 pair', displayName: 'Half' } },
  { reason: 'control_character', field: 'attributes', edit: { department: 'nul\u0000' } },
  { reason: 'bad_mail', field: 'email', edit: { email: 'nobody at example.org' } },
  { reason: 'missing_field', field: 'userName', edit: { userName: '' } },
  { reason: 'missing_field', field: 'userName', raw: { userName: null } },
  { reason: 'missing_field', field: 'userName', raw: { userName: undefined } },
  { reason: 'wrong_type', field: 'userName', raw: { userName: { formatted: 'an object' } } },
  { reason: 'wrong_type', field: 'title', raw: { title: ['a', 'list'] } },
  { reason: 'wrong_type', field: 'active', edit: { active: 'perhaps' } },
];
const kept = { pageSize, attributes: { department: `${enterprise}:department` } };

describe.concurrent('bad records fail themselves', () => {
  it('of new people: each is handed back with reason, field, record and position; everybody else is written', async () => {
    const { name, source } = await world.scim(size, kept);
    const { ids, repair } = spoil(source);
    const positions = ids.map((id) => positionOf('users', source.directory.userIds(), id, pageSize));
    const result = await world.run(name);
    expect(result).toMatchObject({ outcome: 'applied', users: { added: 60 - bad.length, rejected: bad.length } });
    const rejects = await rejectsOf(world.pool, name);
    expect(rejects.map(({ record, ...rest }) => rest)).toEqual(
      bad
        .map(({ reason, field }, i) => ({
          stream: 'users',
          source_id: ids[i]!,
          reason,
          field,
          position: positions[i]!,
        }))
        .sort((a, b) => (a.source_id < b.source_id ? -1 : 1)),
    );
    for (const { record, source_id } of rejects) expect(JSON.parse(record!)).toMatchObject({ id: source_id });
    const long = rejects.find((r) => r.source_id === ids[0]);
    expect(JSON.parse(long!.record!).userName, 'the whole value that was refused').toHaveLength(10_012);
    expect(JSON.parse(rejects.find((r) => r.source_id === ids[3])!.record!).userName).toBe('a\u0000b@example.org');
    expect(await livingIds(world.pool, name, 'users')).toEqual(without(source.directory.userIds(), new Set(ids)));

    repair();
    expect((await world.run(name)).users).toMatchObject({ added: bad.length, rejected: 0 });
    await expectSameAsSource(world.pool, name, source.directory);
    expect(await rejectsOf(world.pool, name)).toEqual([]);
  });

  it('of people we hold: they stay exactly as they are, and nobody is deleted', async () => {
    const { name, source } = await world.scim(size, kept);
    await world.run(name);
    const before = await snapshot(world.pool, name);
    const { ids, repair } = spoil(source);
    const result = await world.run(name);
    expect(result).toMatchObject({ applied: {}, users: { edited: 0, deleted: 0, withheld: 0, rejected: bad.length } });
    expect(await snapshot(world.pool, name)).toEqual(before);
    expect((await rejectsOf(world.pool, name)).map((r) => r.source_id)).toEqual([...ids].sort());
    repair();
    await world.run(name);
    await expectSameAsSource(world.pool, name, source.directory);
    expect(await rejectsOf(world.pool, name)).toEqual([]);
  });

  it('NUL and half surrogates deep inside an extra attribute', async () => {
    const { name, source } = await world.scim(size, { attributes: { profile: 'profile' } });
    const d = source.directory;
    const [nul, half, key, fine] = d.userIds() as [string, string, string, string];
    const profiles: [string, unknown][] = [
      [nul, { unit: 'nul\u0000' }],
      [half, [{ unit: 'half \udc00' }]],
      [key, { 'nul\u0000': 'as a key' }],
      [fine, { units: ['one', { two: 2 }] }],
    ];
    source.setFaults(profiles.map(([id, profile]) => ({ type: 'raw', id, json: recordOf(d, id, { profile }) })));
    const result = await world.run(name);
    expect(result.users).toMatchObject({ added: 57, rejected: 3 });
    expect(await rejectLines(world.pool, name)).toEqual(
      [nul, half, key].map((id) => `users ${id} control_character attributes`).sort(),
    );
    expect(await personOf(world.pool, name, fine)).toMatchObject({ attributes: { profile: profiles[3]![1] } });
  });

  it('accepts what is only unusual: numbers as text, "True", empty text, backslashes, emoji, 256 characters', async () => {
    const { name, source } = await world.scim(size);
    const d = source.directory;
    const [number, text, empty, odd, long] = d.userIds() as [string, string, string, string, string];
    source.setFaults([
      { type: 'raw', id: number, json: recordOf(d, number, { userName: 4711, title: 42 }) },
      { type: 'raw', id: text, json: recordOf(d, text, { active: 'False' }) },
    ]);
    d.editUser(empty, { title: '' });
    d.editUser(odd, { displayName: '\\N \\. "quoted" \u{1F600} ’' });
    d.editUser(long, { userName: 'é'.repeat(256) });
    expect((await world.run(name)).users).toMatchObject({ added: 60, rejected: 0 });
    expect(await personOf(world.pool, name, number)).toMatchObject({ user_name: '4711', title: '42' });
    expect(await personOf(world.pool, name, text)).toMatchObject({ active: false });
    expect(await personOf(world.pool, name, empty)).toMatchObject({ title: null });
    expect(await personOf(world.pool, name, odd)).toMatchObject({ display_name: '\\N \\. "quoted" \u{1F600} ’' });
    expect(await personOf(world.pool, name, long)).toMatchObject({ user_name: 'é'.repeat(256) });
  });
});

describe.concurrent('a record without an id', () => {
  it('is kept under its position; nobody can tell who it is, so nobody is deleted', async () => {
    const { name, source } = await world.scim(size, { pageSize });
    const d = source.directory;
    await world.run(name);
    const before = await livingIds(world.pool, name, 'users');
    const [nameless, numb, gone] = [d.userIds()[25]!, d.userIds()[26]!, d.userIds()[59]!];
    source.setFaults([
      { type: 'raw', id: nameless, json: recordOf(d, nameless, { id: undefined }), only: 'list' },
      { type: 'raw', id: numb, json: 'null', only: 'list' },
    ]);
    d.removeUser(gone);
    const result = await world.run(name);
    expect(result.users).toMatchObject({ deleted: 0, withheld: 3 });
    expect(result.notes.join('\n')).toContain(
      '3 users are missing at the source and stay: 2 records came without a usable id, and nobody can tell who they are',
    );
    expect(await livingIds(world.pool, name, 'users')).toEqual(before);
    const lines = await rejectLines(world.pool, name);
    expect(lines.filter((line) => line.startsWith('users'))).toEqual([
      'users users page 2 row 6 missing_field id',
      'users users page 2 row 7 missing_field id',
    ]);
    const first = (await rejectsOf(world.pool, name)).find((r) => r.stream === 'users');
    expect(first).toMatchObject({ position: 'users page 2 row 6' });
    expect(JSON.parse(first!.record!)).toMatchObject({ userName: d.fields(d.findPerson(nameless)!).userName });
    source.setFaults([]);
    await world.run(name);
    await expectSameAsSource(world.pool, name, d);
    expect(await rejectsOf(world.pool, name)).toEqual([]);
  });

  it('is counted in the result of the run', async () => {
    const { name, source } = await world.scim(size);
    const id = source.directory.userIds()[3]!;
    source.setFaults([{ type: 'raw', id, json: recordOf(source.directory, id, { id: null }) }]);
    const result = await world.run(name);
    const standing = await rejectsOf(world.pool, name);
    expect(standing.map((r) => r.reason)).toContain('missing_field');
    expect(result.users).toMatchObject({ added: 59, rejected: standing.length });
  });
});

describe.concurrent('absent, null and a value are three things', () => {
  it('incremental: absent keeps what we hold, null clears it, a value replaces it', async () => {
    const { name, source } = await world.scim(size);
    await world.run(name);
    const [absent, nulled, valued] = source.directory.userIds() as [string, string, string];
    const held = await personOf(world.pool, name, absent);
    source.directory.editUser(valued, { title: 'Valued', phone: '+999 7' });
    source.setFaults([
      { type: 'attributeAbsent', attribute: 'title', ids: [absent] },
      { type: 'attributeAbsent', attribute: 'phoneNumbers', ids: [absent] },
      { type: 'attributeAbsent', attribute: 'active', ids: [absent] },
      { type: 'attributeNull', attribute: 'title', ids: [nulled] },
      { type: 'attributeNull', attribute: 'phoneNumbers', ids: [nulled] },
    ]);
    expect(await world.run(name)).toMatchObject({ mode: 'incremental', users: { edited: 2 } });
    expect(await personOf(world.pool, name, absent)).toEqual(held);
    expect(await personOf(world.pool, name, nulled)).toMatchObject({ title: null, phone: null, active: true });
    expect(await personOf(world.pool, name, valued)).toMatchObject({ title: 'Valued', phone: '+999 7' });
  });

  it('full: absent clears, unless the field is absent everywhere: then it was not read', async () => {
    const { name, source } = await world.scim(size);
    await world.run(name);
    const [one, other] = source.directory.userIds() as [string, string];
    const held = await personOf(world.pool, name, other);
    source.setFaults([
      { type: 'attributeAbsent', attribute: 'title', ids: [one] },
      { type: 'attributeAbsent', attribute: 'phoneNumbers' },
    ]);
    expect(await world.run(name, { mode: 'full' })).toMatchObject({ mode: 'full', users: { edited: 1 } });
    expect(await personOf(world.pool, name, one)).toMatchObject({
      title: null,
      phone: expect.stringContaining('+999'),
    });
    expect(await personOf(world.pool, name, other)).toEqual(held);
  });

  it('the same for an extra attribute of the connection', async () => {
    const { name, source } = await world.scim(size, {
      attributes: { department: `${enterprise}:department`, nick: 'nickName', job: 'title' },
    });
    await world.run(name);
    const [absent, nulled] = source.directory.userIds() as [string, string];
    const { attributes } = (await personOf(world.pool, name, absent)) as { attributes: { department: string } };
    expect(attributes.department).toEqual(expect.any(String));
    source.setFaults([
      { type: 'attributeAbsent', attribute: `${enterprise}:department`, ids: [absent] },
      { type: 'attributeNull', attribute: `${enterprise}:department`, ids: [nulled] },
    ]);
    await world.run(name);
    const cleared = (await personOf(world.pool, name, nulled)) as { attributes: { department?: string } };
    expect(cleared.attributes.department ?? null).toBeNull();
    expect((await personOf(world.pool, name, absent)).attributes).toMatchObject({ department: attributes.department });
    source.setFaults([{ type: 'attributeAbsent', attribute: `${enterprise}:department` }]);
    source.directory.editUser(absent, { title: 'Written' });
    await world.run(name, { mode: 'full' });
    expect((await personOf(world.pool, name, absent)).attributes, 'absent everywhere, in a full run').toEqual({
      department: attributes.department,
      job: 'Written',
    });
    source.setFaults([{ type: 'attributeNull', attribute: `${enterprise}:department` }]);
    await world.run(name, { mode: 'full' });
    expect((await personOf(world.pool, name, absent)).attributes, 'null everywhere is an answer').toEqual({
      department: null,
      job: 'Written',
    });
  });
});

/** Spoils one person a fault, spread over the pages; `repair` gives all of them back what they had. */
function spoil({
  directory,
  setFaults,
}: {
  directory: Directory;
  setFaults: Awaited<ReturnType<typeof world.scim>>['source']['setFaults'];
}) {
  const ids = bad.map((_, i) => directory.userIds()[i * 4]!);
  const were = ids.map((id) => directory.fields(directory.findPerson(id)!));
  bad.forEach(({ edit }, i) => void (edit && directory.editUser(ids[i]!, edit as Partial<PersonFields>)));
  setFaults(
    bad.flatMap(({ raw }, i) =>
      raw ? [{ type: 'raw' as const, id: ids[i]!, json: recordOf(directory, ids[i]!, raw) }] : [],
    ),
  );
  const repair = () => {
    setFaults([]);
    ids.forEach((id, i) => void directory.editUser(id, were[i]!));
  };
  return { ids, repair };
}
