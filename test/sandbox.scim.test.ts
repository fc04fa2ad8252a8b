import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { startScimProcess } from '../sandbox/process.ts';
import { type Fault, type ScimSandbox, type ScimSandboxOptions, startScimSandbox } from '../sandbox/scim.ts';
import { byCursor, byIndex, call, failure, ids, list, start, stopScim } from './harness/scim-calls.ts';

afterEach(stopScim);

describe('paging', () => {
  it('adds up by index, with the default page, a cap, and an empty page behind the end', async () => {
    const sandbox = await start({ maxPageSize: 25 });
    expect(await byIndex(sandbox, '/Users', 10)).toEqual(sandbox.directory.userIds());
    expect((await list(sandbox, '/Users')).Resources).toHaveLength(20);
    expect((await list(sandbox, '/Users?count=1000')).itemsPerPage).toBe(25);
    const behind = await list(sandbox, '/Users?startIndex=999');
    expect(behind).toMatchObject({ totalResults: 57, itemsPerPage: 0, Resources: [] });
  });

  it('reads odd numbers as the RFC says', async () => {
    const sandbox = await start();
    const [first] = sandbox.directory.userIds();
    expect(await list(sandbox, '/Users?startIndex=-3&count=1')).toMatchObject({
      startIndex: 1,
      Resources: [{ id: first }],
    });
    expect(await list(sandbox, '/Users?count=0')).toMatchObject({ totalResults: 57, Resources: [] });
    expect(await list(sandbox, '/Users?count=-5')).toMatchObject({ totalResults: 57, Resources: [] });
    expect(await failure(sandbox, '/Users?count=ten')).toMatchObject({ status: 400, scimType: 'invalidValue' });
  });

  it('adds up by cursor, also while rows go, and repeats a page for the same cursor', async () => {
    const sandbox = await start({ paging: 'cursor' });
    const all = sandbox.directory.userIds();
    expect(await byCursor(sandbox, '/Users', 10)).toEqual(all);
    const first = await list(sandbox, '/Users?count=10');
    sandbox.directory.removeUsers(all.slice(0, 3));
    const second = await list(sandbox, `/Users?count=10&cursor=${first.nextCursor}`);
    expect(ids(second)).toEqual(all.slice(10, 20));
    expect(ids(await list(sandbox, `/Users?count=10&cursor=${first.nextCursor}`))).toEqual(ids(second));
  });

  it('refuses a foreign cursor and one with other parameters', async () => {
    const sandbox = await start({ paging: 'both' });
    expect(await failure(sandbox, '/Users?cursor=abc')).toMatchObject({ status: 400, scimType: 'invalidCursor' });
    const { nextCursor } = await list(sandbox, '/Users?cursor=&count=5');
    const other = await failure(sandbox, `/Users?cursor=${nextCursor}&count=5&attributes=title`);
    expect(other).toMatchObject({ status: 400, scimType: 'invalidCursor', detail: expect.stringContaining('repeat') });
    expect(await failure(sandbox, '/Users?cursor=&count=x')).toMatchObject({ status: 400, scimType: 'invalidCount' });
    expect(await list(sandbox, '/Users')).toMatchObject({ startIndex: 1, totalResults: 57 });
  });

  it('serves the same from prepared pages, before and after changes', async () => {
    const plain = await start({ users: 1000, groups: 60, token: 't', userGroups: true });
    const prepared = await start({ users: 1000, groups: 60, token: 't', userGroups: true, prepared: true });
    const paths = [
      '/Users?startIndex=190&count=30',
      '/Users?count=200',
      '/Users?startIndex=601&count=200',
      '/Groups?count=50',
    ];
    paths.push('/Groups?excludedAttributes=members', '/Groups?attributes=displayName');
    const same = async () => {
      for (const path of paths) {
        const [a, b] = await Promise.all([call(plain, path), call(prepared, path)]);
        const local = (text: string, { url }: ScimSandbox) =>
          text.replaceAll(url, '').replace(/"20(?!24)\d\d-[^"]+Z"/g, '""');
        expect(local(b.text, prepared), path).toBe(local(a.text, plain));
      }
    };
    await same();
    expect(prepared.change({ share: 0.1, seed: 5 })).toEqual(plain.change({ share: 0.1, seed: 5 }));
    await same();
    for (const { directory } of [plain, prepared]) directory.renameGroup(directory.groupIds()[45]!, 'Elsewhere');
    await same();
    for (const { directory } of [plain, prepared]) {
      directory.removeUser(directory.userIds()[200]!);
      directory.renameUser(directory.userIds()[0]!, 'somebody.else@example.org');
      directory.removeGroup(directory.groupIds()[3]!);
    }
    await same();
    // Last, because another projection of people takes the place of the one before.
    paths.push('/Users?attributes=userName&startIndex=395&count=10');
    await same();
    expect(await byIndex(prepared, '/Users', 77)).toEqual(prepared.directory.userIds());
  });
});

