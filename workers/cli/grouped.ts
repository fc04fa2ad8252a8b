import { counted } from './words.ts';

/**
 * Resources that fare alike as one line a reason: a small account lacks some 70 products, each with a reason of its own
 * name. Of several the name in the reason is left out.
 */
export function byReason(all: readonly { type: string; reason: string | null }[], how: string): string[] {
  const groups = new Map<string, { types: string[]; reason: string }>();
  for (const { type, reason } of all) {
    const key = withoutName(type, reason ?? '');
    const group = groups.get(key) ?? { types: [], reason: reason ?? 'no reason is told' };
    group.types.push(type);
    groups.set(key, group);
  }
  return [...groups].map(([key, { types, reason }]) =>
    types.length === 1
      ? `${types[0]} ${how}: ${reason}`
      : `${counted(types.length, 'resource')} ${how} (${types.join(', ')}): ${key}`,
  );
}

/** The reason without the resource, its path and the step that met it. */
function withoutName(type: string, reason: string): string {
  return reason
    .replace(new RegExp(`^${type} (scan|compare): `), '')
    .replace(/^.*?(?=the connection may not read)/, '')
    .replace(/^\S+ refused the call for \S+/, 'the source refused the call for each')
    .replace(/may not read \S+/, 'may not read them');
}
