import type { Breaker } from './breaker.ts';
import type { Courier } from './courier.ts';
import type { Feed } from './feed.ts';
import type { Ledger } from './ledger.ts';
import type { Unexplained } from './unexplained.ts';

export interface Walk {
  courier: Courier;
  ledger: Ledger;
  unexplained: Unexplained;
  breaker: Breaker;
  lanes: number;
  ending: () => boolean;
}

/** Makes the calls of one pass, several in flight, and returns when every outcome is written. */
export async function walk(feed: Feed, { courier, ledger, unexplained, breaker, lanes, ending }: Walk): Promise<void> {
  const lane = async () => {
    while (!ending()) {
      const batch = await feed.next();
      if (batch === null) return;
      await courier.deliver(batch);
      await breaker.look();
    }
  };
  const ends = await Promise.allSettled(Array.from({ length: lanes }, lane));
  const unmade = await feed.rest();
  ledger.settle(
    [],
    unmade.map(({ call }) => call),
  );
  if (ends.every(({ status }) => status === 'fulfilled')) unexplained.judge(!ending());
  await ledger.flushed();
  await breaker.look();
  for (const end of ends) if (end.status === 'rejected') throw end.reason;
}
