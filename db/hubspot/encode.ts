import pg from 'pg';

/** A mapped property with the SQL type of its expression. */
export interface EncodedProperty {
  name: string;
  /** SQL expression over `u`. */
  sql: string;
  /** Type of the property in HubSpot. */
  type: string;
  zone?: string;
  /** Type that Postgres gives the expression, e.g. `timestamp with time zone`. */
  sqlType: string;
}

/** The expression's type cannot become the property's. */
export class TypeMismatch extends Error {
  override name = 'TypeMismatch';
}

const numbers = ['smallint', 'integer', 'bigint', 'numeric'];
const floats = ['real', 'double precision'];
const moment = 'timestamp with time zone';
const local = 'timestamp without time zone';

/**
 * SQL that writes a value as HubSpot takes it, null for null. Days and moments are counted in SQL: a `Date` of this
 * process would shift them by its zone.
 * - date: milliseconds of midnight UTC of the calendar day, whatever zone anybody is in
 * - datetime: milliseconds since 1970
 * - number: digits and one point, no exponent, no trailing zeros
 * - enumeration: the text; of an array its values joined by `;`. One that has a `;` itself would be read as two: then the
 *   array comes out as Postgres writes it, which the check of values refuses.
 *
 * @param value name of the evaluated expression
 * @throws TypeMismatch naming place, type got and types accepted
 */
export function encoded(property: EncodedProperty, value: string): string {
  const { type, sqlType } = property;
  switch (type) {
    case 'number':
      if (numbers.includes(sqlType)) return `trim_scale(${value}::numeric)::text`;
      // The shortest text that reads back as the same double, where a cast would keep 15 digits.
      if (floats.includes(sqlType)) return `trim_scale(${value}::text::numeric)::text`;
      throw mismatch(property, 'a number (integer, numeric, double precision)');
    case 'bool':
      if (sqlType === 'boolean') return `${value}::text`;
      throw mismatch(property, 'boolean');
    case 'date':
      return day(property, value);
    case 'datetime':
      return instant(property, value);
    case 'enumeration':
      if (!sqlType.endsWith('[]')) return `${value}::text`;
      return `CASE WHEN array_to_string(${value}::text[], '') LIKE '%;%' THEN ${value}::text ELSE array_to_string(${value}::text[], ';') END`;
    default:
      if (sqlType.endsWith('[]')) throw mismatch(property, 'one value; join an array with array_to_string(…)');
      return `${value}::text`;
  }
}

/** Infinite days have no number of days; they come out as words, which the check of values refuses. */
function day(property: EncodedProperty, value: string): string {
  const { sqlType, zone } = property;
  const date =
    sqlType === 'date' || sqlType === local
      ? `${value}::date`
      : sqlType === moment && zone !== undefined
        ? `(${value} AT TIME ZONE ${pg.escapeLiteral(zone)})::date`
        : null;
  if (sqlType === moment && date === null)
    throw new TypeMismatch(
      `mapping.properties.${property.name}: a moment becomes a day only in a zone: got none, accepted "zone": "Europe/Berlin" beside "sql"`,
    );
  if (date === null) throw mismatch(property, 'date, timestamp, or timestamptz with a zone');
  return `CASE WHEN isfinite(${value}) THEN ((${date} - DATE '1970-01-01')::bigint * 86400000)::text ELSE ${value}::text END`;
}

function instant(property: EncodedProperty, value: string): string {
  const { sqlType, zone } = property;
  const at =
    sqlType === moment
      ? value
      : (sqlType === local || sqlType === 'date') && zone !== undefined
        ? `(${value}::timestamp AT TIME ZONE ${pg.escapeLiteral(zone)})`
        : null;
  if (at === null && (sqlType === local || sqlType === 'date'))
    throw new TypeMismatch(
      `mapping.properties.${property.name}: a local time becomes a moment only in a zone: got none, accepted "zone": "Europe/Berlin" beside "sql"`,
    );
  if (at === null) throw mismatch(property, 'timestamptz, or timestamp with a zone');
  return `CASE WHEN isfinite(${value}) THEN floor(extract(epoch FROM ${at}) * 1000)::bigint::text ELSE ${value}::text END`;
}

function mismatch({ name, type, sqlType }: EncodedProperty, accepted: string): TypeMismatch {
  return new TypeMismatch(
    `mapping.properties.${name}.sql: got ${sqlType} for a property of type ${type}, accepted ${accepted}`,
  );
}
