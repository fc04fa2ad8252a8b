import { scatter } from './shape.ts';

/** Numbers from 0 to 1 that depend on the seed alone. */
export function randomOf(seed: number): () => number {
  let at = seed;
  return () => scatter(at++, seed) / 2 ** 32;
}

/** Seconds at which objects were made, ascending. */
export function momentsOf(count: number, from: number, to: number, spread: 'even' | 'clustered'): Uint32Array {
  const moments = new Uint32Array(count);
  const span = to - from;
  for (let n = 0; n < count; n++) {
    const share = (n + 0.5) / count;
    const hot = spread === 'clustered' && n % 100 !== 0;
    moments[n] = Math.floor(from + span * (hot ? 0.5 + share * 0.01 : share));
  }
  return moments.sort();
}
