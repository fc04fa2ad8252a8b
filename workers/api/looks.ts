interface Look<T> {
  done: Promise<T>;
  begun: boolean;
}

/**
 * Looks at the same thing by many at once: whoever comes while one is under way needs one that begins later, and shares it
 * with everybody who comes until it does.
 */
export class Looks<T> {
  private readonly open = new Map<string, { now: Look<T>; next: Look<T> | null }>();

  /** Null when the signal aborts first; the look itself goes on for the others. */
  async look(key: string, work: (signal: AbortSignal) => Promise<T>, signal: AbortSignal): Promise<T | null> {
    const look = this.lookOf(key, work);
    const aborted = new Promise<null>((done) => {
      if (signal.aborted) done(null);
      signal.addEventListener('abort', () => done(null), { once: true });
    });
    return Promise.race([look.done, aborted]);
  }

  private lookOf(key: string, work: (signal: AbortSignal) => Promise<T>): Look<T> {
    const known = this.open.get(key);
    if (known?.next) return known.next;
    if (known) {
      const next: Look<T> = {
        begun: false,
        done: known.now.done
          .then(
            () => undefined,
            () => undefined,
          )
          .then(() => this.run(key, next, work)),
      };
      known.next = next;
      next.done.catch(() => undefined);
      return next;
    }
    const now: Look<T> = { begun: true, done: Promise.resolve().then(() => work(AbortSignal.timeout(longestMs))) };
    this.open.set(key, { now, next: null });
    this.closeAfter(key, now);
    return now;
  }

  private run(key: string, look: Look<T>, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    look.begun = true;
    this.open.set(key, { now: look, next: null });
    this.closeAfter(key, look);
    return work(AbortSignal.timeout(longestMs));
  }

  private closeAfter(key: string, look: Look<T>): void {
    const close = () => {
      const known = this.open.get(key);
      if (known?.now === look && known.next === null) this.open.delete(key);
    };
    queueMicrotask(() => look.done.then(close, close));
  }
}

/** Longer than any caller waits. */
const longestMs = 60_000;
