import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { BerReader, BerWriter, PagedResultsControl, PresenceFilter, SearchRequest } from 'ldapts';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { guidBytes, guidText } from '../connectors/ldap/entry.ts';
import {
  closeSources,
  failure,
  memberships,
  pagesOf,
  readAll,
  signal,
  sourceOf,
  stopLater,
  stopServers,
} from './harness/ldap-read.ts';
import { livingIds, personOf } from './harness/ours.ts';
import { suffix } from './harness/slapd.ts';
import { openWorld } from './harness/world.ts';

const world = await openWorld();

afterEach(closeSources);
afterAll(stopServers);

describe('what other servers answer', () => {
  const guid = '00112233-4455-6677-8899-aabbccddeeff';
  const bytes = Buffer.from('33221100554477668899aabbccddeeff', 'hex');

  it('writes objectGUID as the GUID that its tools show', () => {
    expect(guidText(bytes)).toBe(guid);
    expect(guidBytes(guid)).toEqual(bytes);
    expect([guidText(Buffer.alloc(4)), guidBytes('no guid')]).toEqual([null, null]);
  });

  it('goes on behind an empty page that has a cookie, and reads member lists that are cut to the end', async () => {
    const dnOf = (n: number) => `CN=u${n},OU=Staff,${suffix}`;
    const id = (n: number) => Buffer.concat([bytes.subarray(0, 15), Buffer.from([n])]);
    const people = [1, 2, 3].map((n) => ({
      dn: dnOf(n),
      values: { objectGUID: [id(n)], sAMAccountName: [`u${n}`], userAccountControl: [n === 2 ? '514' : '512'] },
    }));
    const url = await scripted((request) => {
      if (request.scope === 'base' && request.attributes[0]?.startsWith('member;range=2'))
        return { entries: [{ dn: `CN=All,${suffix}`, values: { 'member;range=2-*': [dnOf(3)] } }] };
      if (request.scope === 'base') return { entries: [{ dn: request.baseDN, values: {} }] };
      if (request.sizeLimit === 1) return { entries: [{ dn: `CN=All,${suffix}`, values: {} }], code: 4 };
      if (request.filter.toString().includes('organizationalunit'))
        return {
          entries: [
            { dn: `OU=Staff,${suffix}`, values: { objectGUID: [id(10)], objectClass: ['organizationalUnit'] } },
            {
              dn: `CN=All,${suffix}`,
              values: {
                ...{ objectGUID: [id(11)], objectClass: ['group'], member: [] },
                'member;range=0-1': [dnOf(1), dnOf(2).toUpperCase()],
              },
            },
          ],
        };
      const page = Number(request.cookie || 0);
      const entries = [[people[0]!], [], [], [people[1]!, people[2]!]][page]!;
      return { entries, cookie: page < 3 ? String(page + 1) : '' };
    });
    const read = await readAll(sourceOf(url, { idAttribute: 'objectGUID' }, null));
    expect(read.users.map((u) => [u.id, u.fields[0], u.fields[8]])).toEqual([
      [guid.replace(/ff$/, '01'), 'u1', true],
      [guid.replace(/ff$/, '02'), 'u2', false],
      [guid.replace(/ff$/, '03'), 'u3', true],
    ]);
    expect(memberships(read)).toEqual([
      '*Staff > u1',
      '*Staff > u2',
      '*Staff > u3',
      'All > u1',
      'All > u2',
      'All > u3',
    ]);
    expect(read.doubts).toEqual([null, null]);
  });

  it('doubts a read after which the bind user no longer sees the base entry', async () => {
    let looks = 0;
    const url = await scripted((request) => {
      if (request.scope === 'base') return { entries: looks++ === 0 ? [{ dn: suffix, values: {} }] : [] };
      return { entries: [{ dn: `uid=a,${suffix}`, values: { entryUUID: ['a'], uid: ['a'] } }], cookie: '' };
    });
    const pages = await pagesOf(sourceOf(url, {}, null), 'users');
    expect(pages.at(-1)?.ended).toMatchObject({
      sign: 'empty cookie',
      doubt: `the bind user no longer sees "${suffix}"`,
    });
  });

  it('says that a server which talks something else is not understood or gone', async () => {
    const server = createServer((socket) => socket.end(Buffer.from([0x30, 0x03, 0x02, 0x01, 0x01])));
    const url = await listen(server);
    expect(await failure(sourceOf(url).probe(signal))).toMatch(/^(BadAnswer|Unavailable): ldap:\/\/127\.0\.0\.1:\d+ /);
  });
});

