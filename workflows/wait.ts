/** Waits from here on are told by their end, and may be for something that a person mends. */
const longMs = 60_000;

/** What a person is told of a wait: for how long, why, and how it is ended where that was mended meanwhile. */
export function waitNote(connection: string, ms: number, why: string | null): string {
  const seconds = `${Math.ceil(ms / 1000)} s`;
  if (why === null) return `waits ${seconds} for a rate limit: the source's, or our share of it`;
  if (ms <= longMs) return `waits ${seconds}: ${why}`;
  return `waits until ${new Date(Date.now() + ms).toISOString().slice(0, 16)}Z: ${why} Was that mended meanwhile: npx syncline resume ${connection}`;
}
