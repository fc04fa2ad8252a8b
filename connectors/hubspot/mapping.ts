import * as v from 'valibot';

/** Types of properties as HubSpot names them. */
export const propertyTypes = ['string', 'number', 'bool', 'date', 'datetime', 'enumeration', 'phone_number'] as const;
export type PropertyType = (typeof propertyTypes)[number];

const named = /^[a-z_][a-z0-9_$]{0,62}$/i;
const column = v.pipe(v.string(), v.regex(named, 'the name of a column such as id'));
const tableName = v.pipe(
  v.string(),
  v.regex(/^[a-z_][a-z0-9_$]{0,62}\.[a-z_][a-z0-9_$]{0,62}$/i, 'schema and table such as app.users'),
);
const property = v.pipe(
  v.string(),
  v.regex(/^[a-z][a-z0-9_]{0,99}$/, 'the internal name of a property: a-z, 0-9 and _, beginning with a letter'),
);
const expression = v.pipe(v.string(), v.minLength(1), v.maxLength(10_000));
const zone = v.pipe(v.string(), v.regex(/^[A-Za-z0-9_+/-]{1,64}$/, 'a zone such as Europe/Berlin'));

/** One property: what is sent for it. */
export const propertySchema = v.strictObject({
  /** SQL expression over a row of `from`, which is called `u`: `u.email`, `(SELECT max(o.at) FROM app.orders o WHERE o.user_id = u.id)`. */
  sql: expression,
  /** Type of the property as HubSpot names it: `string`, `number`, `bool` (`boolean` means the same), `date`, `datetime`, `enumeration` or `phone_number`. `check` compares it with the account's. */
  type: v.pipe(
    v.picklist([...propertyTypes, 'boolean']),
    v.transform((type): PropertyType => (type === 'boolean' ? 'bool' : type)),
  ),
  /** Zone in which a moment becomes a day, or a local time a moment. Needed where the SQL gives one and the property is the other. */
  zone: v.optional(zone),
  /** Label of the property where `check --create` makes it. Default: its name. */
  label: v.optional(v.pipe(v.string(), v.minLength(1), v.maxLength(250))),
  /** Options of an enumeration where `check --create` makes it; `check` names those that the account lacks. */
  options: v.optional(v.array(v.pipe(v.string(), v.minLength(1), v.maxLength(250)))),
});

/** A table besides `from` that expressions read: whose row changes which users. */
export const tableSchema = v.strictObject({
  /** Column of this table that leads to users. */
  key: column,
  /** Column of `from` that holds the same value. Default: the users' key. */
  user: v.optional(column),
  /** Columns that count although no expression names them (a function reads them). Default: those the expressions read. */
  columns: v.optional(v.array(column), []),
});

/**
 * Which rows of our database become which contacts. The tables stand in the database of Syncline itself, in a schema of
 * their own; `capture install` and `hubspot check` prove that they do.
 */
export const mappingSchema = v.strictObject({
  /** Table of the users, `schema.table`. Inside expressions its row is `u`. */
  from: tableName,
  /** Column that names a user for ever: primary key or unique. */
  key: column,
  /** Property with unique values that holds the user's key, or a mapped one such as `email`, whose value is then the id. */
  idProperty: property,
  /** SQL condition over `u`: who is in scope. Default: everybody. */
  where: v.optional(expression),
  /**
   * Who leaves the scope, or is deleted: `leave` (default) leaves the contact as it is, `archive` archives it, `update`
   * sends the values once more, with `leaveValues` over them.
   */
  leave: v.optional(v.picklist(['update', 'archive', 'leave']), 'leave'),
  /** Values for who left, such as {"app_status": "gone"}; of a deleted user they are all that is sent. A property that is not mapped keeps its value when somebody comes back. */
  leaveValues: v.optional(v.record(property, v.string()), {}),
  /** Property → what is sent for it. */
  properties: v.pipe(
    v.record(property, propertySchema),
    v.check((all) => Object.keys(all).length > 0, 'at least one property'),
    v.check((all) => Object.keys(all).length <= 500, 'at most 500 properties'),
  ),
  /** Other tables that the expressions read, by `schema.table`. */
  tables: v.optional(v.record(tableName, tableSchema), {}),
  /** Columns of `from` that count although no expression names them. */
  columns: v.optional(v.array(column), []),
});

export type Mapping = v.InferOutput<typeof mappingSchema>;
export type MappedProperty = v.InferOutput<typeof propertySchema>;

/** True where the id is the value of a mapped property, and not the user's key. */
export function idIsMapped({ idProperty, properties }: Mapping): boolean {
  return Object.hasOwn(properties, idProperty);
}

/** Names of everything that may be sent: mapped properties, values for who left, and the id. In one order for ever. */
export function sentProperties({ properties, leaveValues, idProperty }: Mapping): string[] {
  return [...new Set([...Object.keys(properties), ...Object.keys(leaveValues), idProperty])].sort();
}
