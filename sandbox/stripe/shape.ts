/** What an object looks like at a version, and how its list behaves. No object is kept: all of it follows from its number. */
export interface Shape {
  /** Name of the list: `/v1/customers`. */
  path: string;
  object: string;
  prefix: string;
  /** The list takes a range of `created`. */
  created: boolean;
  /** Names of events; absent: such a change is told to nobody. */
  events: { created?: string; updated?: string; deleted?: string; canceled?: string };
  /** What is asked for by id after it was deleted: a stub, or nothing. */
  stub: boolean;
  /** Parameters of the list besides those of every list. */
  params: readonly string[];
  /** Fields besides id, object, created and livemode. */
  fields(n: number, version: number): Record<string, unknown>;
  lists: readonly NestedShape[];
}

export interface NestedShape {
  field: string;
  /** `inline`: always in the object; `expand`: when it is asked for. */
  mode: 'inline' | 'expand';
  /** Path behind the object's, or a query `?subscription=`. */
  route: string;
  prefix: string;
  object: string;
  /** Numbers of the items at a version, in their order. */
  items(n: number, version: number): number[];
  fields(n: number, item: number, version: number): Record<string, unknown>;
}

/** A number that looks random and is the same each time. */
export function scatter(n: number, salt: number): number {
  let t = Math.imul(n + 0x9e3779b9, 0x85ebca6b) ^ Math.imul(salt + 1, 0xc2b2ae35);
  t = Math.imul(t ^ (t >>> 15), 0x2c1b3c6d);
  return (t ^ (t >>> 13)) >>> 0;
}
