import pg from 'pg';

/** Hears notifications of one database over one connection of its own, which is made when somebody first listens. */
export interface Listener {
  /** Calls `heard` with each payload of a channel, and with null when notifications may have been missed. @returns what ends it */
  on(channel: string, heard: (payload: string | null) => void): () => void;
  /** False while the connection is down: who waits must look for himself. */
  readonly connected: boolean;
  close(): Promise<void>;
}

const againMs = 1_000;

export function openListener(url: string, name = 'syncline listen'): Listener {
  const heard = new Map<string, Set<(payload: string | null) => void>>();
  let client: pg.Client | null = null;
  let connected = false;
  let opening: Promise<void> | null = null;
  let timer: NodeJS.Timeout | undefined;
  let closed = false;

  const lost = (gone: pg.Client) => {
    if (client !== gone) return;
    client = null;
    connected = false;
    gone.end().catch(() => undefined);
    if (!closed && heard.size > 0) timer = setTimeout(open, againMs);
  };
  function open(): void {
    if (closed || client || opening) return;
    const fresh = new pg.Client({ connectionString: url, application_name: name, keepAlive: true });
    client = fresh;
    fresh.on('error', () => lost(fresh));
    fresh.on('end', () => lost(fresh));
    fresh.on('notification', ({ channel, payload }) => {
      for (const one of heard.get(channel) ?? []) one(payload ?? '');
    });
    opening = fresh
      .connect()
      .then(async () => {
        for (const channel of heard.keys()) await fresh.query(`LISTEN ${pg.escapeIdentifier(channel)}`);
        connected = true;
        for (const all of heard.values()) for (const one of all) one(null);
      })
      .catch(() => lost(fresh))
      .finally(() => {
        opening = null;
      });
  }

  return {
    on(channel, one) {
      const known = heard.get(channel);
      if (known) known.add(one);
      else {
        heard.set(channel, new Set([one]));
        const current = client;
        if (current && connected) current.query(`LISTEN ${pg.escapeIdentifier(channel)}`).catch(() => lost(current));
        // A connection that is being made has passed its channels perhaps.
        else if (opening)
          void opening.then(() => client?.query(`LISTEN ${pg.escapeIdentifier(channel)}`).catch(() => undefined));
      }
      open();
      return () => void heard.get(channel)?.delete(one);
    },
    get connected() {
      return connected;
    },
    async close() {
      closed = true;
      clearTimeout(timer);
      await opening;
      await client?.end().catch(() => undefined);
    },
  };
}
