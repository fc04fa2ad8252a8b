interface Look<T> {
  done: Promise<T>;
  begin(): void;
  /** Who wait for it: without any it is ended. */
  waiting: number;
  over: AbortController;
}

/**
 * Looks at the same thing by many at once: whoever comes while one is under way needs one that begins later, and shares it
 * with everybody who comes until it does.
 */
export class Looks<T> {
  /** The look under way, and the one behind it. */
  private readonly lines = new Map<string, Look<T>[]>();

  /** Null when the signal aborts first; the look itself goes on for the others. */
  async look(key: string, work: (signal: AbortSignal) => Promise<T>, signal: AbortSignal): Promise<T | null> {
    if (signal.aborted) return null;
    const look = this.lookOf(key, work);
    look.waiting++;
    const aborted = new Promise<null>((done) => signal.addEventListener('abort', () => done(null), { once: true }));
    try {
      return await Promise.race([look.done, aborted]);
    } finally {
      look.waiting--;
      // One that hangs at the source would hold up those behind it.
      if (look.waiting === 0) this.leave(key, look);
    }
  }

  private lookOf(key: string, work: (signal: AbortSignal) => Promise<T>): Look<T> {
    const line = this.lines.get(key) ?? [];
    const [, next] = line;
    if (next) return next;
    const look = this.make(key, work);
    this.lines.set(key, line);
    if (line.push(look) === 1) look.begin();
    return look;
  }

  private make(key: string, work: (signal: AbortSignal) => Promise<T>): Look<T> {
    const over = new AbortController();
    let begin = () => {};
    const done = new Promise<void>((begun) => {
      begin = begun;
    }).then(() => work(over.signal));
    const look: Look<T> = { done, begin, waiting: 0, over };
    const leave = () => this.leave(key, look);
    done.then(leave, leave);
    return look;
  }

  /** Ends a look, done or not, and begins the one behind it. */
  private leave(key: string, look: Look<T>): void {
    look.over.abort();
    const line = this.lines.get(key) ?? [];
    const at = line.indexOf(look);
    if (at < 0) return;
    line.splice(at, 1);
    if (line.length === 0) this.lines.delete(key);
    else if (at === 0) line[0]?.begin();
  }
}
