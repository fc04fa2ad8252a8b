/** A wait that can be cut short. */
export class Wake {
  private go: (() => void) | null = null;
  private early = false;

  up(): void {
    this.early = true;
    this.go?.();
  }

  async wait(ms: number, signal: AbortSignal): Promise<void> {
    if (!this.early && ms > 0)
      await new Promise<void>((done) => {
        const end = () => {
          clearTimeout(timer);
          signal.removeEventListener('abort', end);
          done();
        };
        const timer = setTimeout(end, ms);
        this.go = end;
        signal.addEventListener('abort', end, { once: true });
      });
    this.go = null;
    this.early = false;
  }
}
