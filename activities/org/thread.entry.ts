import { on } from 'node:events';
import { type MessagePort, parentPort } from 'node:worker_threads';
import { type EncodedPage, encodePage } from '../../db/org/stageRows.ts';
import { scimSource } from './scim.ts';
import type { OrgSource, StagedGroups } from './source.ts';
import { type Told, tell } from './thread.message.ts';
import type { ThreadRead } from './thread.ts';

/** Pages on their way to whoever writes them: with more, a slow database would fill this process with them. */
const mostAhead = 4;

/** Whoever needs the groups of the stage needs the database, and is no source of plain values. */
const noGroups: StagedGroups = {
  ids: () => Promise.reject(new Error('a source that is read elsewhere asks for no groups')),
  level: () => Promise.reject(new Error('a source that is read elsewhere asks for no groups')),
  count: () => Promise.reject(new Error('a source that is read elsewhere asks for no groups')),
};

parentPort?.on('message', (read: ThreadRead & { port: MessagePort }) => void serve(read));

async function serve({ source: { baseUrl, token, options }, stream, from, port }: ThreadRead & { port: MessagePort }) {
  const say = (told: Told) => port.postMessage(told, told.kind === 'page' ? buffersOf(told.read.page) : []);
  const stop = new AbortController();
  port.once('close', () => stop.abort());
  const source: OrgSource = scimSource(baseUrl, token, options);
  try {
    const taken = on(port, 'message', { signal: stop.signal })[Symbol.asyncIterator]();
    let ahead = 0;
    for await (const read of source.pages(stream, from, stop.signal, noGroups)) {
      say({ kind: 'page', read: { ...read, page: encodePage(read.page, stream) } });
      ahead += 1;
      if (ahead < mostAhead) continue;
      await taken.next();
      ahead -= 1;
    }
    say({ kind: 'end' });
  } catch (error) {
    // Who closed the port wants to hear nothing more.
    if (!stop.signal.aborted) say(tell(error));
  } finally {
    port.close();
    await source.close();
  }
}

/** Moved to the other thread instead of copied, which its collector would be started by; short texts share a buffer and stay. */
function buffersOf({ texts }: EncodedPage): ArrayBuffer[] {
  return Object.values(texts).flatMap((text) =>
    text?.byteLength === text?.buffer.byteLength ? (text?.buffer ?? []) : [],
  );
}
