import type { Stream } from '../../connectors/shape.ts';

/** Joins the parts of a key. Unescaped, ("x/y", "z") and ("x", "y/z") would be one row. */
export const joinKey = (parts: readonly string[]): string =>
  parts.length === 1 ? (parts[0] as string) : parts.map((part) => part.replace(/[\\/]/g, '\\$&')).join('/');

/** The id that a record was asked for by; it begins the keys that are made of it. */
export function overOf({ key }: Stream, id: string): string {
  const others = [key].flat().length - 1;
  if (others === 0) return id;
  const parts = id.match(/(?:\\.|[^/])+/gs) ?? [];
  return parts.slice(0, -others).join('/').replace(/\\(.)/gs, '$1');
}
