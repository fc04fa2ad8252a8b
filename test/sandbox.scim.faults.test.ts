import { afterEach, describe, expect, it } from 'vitest';
import type { Fault } from '../sandbox/scim.ts';
import { byCursor, byIndex, call, failure, ids, list, start, stopScim } from './harness/scim-calls.ts';

afterEach(stopScim);

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
