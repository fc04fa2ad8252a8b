import { Agent, request } from 'undici';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { startScimProcess } from '../sandbox/process.ts';
import { mix, unmix } from '../sandbox/scim/ids.ts';
import { type Fault, type ScimSandbox, type ScimSandboxOptions, startScimSandbox } from '../sandbox/scim.ts';

interface Row {
  id: string;
  [attribute: string]: unknown;
}
interface List {
  totalResults?: number;
  startIndex?: number;
  itemsPerPage: number;
  nextCursor?: string;
  Resources: Row[];
}

const agent = new Agent();
const running: ScimSandbox[] = [];

async function start(options: Partial<ScimSandboxOptions> = {}): Promise<ScimSandbox> {
  const sandbox = await startScimSandbox({ users: 57, groups: 12, ...options });
  running.push(sandbox);
  return sandbox;
}

async function call(
  sandbox: { url: string; token: string },
  path: string,
  {
    method = 'GET',
    body,
    token = sandbox.token,
  }: { method?: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'; body?: object; token?: string } = {},
) {
  const response = await request(`${sandbox.url}${path}`, {
    dispatcher: agent,
    method,
    headers: { authorization: `Bearer ${token}` },
    body: body && JSON.stringify(body),
  });
  return { status: response.statusCode, headers: response.headers, text: await response.body.text() };
}

const list = async (sandbox: { url: string; token: string }, path: string) =>
  JSON.parse((await call(sandbox, path)).text) as List;
const ids = (page: List) => page.Resources.map(({ id }) => id);
const failure = async (sandbox: ScimSandbox, path: string, options: Parameters<typeof call>[2] = {}) => {
  const { status, text } = await call(sandbox, path, options);
  const { scimType, detail, ...body } = JSON.parse(text);
  return { status, scimType, detail, bodyStatus: body.status };
};

/** Reads until an empty page, by the rows that came. */
async function byIndex(sandbox: { url: string; token: string }, path: string, count: number): Promise<string[]> {
  const all: string[] = [];
  for (;;) {
    const page = await list(sandbox, `${path}?startIndex=${all.length + 1}&count=${count}`);
    if (page.Resources.length === 0) return all;
    all.push(...ids(page));
  }
}

async function byCursor(sandbox: ScimSandbox, path: string, count: number): Promise<string[]> {
  const all: string[] = [];
  for (let cursor: string | undefined = ''; cursor !== undefined; ) {
    const page: List = await list(sandbox, `${path}?count=${count}&cursor=${cursor}`);
    all.push(...ids(page));
    cursor = page.nextCursor;
  }
  return all;
}

afterEach(async () => {
  await Promise.all(running.splice(0).map((sandbox) => sandbox.stop()));
});
afterAll(() => agent.close());

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

describe('data', () => {
  it('is the same for the same seed, and ids lead back to their row', async () => {
    const [a, b, c] = await Promise.all([start({ seed: 3 }), start({ seed: 3 }), start({ seed: 4 })]);
    expect(a.directory.userIds()).toEqual(b.directory.userIds());
    expect(a.directory.userIds()).not.toEqual(c.directory.userIds());
    expect(new Set([...a.directory.userIds(), ...a.directory.groupIds()]).size).toBe(69);
    for (const value of [0, 1, 77, 0x7fffffff, 0xffffffff]) expect(unmix(mix(value))).toBe(value);
    expect(a.directory.findPerson(c.directory.userIds()[0]!)).toBeUndefined();
  });

  it('is a tree of the depth asked for, with different names among siblings and everybody in a group', async () => {
    const sandbox = await start({ users: 2000, groups: 200, maxPageSize: 5000, depth: 4 });
    const { Resources } = await list(sandbox, '/Groups?count=5000');
    type Member = { value: string; type: string; display: string };
    const members = new Map(Resources.map((group) => [group.id, group.members as Member[]]));
    const levels = (id: string): number =>
      1 +
      Math.max(
        0,
        ...members
          .get(id)!
          .filter(({ type }) => type === 'Group')
          .map(({ value }) => levels(value)),
      );
    const children = [...members.values()].map((list) => list.filter(({ type }) => type === 'Group'));
    expect(levels(Resources[0]!.id)).toBe(4);
    expect(children.flat()).toHaveLength(199);
    for (const siblings of children) expect(new Set(siblings.map(({ display }) => display)).size).toBe(siblings.length);
    const people = [...members.values()].flat().filter(({ type }) => type === 'User');
    expect(new Set(people.map(({ value }) => value)).size).toBe(2000);
    expect(people.length / 2000).toBeCloseTo(1.5, 1);
    expect(sandbox.directory.counts()).toEqual({ users: 2000, groups: 200, memberships: people.length });
  });

  it('changes the counts it reports and nothing else', async () => {
    const sandbox = await start({ users: 2000, groups: 30, maxPageSize: 5000, userGroups: true });
    const read = async () => new Map((await list(sandbox, '/Users?count=5000')).Resources.map((row) => [row.id, row]));
    const before = await read();
    const { memberships } = sandbox.directory.counts();
    const done = sandbox.change({ share: 0.1, seed: 2 });
    const after = await read();
    expect(done).toMatchObject({ edited: 100, added: 40, removed: 40, moved: 20 });
    expect([...after.keys()].filter((id) => !before.has(id))).toHaveLength(40);
    expect([...before.keys()].filter((id) => !after.has(id))).toHaveLength(40);
    const differs = (attributes: (row: Row) => unknown) =>
      [...after].filter(
        ([id, row]) =>
          before.has(id) && JSON.stringify(attributes(row)) !== JSON.stringify(attributes(before.get(id)!)),
      );
    expect(differs(({ groups, meta, ...fields }) => fields)).toHaveLength(100);
    expect(differs(({ groups }) => groups)).toHaveLength(20);
    expect(sandbox.directory.counts().memberships).toBe(memberships + done.membershipsAdded - done.membershipsRemoved);
  });

  it('moves lastModified of whom the option names', async () => {
    const bumped = async (membershipBumps: ScimSandboxOptions['membershipBumps']) => {
      const sandbox = await start({ membershipBumps });
      const [user] = sandbox.directory.userIds();
      sandbox.directory.addMember(sandbox.directory.addGroup({ displayName: 'Extra' }), user!);
      return (await list(sandbox, '/Users?filter=meta.lastModified gt "2025-01-01T00:00:00Z"')).totalResults;
    };
    expect([await bumped('group'), await bumped('none'), await bumped('user'), await bumped('both')]).toEqual([
      0, 0, 1, 1,
    ]);
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

describe('writes', () => {
  it('creates, patches as real clients write it, replaces and deletes', async () => {
    const sandbox = await start();
    const created = await call(sandbox, '/Users', {
      method: 'POST',
      body: { userName: 'Nova@example.org', title: 'Cook' },
    });
    const { id } = JSON.parse(created.text);
    expect([created.status, created.headers.location]).toEqual([201, `${sandbox.url}/Users/${id}`]);
    expect(await failure(sandbox, '/Users', { method: 'POST', body: { userName: 'nova@EXAMPLE.org' } })).toMatchObject({
      status: 409,
      scimType: 'uniqueness',
    });
    const off = {
      Operations: [
        { op: 'Replace', path: 'active', value: 'False' },
        { op: 'remove', path: 'title' },
      ],
    };
    const patched = JSON.parse((await call(sandbox, `/Users/${id}`, { method: 'PATCH', body: off })).text);
    expect([patched.active, patched.title]).toEqual([false, undefined]);

    const group = sandbox.directory.addGroup({ displayName: 'Crew' });
    const join = { Operations: [{ op: 'Add', path: 'members', value: [{ value: id }] }] };
    expect(
      JSON.parse((await call(sandbox, `/Groups/${group}`, { method: 'PATCH', body: join })).text).members,
    ).toHaveLength(1);
    const leave = { Operations: [{ op: 'remove', path: `members[value eq "${id}"]` }] };
    expect(
      JSON.parse((await call(sandbox, `/Groups/${group}`, { method: 'PATCH', body: leave })).text).members,
    ).toEqual([]);
    const named = { displayName: 'Ship', members: [{ value: id }] };
    expect(JSON.parse((await call(sandbox, `/Groups/${group}`, { method: 'PUT', body: named })).text)).toMatchObject(
      named,
    );
    expect((await call(sandbox, `/Users/${id}`, { method: 'DELETE' })).status).toBe(204);
    expect((await call(sandbox, `/Users/${id}`)).status).toBe(404);
    expect(JSON.parse((await call(sandbox, `/Groups/${group}`)).text).members).toEqual([]);
  });

  it('gives a user name again when its owner has gone or has another one', async () => {
    const { directory } = await start();
    const first = directory.addUser({ userName: 'twin@example.org' });
    expect(() => directory.addUser({ userName: 'Twin@example.org' })).toThrow('userName is taken by another user');
    directory.renameUser(first, 'single@example.org');
    const second = directory.addUser({ userName: 'twin@example.org' });
    expect(directory.findByUserName('TWIN@example.org')).toBe(directory.findPerson(second));
    directory.removeUsers([first, second]);
    expect(directory.findByUserName('twin@example.org')).toBeUndefined();
    directory.addUser({ userName: 'single@example.org' });
  });

  it('moves, unties and removes groups', async () => {
    const { directory, ...sandbox } = await start();
    const [root, first, second] = directory.groupIds() as [string, string, string];
    const childrenOf = async (id: string) => {
      const { members } = JSON.parse((await call(sandbox, `/Groups/${id}`)).text);
      return members
        .filter(({ type }: { type: string }) => type === 'Group')
        .map(({ value }: { value: string }) => value);
    };
    directory.moveGroup(second, first);
    expect(await childrenOf(first)).toContain(second);
    expect(await childrenOf(root)).not.toContain(second);
    const { memberships } = directory.counts();
    const lost = directory.findGroup(first)!.people.length;
    directory.removeGroup(first);
    expect(directory.findGroup(second)!.parents).toEqual([]);
    expect(directory.counts()).toMatchObject({ groups: 11, memberships: memberships - lost });
  });
});

describe('faults of the answer', () => {
  const spoiled = async (...faults: Fault[]) => start({ faults });

  it('status, for some time, with a SCIM body or any other', async () => {
    const sandbox = await spoiled({ type: 'status', status: 503, retryAfterSeconds: 7, afterRequests: 1, times: 1 });
    const answers = [await call(sandbox, '/Users'), await call(sandbox, '/Users'), await call(sandbox, '/Users')];
    expect(answers.map(({ status }) => status)).toEqual([200, 503, 200]);
    expect(answers[1]!.headers['retry-after']).toBe('7');
    expect(JSON.parse(answers[1]!.text)).toMatchObject({ status: '503', detail: 'The server answers 503' });
    sandbox.setFaults([{ type: 'status', status: 400, scimType: 'tooMany', path: '/Groups', only: 'list' }]);
    expect(await failure(sandbox, '/Groups')).toMatchObject({ status: 400, scimType: 'tooMany' });
    expect((await call(sandbox, '/Users')).status).toBe(200);
    expect((await call(sandbox, `/Groups/${sandbox.directory.groupIds()[0]}`)).status).toBe(200);
    sandbox.setFaults([{ type: 'status', status: 200, body: 'null' }]);
    expect((await call(sandbox, '/Users')).text).toBe('null');
  });

  it('truncatedJson keeps HTTP in order, cutConnection does not', async () => {
    const sandbox = await spoiled({ type: 'truncatedJson', times: 1 }, { type: 'cutConnection', times: 1 });
    const { status, text, headers } = await call(sandbox, '/Users');
    expect([status, Number(headers['content-length'])]).toEqual([200, Buffer.byteLength(text)]);
    expect(() => JSON.parse(text)).toThrow(SyntaxError);
    await expect(call(sandbox, '/Users')).rejects.toMatchObject({ name: 'SocketError', message: 'other side closed' });
    expect((await list(sandbox, '/Users')).Resources).toHaveLength(20);
  });

  it('html, emptyObject, wrongStatusString', async () => {
    const sandbox = await spoiled({ type: 'html', times: 1 }, { type: 'emptyObject', times: 1 });
    expect(await call(sandbox, '/Users')).toMatchObject({ status: 200, text: expect.stringContaining('<form>') });
    expect(await call(sandbox, '/Users')).toMatchObject({ status: 200, text: '{}' });
    sandbox.setFaults([{ type: 'wrongStatusString' }]);
    expect(await failure(sandbox, '/Users/nobody')).toMatchObject({ status: 404, bodyStatus: 404 });
    sandbox.setFaults([{ type: 'wrongStatusString', value: 'gone' }]);
    expect(await failure(sandbox, '/Users/nobody')).toMatchObject({ status: 404, bodyStatus: 'gone' });
  });

  it('cursorError meets the parameter in question only', async () => {
    const sandbox = await start({ paging: 'both' });
    const { nextCursor } = await list(sandbox, '/Users?cursor=');
    for (const scimType of ['expiredCursor', 'invalidCursor'] as const) {
      sandbox.setFaults([{ type: 'cursorError', scimType }]);
      expect(await failure(sandbox, `/Users?cursor=${nextCursor}`)).toMatchObject({ status: 400, scimType });
      expect((await call(sandbox, '/Users?cursor=')).status).toBe(200);
    }
    sandbox.setFaults([{ type: 'cursorError', scimType: 'invalidCount' }]);
    expect(await failure(sandbox, '/Users?count=5')).toMatchObject({ status: 400, scimType: 'invalidCount' });
    sandbox.setFaults([{ type: 'cursorError', scimType: 'notImplemented' }]);
    expect(await failure(sandbox, '/Users?cursor=')).toMatchObject({
      status: 501,
      detail: expect.stringContaining('cursor'),
    });
  });

  it('latency delays, and hang holds until the server is restarted', async () => {
    const sandbox = await spoiled({ type: 'latency', ms: 60 });
    const began = performance.now();
    await call(sandbox, '/Users');
    expect(performance.now() - began).toBeGreaterThan(55);
    sandbox.setFaults([{ type: 'hang', times: 1 }]);
    const held = call(sandbox, '/Users');
    const outcome = expect(held).rejects.toMatchObject({ code: 'UND_ERR_SOCKET' });
    await expect.poll(() => sandbox.requests.byPath['/Users']).toBe(2);
    await sandbox.restart();
    await outcome;
    expect((await list(sandbox, '/Users')).totalResults).toBe(57);
    await sandbox.stop();
    await expect(call(sandbox, '/Users')).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    await sandbox.restart();
    expect((await call(sandbox, '/Users')).status).toBe(200);
  });

  it('rateLimit lets one second of requests through, then says when to come back', async () => {
    const sandbox = await spoiled({ type: 'rateLimit', perSecond: 5 });
    const statuses: number[] = [];
    for (let turn = 0; turn < 8; turn += 1) statuses.push((await call(sandbox, '/Users?count=1')).status);
    expect(statuses.slice(0, 5)).toEqual([200, 200, 200, 200, 200]);
    expect(statuses.filter((status) => status === 429).length).toBe(sandbox.requests.limited);
    expect(sandbox.requests.limited).toBeGreaterThan(0);
    sandbox.setFaults([{ type: 'rateLimit', perSecond: 1, retryAfter: 'date' }]);
    await call(sandbox, '/Users');
    const { status, headers } = await call(sandbox, '/Users');
    expect(status).toBe(429);
    expect(Date.parse(String(headers['retry-after']))).toBeGreaterThan(Date.now());
    sandbox.setFaults([{ type: 'rateLimit', perSecond: 1 }]);
    await call(sandbox, '/Users');
    expect((await call(sandbox, '/Users')).headers['retry-after']).toBe('1');
  });
});

describe('faults of lists', () => {
  it('emptyList, noPermission, totalLies, totalAbsent, itemsPerPageEchoesCount', async () => {
    const sandbox = await start({ faults: [{ type: 'emptyList' }] });
    expect(await list(sandbox, '/Users')).toMatchObject({ totalResults: 0, Resources: [] });
    sandbox.setFaults([{ type: 'noPermission' }]);
    expect(await list(sandbox, '/Users')).toMatchObject({ totalResults: 57, itemsPerPage: 0, Resources: [] });
    sandbox.setFaults([{ type: 'totalLies', total: 5 }]);
    expect(await list(sandbox, '/Users')).toMatchObject({ totalResults: 5, itemsPerPage: 20 });
    sandbox.setFaults([{ type: 'totalAbsent' }]);
    expect(await list(sandbox, '/Users')).not.toHaveProperty('totalResults');
    sandbox.setFaults([{ type: 'itemsPerPageEchoesCount' }]);
    const echoed = await list(sandbox, '/Users?count=100');
    expect([echoed.itemsPerPage, echoed.Resources.length]).toEqual([100, 57]);
  });

  it('repeatPage, wrapAround, pageCap, newestFirst, groupsCapped', async () => {
    const sandbox = await start({ faults: [{ type: 'repeatPage' }] });
    const all = sandbox.directory.userIds();
    expect(ids(await list(sandbox, '/Users?startIndex=21&count=20'))).toEqual(all.slice(0, 20));
    sandbox.setFaults([{ type: 'wrapAround' }]);
    expect(ids(await list(sandbox, '/Users?startIndex=999&count=20'))).toEqual(all.slice(0, 20));
    expect(ids(await list(sandbox, '/Users?startIndex=41&count=20'))).toEqual(all.slice(40));
    sandbox.setFaults([{ type: 'pageCap', rows: 7 }]);
    expect((await list(sandbox, '/Users?count=50')).itemsPerPage).toBe(7);
    expect(await byIndex(sandbox, '/Users', 50)).toEqual(all);
    sandbox.setFaults([{ type: 'newestFirst' }]);
    expect(await byIndex(sandbox, '/Users', 20)).toEqual(all.toReversed());
    sandbox.setFaults([{ type: 'groupsCapped', groups: 5 }]);
    const capped = await list(sandbox, '/Groups?startIndex=3&count=2');
    expect([capped.totalResults, ids(capped)]).toEqual([5, sandbox.directory.groupIds().slice(0, 5)]);
  });

  it('newestFirst and cursors read everything once', async () => {
    const sandbox = await start({ paging: 'cursor', faults: [{ type: 'newestFirst' }] });
    expect(await byCursor(sandbox, '/Users', 20)).toEqual(sandbox.directory.userIds().toReversed());
  });

  it('shrinkWhileReading loses living people from the pages and keeps the total right', async () => {
    const sandbox = await start({ faults: [{ type: 'shrinkWhileReading', afterPage: 1, first: 3 }] });
    const before = sandbox.directory.userIds();
    const read = await byIndex(sandbox, '/Users', 20);
    const missed = sandbox.directory.userIds().filter((id) => !read.includes(id));
    expect(missed).toEqual(before.slice(20, 23));
    expect((await list(sandbox, '/Users')).totalResults).toBe(54);
    expect(read).toHaveLength(54);
  });

  it('between runs once after its page; with newestFirst an added user shows another one twice', async () => {
    const added: string[] = [];
    const sandbox = await start({
      faults: [
        { type: 'newestFirst' },
        { type: 'between', page: 1, path: '/Users', run: (directory) => added.push(directory.addUser()) },
      ],
    });
    const read = await byIndex(sandbox, '/Users', 20);
    expect(added).toHaveLength(1);
    expect(read.filter((id, at) => read.indexOf(id) !== at)).toHaveLength(1);
    expect(read).not.toContain(added[0]);
  });

  it('filterIgnored and filterRefused, by attribute', async () => {
    const sandbox = await start({ faults: [{ type: 'filterIgnored', attribute: 'meta.lastModified' }] });
    const later = encodeURIComponent('meta.lastModified gt "2099-01-01T00:00:00Z"');
    const byId = encodeURIComponent(`id eq "${sandbox.directory.userIds()[0]}"`);
    expect((await list(sandbox, `/Users?filter=${later}`)).totalResults).toBe(57);
    expect((await list(sandbox, `/Users?filter=${byId}`)).totalResults).toBe(1);
    sandbox.setFaults([{ type: 'filterRefused' }]);
    expect(await failure(sandbox, `/Users?filter=${byId}`)).toMatchObject({ status: 400, scimType: 'invalidFilter' });
  });
});

describe('faults of rows', () => {
  it('membersMissing, membersEmpty, attributeAbsent, attributeNull, activeAsString', async () => {
    const sandbox = await start({ prepared: true, faults: [{ type: 'membersMissing' }] });
    const groups = async () => (await list(sandbox, '/Groups')).Resources;
    expect((await groups()).filter((group) => 'members' in group)).toEqual([]);
    sandbox.setFaults([{ type: 'membersEmpty' }]);
    expect((await groups()).map(({ members }) => members)).toEqual(Array(12).fill([]));
    const [first, second] = sandbox.directory.userIds() as [string, string];
    sandbox.setFaults([
      { type: 'attributeAbsent', attribute: 'name.givenName' },
      { type: 'attributeAbsent', attribute: 'urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department' },
      { type: 'attributeNull', attribute: 'title', ids: [first] },
      { type: 'activeAsString' },
    ]);
    const { Resources } = await list(sandbox, '/Users');
    expect(Resources.filter((row) => 'givenName' in (row.name as object))).toEqual([]);
    expect(JSON.stringify(Resources)).not.toContain('department');
    expect(Resources.filter(({ title }) => title === null).map(({ id }) => id)).toEqual([first]);
    expect(Resources[0]!.active).toBe('True');
    expect(JSON.parse((await call(sandbox, `/Users/${second}`)).text).active).toBe('True');
  });

  it('raw replaces the text of a row, duplicateRow shows one twice', async () => {
    const sandbox = await start({ prepared: true });
    const [first, second] = sandbox.directory.userIds() as [string, string];
    const json = `{"id":"${second}","userName":"a\\u0000b"}`;
    sandbox.setFaults([
      { type: 'raw', id: first, json },
      { type: 'duplicateRow', id: first, page: 3 },
    ]);
    const page = await list(sandbox, '/Users');
    expect(page.Resources.slice(0, 2)).toMatchObject([{ id: second, userName: 'a\0b' }, { id: second }]);
    expect((await call(sandbox, `/Users/${first}`)).text).toBe(json);
    sandbox.setFaults([{ type: 'duplicateRow', id: first, page: 3 }]);
    const third = await list(sandbox, '/Users?startIndex=41');
    expect([third.itemsPerPage, ids(third).at(-1)]).toEqual([18, first]);
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
