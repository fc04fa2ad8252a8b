/**
 * Names of directory entries (RFC 4514) in one normal form, so that two ways to write a name are one Map key. Servers
 * answer the same entry as `cn=Smith\2C Søren` in one place and `cn=Smith\, Søren` in another.
 *
 * Normal form: types in lower case by their short name, values unescaped, NFKC, lower case, spaces collapsed (the
 * matching of caseIgnoreMatch); `,` stands only between RDNs, special and control characters are `\xx`, the parts of a
 * multi-valued RDN are sorted.
 */

/** Types that servers write by number or long name, as RFC 4519 names them. */
const shortNames: Record<string, string> = {
  '2.5.4.3': 'cn',
  '2.5.4.4': 'sn',
  '2.5.4.6': 'c',
  '2.5.4.7': 'l',
  '2.5.4.8': 'st',
  '2.5.4.9': 'street',
  '2.5.4.10': 'o',
  '2.5.4.11': 'ou',
  '0.9.2342.19200300.100.1.1': 'uid',
  '0.9.2342.19200300.100.1.25': 'dc',
  commonname: 'cn',
  surname: 'sn',
  countryname: 'c',
  localityname: 'l',
  stateorprovincename: 'st',
  streetaddress: 'street',
  organizationname: 'o',
  organizationalunitname: 'ou',
  userid: 'uid',
  domaincomponent: 'dc',
};

const typeName = /^([a-z][a-z0-9-]*|\d+(\.\d+)+)$/;
const hexPair = /^[0-9a-f]{2}$/i;
const utf8 = new TextDecoder('utf-8', { fatal: true });

/** Normal form of a name; null when the text is no name. The empty name (the root) is ''. */
export function dnKey(text: string): string | null {
  if (text.trim() === '') return '';
  const keys: string[] = [];
  for (const rdn of splitAt(text, ',;')) {
    const key = rdnKey(rdn);
    if (key === null) return null;
    keys.push(key);
  }
  return keys.join(',');
}

/** Normal form of one RDN, e.g. `cn=anna+l=oslo`; null when the text is none. */
export function rdnKey(rdn: string): string | null {
  const parts: string[] = [];
  for (const part of splitAt(rdn, '+')) {
    const ava = readAva(part);
    if (ava === null) return null;
    parts.push(`${ava.type}=${encode(fold(ava.value))}`);
  }
  return parts.length === 1 ? (parts[0] as string) : parts.sort().join('+');
}

/** Value of the first RDN as it is shown to people, e.g. `Sales, North` of `ou=Sales\, North,dc=example`; null when there is none. */
export function rdnValue(dn: string): string | null {
  const first = splitAt(dn.slice(0, firstRdnEnd(dn)), '+')[0] as string;
  return readAva(first)?.value.trim() || null;
}

/** Where the first RDN of a name ends: the index of its separator, or the length of a name of one RDN. */
export function firstRdnEnd(dn: string): number {
  return separator(dn, 0, ',;');
}

function splitAt(text: string, separators: string): string[] {
  const parts: string[] = [];
  for (let from = 0; ; ) {
    const end = separator(text, from, separators);
    parts.push(text.slice(from, end));
    if (end === text.length) return parts;
    from = end + 1;
  }
}

/** Next separator that is neither escaped nor inside quotes (RFC 2253 let values stand in quotes, `;` separate). */
function separator(text: string, from: number, separators: string): number {
  let quoted = false;
  for (let i = from; i < text.length; i++) {
    const c = text[i] as string;
    if (c === '\\') i += 1;
    else if (c === '"') quoted = !quoted;
    else if (!quoted && separators.includes(c)) return i;
  }
  return text.length;
}

function readAva(text: string): { type: string; value: string } | null {
  const equals = text.indexOf('=');
  if (equals < 0) return null;
  const type = text
    .slice(0, equals)
    .trim()
    .toLowerCase()
    .replace(/^oid\./, '');
  if (!typeName.test(type)) return null;
  const value = readValue(text.slice(equals + 1));
  return value === null ? null : { type: shortNames[type] ?? type, value };
}

function readValue(raw: string): string | null {
  const text = raw.trim();
  if (text.startsWith('#')) return fromBer(text.slice(1));
  if (text.length > 1 && text.startsWith('"') && text.endsWith('"')) return unescapeValue(text.slice(1, -1));
  // The last space may be an escaped one, whose backslash must not stand alone.
  return unescapeValue(text.endsWith('\\') ? `${text} ` : text);
}

/** `\2C` and `\,` alike; pairs that follow each other are one UTF-8 text. */
function unescapeValue(text: string): string | null {
  if (!text.includes('\\')) return text;
  let out = '';
  for (let i = 0; i < text.length; ) {
    if (text[i] !== '\\') {
      out += text[i++];
      continue;
    }
    const bytes: number[] = [];
    while (text[i] === '\\' && hexPair.test(text.slice(i + 1, i + 3))) {
      bytes.push(Number.parseInt(text.slice(i + 1, i + 3), 16));
      i += 3;
    }
    if (bytes.length > 0) out += fromUtf8(Buffer.from(bytes));
    else if (i + 1 >= text.length) return null;
    else {
      out += text[i + 1];
      i += 2;
    }
  }
  return out;
}

/** A value as the hex of its BER encoding. Text types are decoded; what is no text stays hex. */
function fromBer(hex: string): string | null {
  if (!/^([0-9a-f]{2})+$/i.test(hex)) return null;
  const bytes = Buffer.from(hex, 'hex');
  const isText = [0x04, 0x0c, 0x13, 0x16].includes(bytes[0] as number);
  const short = bytes[1] ?? 0;
  // Lengths from 128 on are written as the count of their bytes and those bytes.
  const head = short < 0x80 ? 2 : 2 + (short & 0x7f);
  const length = short < 0x80 ? short : Number.parseInt(bytes.toString('hex', 2, head), 16);
  return isText && bytes.length === head + length ? fromUtf8(bytes.subarray(head)) : `#${hex.toLowerCase()}`;
}

function fromUtf8(bytes: Buffer): string {
  try {
    return utf8.decode(bytes);
  } catch (error) {
    if (error instanceof TypeError) return `#${bytes.toString('hex')}`;
    throw error;
  }
}

function fold(value: string): string {
  const plain = /^[\x20-\x7e]*$/.test(value) ? value : value.normalize('NFKC');
  return plain.toLowerCase().replace(/\s+/g, ' ').trim();
}

function encode(value: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is escaped
  return value.replace(/[\u0000-\u001f\u007f-\u009f,+"\\<>;=#]/g, (c) => {
    return `\\${c.charCodeAt(0).toString(16).padStart(2, '0')}`;
  });
}
