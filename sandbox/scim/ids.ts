/**
 * Ids that carry their row number. A directory of a million people needs no id index: the number is read back from the
 * id, and the rest of the id proves that it was made here.
 */

/** Which table an id belongs to; the same row number gives different ids in both. */
export type Kind = 'User' | 'Group';

/** A 32-bit mix that can be undone (every input has its own output), so that ids look random and never collide. */
export function mix(input: number): number {
  let x = input | 0;
  x = Math.imul(x ^ (x >>> 16), 0x7feb352d);
  x = Math.imul(x ^ (x >>> 15), 0x846ca68b);
  return (x ^ (x >>> 16)) >>> 0;
}

/** The inverse of {@link mix}. */
export function unmix(output: number): number {
  let x = output | 0;
  x = Math.imul(x ^ (x >>> 16), 0x43021123);
  x = Math.imul(x ^ (x >>> 15) ^ (x >>> 30), 0x1d69e2a5);
  return (x ^ (x >>> 16)) >>> 0;
}

/** A repeatable number in 0..2³²−1 for one purpose (`salt`) of one row. */
export function draw(seed: number, serial: number, salt: number): number {
  return mix(mix(Math.imul(seed, 0x9e3779b1) ^ serial) + Math.imul(salt, 0x85ebca6b));
}

/** The hex text of every 16-bit number: a directory writes millions of ids. */
const words = Array.from({ length: 65_536 }, (_, value) => value.toString(16).padStart(4, '0'));
const keyOf = (seed: number, kind: Kind) => mix(Math.imul(seed, 2) + (kind === 'User' ? 0 : 1));

/** The id of row `serial`: shaped like a version-4 UUID, the same for the same seed. */
export function idOf(seed: number, kind: Kind, serial: number): string {
  const key = keyOf(seed, kind);
  const a = mix(serial ^ key);
  const b = mix(a + key);
  const c = mix(a ^ 0x5bd1e995);
  const version = words[0x4000 | (b & 0xfff)];
  const variant = words[0x8000 | (c & 0x3fff)];
  const tail = `${words[c >>> 16]}${words[(b ^ c) >>> 16]}${words[(a ^ c) & 0xffff]}`;
  return `${words[a >>> 16]}${words[a & 0xffff]}-${words[b >>> 16]}-${version}-${variant}-${tail}`;
}

/** The row number inside an id, or undefined when no directory with this seed made the id. */
export function serialOf(seed: number, kind: Kind, id: string): number | undefined {
  if (!/^[0-9a-f]{8}-/.test(id)) return undefined;
  const serial = (unmix(Number.parseInt(id.slice(0, 8), 16)) ^ keyOf(seed, kind)) >>> 0;
  return idOf(seed, kind, serial) === id ? serial : undefined;
}
