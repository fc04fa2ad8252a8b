import { SyncError } from '../../errors.ts';

/**
 * Reads CSV (RFC 4180): the first row names the fields; fields may be quoted, a quote in them is doubled, and quoted ones
 * may hold commas and line ends. Values stay texts. A row of another length comes as the list of its fields.
 * @throws BadAnswer for a header that is empty or names a field twice, and for a quote that is never closed
 */
export function* readCsv(name: string, text: string): Generator<Record<string, string> | string[]> {
  const rows = readRows(name, text);
  const header = rows.next().value;
  if (header === undefined) return;
  const twice = header.findIndex((field, index) => field === '' || header.indexOf(field) < index);
  if (twice >= 0)
    throw new SyncError('BadAnswer', `${name}: column ${twice + 1} of the file has no name or the name of another one`);
  for (const row of rows) {
    if (row.length === 1 && row[0] === '' && header.length > 1) continue;
    yield row.length === header.length
      ? Object.fromEntries(header.map((field, index) => [field, row[index] ?? '']))
      : row;
  }
}

function* readRows(name: string, text: string): Generator<string[], undefined> {
  let row: string[] = [];
  for (let at = 0; at < text.length; ) {
    const field = text[at] === '"' ? quotedField(name, text, at) : plainField(text, at);
    row.push(field.value);
    at = field.end;
    if (text[at] === ',') {
      at += 1;
      // A comma at the very end of the file opens one more, empty field.
      if (at < text.length) continue;
      row.push('');
    }
    if (text[at] === '\r') at += 1;
    if (text[at] === '\n') at += 1;
    yield row;
    row = [];
  }
  return undefined;
}

interface Field {
  value: string;
  /** Position of what stands behind it: a comma, a line end, or the end of the text. */
  end: number;
}

const fieldEnd = /[,\r\n]/g;

function plainField(text: string, from: number): Field {
  fieldEnd.lastIndex = from;
  const end = fieldEnd.exec(text)?.index ?? text.length;
  return { value: text.slice(from, end), end };
}

/** What stands between the closing quote and the next comma belongs to the field: writers that are not strict leave it there. */
function quotedField(name: string, text: string, from: number): Field {
  let value = '';
  for (let at = from + 1; ; ) {
    const quote = text.indexOf('"', at);
    if (quote < 0) throw new SyncError('BadAnswer', `${name}: the file ends inside a quoted field: it is cut`);
    value += text.slice(at, quote);
    if (text[quote + 1] === '"') {
      value += '"';
      at = quote + 2;
      continue;
    }
    const rest = plainField(text, quote + 1);
    return { value: value + rest.value, end: rest.end };
  }
}