describe.concurrent('a server whose direct reads are refused', () => {
  it('by whatever code: whoever is missing stays, and the note says so', async () => {
    const { name, url, state } = await company({ a: {}, b: {}, c: {}, d: {} });
    expect(await world.run(name)).toMatchObject({ users: { added: 4 } });
    state.people = { b: {}, c: {}, d: {} };
    for (const code of [8, 10, 13, 32, 34]) {
      state.direct = code;
      const result = await world.run(name);
      expect(result, `code ${code}`).toMatchObject({ outcome: 'applied', users: { deleted: 0, withheld: 1 } });
      expect(result.notes.join()).toContain(
        `1 users are missing at the source and stay: direct reads fail (to let the guards alone decide: npx syncline connect ${name} --option confirmMissing=0): ${url}, search below "${suffix}": LDAP code ${code}, `,
      );
    }
    expect(await livingIds(world.pool, name, 'users')).toEqual(['a', 'b', 'c', 'd']);
    state.direct = 0;
    expect(await world.run(name)).toMatchObject({ users: { deleted: 1, withheld: 0 } });
  });
});

describe.concurrent('an attribute that the bind user may no longer read', () => {
  it.each(['nsAccountLock', 'loginDisabled'])(
    '%s: whoever is suspended stays so, and the run says it',
    async (lock) => {
      const locked = { [lock]: ['TRUE'] };
      const { name, state } = await company({ a: locked, b: locked, c: {} }, { mapping: { active: lock } });
      const suspended = async () => {
        const { rows } = await world.pool.query(
          'SELECT id FROM org.users WHERE connection_id = $1 AND NOT active ORDER BY id',
          [name],
        );
        return rows.map(({ id }) => id);
      };
      await world.run(name);
      expect(await suspended()).toEqual(['a', 'b']);
      state.people = { a: locked, b: {}, c: {} };
      expect(await world.run(name), 'others are locked').toMatchObject({ users: { edited: 1 }, notes: [] });
      expect(await suspended()).toEqual(['a']);

      state.people = { a: {}, b: {}, c: {} };
      const note = 'nobody came with the attribute that locks people: 1 stay suspended';
      for (const mode of ['incremental', 'full'])
        expect(await world.run(name, { mode })).toMatchObject({
          applied: {},
          notes: [
            `${note}. If nobody is locked now: npx syncline connect ${name} --option allowEmpty=true, then start again`,
          ],
        });
      expect((await world.run(name, { only: { user: 'a' } })).notes).toContain(
        `${note}; a run of everybody may tell more: npx syncline start orgSync ${name}`,
      );
      expect(await suspended()).toEqual(['a']);
      await world.pool.query(
        `UPDATE syncline.connections SET options = options || '{"allowEmpty": true}' WHERE id = $1`,
        [name],
      );
      expect(await world.run(name)).toMatchObject({ users: { edited: 1 }, notes: [] });
      expect(await suspended()).toEqual([]);
    },
  );

  it('one of several extra ones: everybody keeps its value, the others are written', async () => {
    const odd = `o'dd \\ "key"`;
    const attributes = { [odd]: 'carLicense', room: 'roomNumber' };
    const { name, state } = await company(
      { a: { carLicense: ['A 1'], roomNumber: ['1'] }, b: { roomNumber: ['2'] } },
      { attributes },
    );
    const extras = async () => [
      (await personOf(world.pool, name, 'a')).attributes,
      (await personOf(world.pool, name, 'b')).attributes,
    ];
    await world.run(name);
    expect(await extras()).toEqual([
      { [odd]: 'A 1', room: '1' },
      { [odd]: null, room: '2' },
    ]);
    state.people = { a: {}, b: { roomNumber: ['3'] }, c: {} };
    for (const mode of ['incremental', 'full']) await world.run(name, { mode });
    expect(await extras()).toEqual([
      { [odd]: 'A 1', room: null },
      { [odd]: null, room: '3' },
    ]);
    expect((await personOf(world.pool, name, 'c')).attributes).toEqual({ [odd]: null, room: null });
    state.people = { a: {}, b: { carLicense: ['B 1'], roomNumber: ['3'] }, c: {} };
    expect(await world.run(name)).toMatchObject({ users: { edited: 2 } });
    expect(await extras(), 'where others have it, none means none').toEqual([
      { [odd]: null, room: null },
      { [odd]: 'B 1', room: '3' },
    ]);
    expect(await world.run(name)).toMatchObject({ applied: {} });
  });
});