describe('filters and single resources', () => {
  let sandbox: ScimSandbox;
  beforeAll(async () => {
    sandbox = await startScimSandbox({ users: 57, groups: 12 });
    return () => sandbox.stop();
  });
  const found = (path: string, filter: string) => list(sandbox, `${path}?filter=${encodeURIComponent(filter)}`);

  it('finds by id, user name, external id, member and time', async () => {
    const id = sandbox.directory.userIds()[7]!;
    const { userName, externalId } = JSON.parse((await call(sandbox, `/Users/${id}`)).text);
    expect(ids(await found('/Users', `id eq "${id}"`))).toEqual([id]);
    expect(ids(await found('/Users', `userName eq "${userName.toUpperCase()}"`))).toEqual([id]);
    expect(ids(await found('/Users', `externalId eq "${externalId}"`))).toEqual([id]);
    const groups = ids(await found('/Groups', `members.value eq "${id}"`));
    const all = (await list(sandbox, '/Groups')).Resources;
    expect(groups.length).toBeGreaterThan(0);
    expect(groups).toEqual(all.filter(({ members }) => JSON.stringify(members).includes(id)).map((group) => group.id));
    expect((await found('/Users', 'meta.lastModified gt "2099-01-01T00:00:00Z"')).totalResults).toBe(0);
    sandbox.directory.editUser(id, { title: 'Captain' });
    expect(ids(await found('/Users', 'meta.lastModified gt "2025-01-01T00:00:00Z"'))).toEqual([id]);
  });

  it('refuses filters it does not know, with what it knows', async () => {
    const refusal = {
      status: 400,
      scimType: 'invalidFilter',
      detail: expect.stringContaining('accepted: id, userName'),
    };
    expect(await failure(sandbox, `/Users?filter=${encodeURIComponent('title co "x"')}`)).toMatchObject(refusal);
    expect(await failure(sandbox, `/Groups?filter=${encodeURIComponent('userName eq "x"')}`)).toMatchObject(refusal);
  });

  it('returns only what was asked for', async () => {
    const [row] = (await list(sandbox, '/Users?count=1&attributes=userName,name.familyName')).Resources;
    expect(Object.keys(row!).sort()).toEqual(['id', 'name', 'schemas', 'userName']);
    expect(Object.keys(row!.name as object)).toEqual(['familyName']);
    const { Resources } = await list(sandbox, '/Groups?excludedAttributes=members');
    expect(Resources.filter((group) => 'members' in group)).toEqual([]);
  });

  it('asks for the token and says what is missing', async () => {
    const refusal = { status: 401, bodyStatus: '401', detail: expect.stringContaining('Bearer') };
    expect(await failure(sandbox, '/Users', { token: 'wrong' })).toMatchObject(refusal);
    expect(await failure(sandbox, '/Users/nobody')).toMatchObject({ status: 404, bodyStatus: '404' });
    expect((await call(sandbox, '/Users')).headers['content-type']).toBe('application/scim+json');
  });

  it('describes itself', async () => {
    const config = JSON.parse((await call(sandbox, '/ServiceProviderConfig')).text);
    expect(config.pagination).toMatchObject({ index: true, cursor: false, defaultPageSize: 20, maxPageSize: 200 });
    expect(ids(await list(sandbox, '/ResourceTypes'))).toEqual(['User', 'Group']);
    expect((await list(sandbox, '/Schemas')).totalResults).toBe(3);
  });
});

describe('setting up', () => {
  it('names options and faults that do not exist', async () => {
    await expect(startScimSandbox({ users: -1, groups: 0 })).rejects.toThrow(/users: .*>=0 but received -1/);
    await expect(start({ colour: 'red' } as Partial<ScimSandboxOptions>)).rejects.toThrow(/colour: Invalid key/);
    const sandbox = await start();
    expect(() => sandbox.setFaults([{ type: 'rain' } as unknown as Fault])).toThrow(/type "rain"; types: status, /);
    expect(() => sandbox.change({ share: 2 })).toThrow('share is 2; accepted: 0 to 1');
  });

  it('runs in a process of its own', async () => {
    const sandbox = await startScimProcess({ users: 300, groups: 20, prepared: true });
    try {
      expect(await byIndex(sandbox, '/Users', 200)).toHaveLength(300);
      expect(await sandbox.requests()).toMatchObject({ total: 3, byPath: { '/Users': 3 } });
      expect(await sandbox.change({ share: 0.1 })).toMatchObject({ edited: 15, added: 6, removed: 6, moved: 3 });
      await sandbox.setFaults([{ type: 'emptyObject' }]);
      expect((await call(sandbox, '/Users')).text).toBe('{}');
      await expect(sandbox.change({ share: 7 })).rejects.toThrow('share is 7; accepted: 0 to 1');
    } finally {
      await sandbox.stop();
    }
    await expect(sandbox.requests()).rejects.toThrow('has ended');
    expect(() => process.kill(sandbox.pid, 0)).toThrow('ESRCH');
  });

  it('tells why a process of its own does not start', async () => {
    await expect(startScimProcess({ users: -1, groups: 0 })).rejects.toThrow(/has ended.*users: .*received -1/s);
  });
});
