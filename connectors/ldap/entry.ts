/** Values of an entry by attribute name in lower case. Text, or bytes where the value is no UTF-8 or the attribute is binary. */
export class LdapEntry {
  readonly dn: string;
  readonly values: ReadonlyMap<string, readonly (string | Buffer)[]>;
  constructor(dn: string, values: ReadonlyMap<string, readonly (string | Buffer)[]>) {
    this.dn = dn;
    this.values = values;
  }

  first(attribute: string): string | Buffer | undefined {
    return this.values.get(attribute.toLowerCase())?.[0];
  }

  /** What syncline.rejects keeps of it. */
  toJSON(): Record<string, unknown> {
    const shown = [...this.values].map(([name, list]) => [
      name,
      list.map((value) => (typeof value === 'string' ? value : `<${value.length} bytes>`)),
    ]);
    return { dn: this.dn, ...Object.fromEntries(shown) };
  }
}

/** Attributes whose values are bytes. */
export const binaryAttributes: ReadonlySet<string> = new Set(['objectguid']);

/** Lasting id of an entry as text; undefined when it has none, or one of another kind. */
export function idOf(entry: LdapEntry, idAttribute: string): string | undefined {
  const value = entry.first(idAttribute);
  if (typeof value === 'string') return value;
  return value && binaryAttributes.has(idAttribute.toLowerCase()) ? (guidText(value) ?? undefined) : undefined;
}

/** An id as bytes where the server keeps it so; for filters. Null when the text is no id of this kind. */
export function idValue(idAttribute: string, id: string): string | Buffer | null {
  return binaryAttributes.has(idAttribute.toLowerCase()) ? guidBytes(id) : id;
}

/** The 16 bytes of objectGUID as text: its first three parts stand little-endian. Null for any other length. */
export function guidText(bytes: Buffer): string | null {
  if (bytes.length !== 16) return null;
  const hex = swapGuid(bytes).toString('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}

export function guidBytes(guid: string): Buffer | null {
  const hex = guid.replaceAll('-', '');
  return /^[0-9a-f]{32}$/i.test(hex) ? swapGuid(Buffer.from(hex, 'hex')) : null;
}

function swapGuid(bytes: Buffer): Buffer {
  const swapped = Buffer.from(bytes);
  swapped.subarray(0, 4).reverse();
  swapped.subarray(4, 6).reverse();
  swapped.subarray(6, 8).reverse();
  return swapped;
}