type People = Record<string, Record<string, string[]>>;

/** A directory of one unit with these people by id; a direct read is refused with the code `direct`, where it is one. */
async function company(people: People, options: Record<string, unknown> = {}) {
  const state = { people, direct: 0 };
  const unit = { dn: `ou=All,${suffix}`, values: { entryUUID: ['all'], objectClass: ['organizationalUnit'] } };
  const url = await scripted((request) => {
    const filter = request.filter.toString();
    const isDirect = /entryuuid=/i.test(filter);
    if (request.scope === 'base') return { entries: [{ dn: suffix, values: {} }] };
    if (isDirect && state.direct > 0) return { entries: [], code: state.direct };
    if (request.sizeLimit === 1) return { entries: [] };
    if (/organizationalunit/i.test(filter)) return { entries: [unit] };
    const asked = Object.entries(state.people).filter(([id]) => !isDirect || filter.includes(`=${id})`));
    return {
      entries: asked.map(([id, values]) => ({
        dn: `uid=${id},ou=All,${suffix}`,
        values: { ...values, entryUUID: [id], uid: [id] },
      })),
    };
  });
  const name = await world.connect({
    platform: 'ldap',
    baseUrl: url,
    credential: null,
    options: { baseDn: suffix, ...options },
  });
  return { name, url, state };
}

interface Scripted {
  entries: { dn: string; values: Record<string, (string | Buffer)[]> }[];
  code?: number;
  cookie?: string;
}

/** A server that answers each search as the script says: for answers that slapd never gives. */
async function scripted(script: (request: SearchRequest & { cookie: string }) => Scripted): Promise<string> {
  const server = createServer((socket: Socket) => {
    socket.on('data', (data: Buffer) => {
      const reader = new BerReader(data);
      reader.readSequence();
      const messageId = reader.readInt() as number;
      if (reader.readSequence() !== 0x63) return;
      const request = new SearchRequest({ messageId, filter: new PresenceFilter() });
      request.parse(reader, []);
      const control = request.controls?.find((c) => c instanceof PagedResultsControl);
      const answer = script(Object.assign(request, { cookie: control?.value?.cookie?.toString() ?? '' }));
      for (const found of answer.entries) socket.write(entryMessage(messageId, found));
      socket.write(doneMessage(messageId, answer));
    });
  });
  return listen(server);
}

async function listen(server: ReturnType<typeof createServer>): Promise<string> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket) => sockets.add(socket));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  stopLater({
    stop: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  });
  return `ldap://127.0.0.1:${(server.address() as { port: number }).port}`;
}

function entryMessage(messageId: number, found: Scripted['entries'][number]): Buffer {
  return message(messageId, 0x64, (writer) => {
    writer.writeString(found.dn);
    writer.startSequence();
    for (const [type, values] of Object.entries(found.values)) {
      writer.startSequence();
      writer.writeString(type);
      writer.startSequence(0x31);
      for (const value of values) writer.writeBuffer(Buffer.from(value as string), 0x04);
      writer.endSequence();
      writer.endSequence();
    }
    writer.endSequence();
  });
}

function doneMessage(messageId: number, { code = 0, cookie }: Scripted): Buffer {
  const done = (writer: BerWriter) => {
    writer.writeEnumeration(code);
    writer.writeString('');
    writer.writeString('');
  };
  return message(messageId, 0x65, done, (writer) => {
    if (cookie === undefined) return;
    writer.startSequence(0xa0);
    new PagedResultsControl({ value: { size: 0, cookie: Buffer.from(cookie) } }).write(writer);
    writer.endSequence();
  });
}

function message(
  messageId: number,
  tag: number,
  body: (writer: BerWriter) => void,
  after?: (writer: BerWriter) => void,
): Buffer {
  const writer = new BerWriter();
  writer.startSequence();
  writer.writeInt(messageId);
  writer.startSequence(tag);
  body(writer);
  writer.endSequence();
  after?.(writer);
  writer.endSequence();
  return writer.buffer;
}
