import type { Store } from './store.ts';

/** What can be done to objects of a sandbox. */
export interface Changes {
  stores: Record<string, Store>;
  create(list: string, request?: string): string;
  update(list: string, id: string, request?: string): void;
  remove(list: string, id: string): void;
  cancel(id: string): void;
}

/** One change: half of them to objects of late, so that one object changes several times in a second. */
export function changeOne(sandbox: Changes, list: string, random: () => number): void {
  const store = sandbox.stores[list] as Store;
  const { events } = store.shape;
  const dice = random();
  const near = Math.min(8, store.length);
  const n = Math.floor(random() < 0.5 ? Math.max(0, store.length - 1 - random() * near) : random() * store.length);
  if (store.length === 0 || (dice < 0.2 && events.created)) sandbox.create(list);
  else if (store.isDeleted(n)) return;
  else if (dice < 0.3 && events.deleted) sandbox.remove(list, store.id(n));
  else if (dice < 0.35 && events.canceled && !store.isCanceled(n)) sandbox.cancel(store.id(n));
  else if (events.updated) sandbox.update(list, store.id(n));
}
