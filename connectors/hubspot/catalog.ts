import { type Mapping, type PropertyType, propertyTypes, sentProperties } from './mapping.ts';
import { checkValues } from './values.ts';

/** One property of the account, as far as it decides what may be sent. */
export interface CatalogProperty {
  type: string;
  /** Internal values of an enumeration; empty where the account lists none. */
  options: string[];
  /** HubSpot fills it itself. */
  readOnly: boolean;
  unique: boolean;
  /** How HubSpot shows it: `checkbox` takes several options, `select` and `radio` one. */
  fieldType?: string;
  /** Its options come from elsewhere, such as the owners of the account. */
  external?: boolean;
  /** When it was made. */
  createdAt?: string;
}

/** The account's property catalog by name, of the mapped properties alone. */
export type Catalog = Record<string, CatalogProperty>;

/** Something between mapping and account that would refuse every row, or (`option`, `single`) those with some values. */
export interface CatalogFault {
  property: string;
  /** `missing` can be made by `hubspot check --create`. */
  kind: 'missing' | 'type' | 'read-only' | 'not-unique' | 'option' | 'single';
  /** Place, value got, values accepted. */
  sentence: string;
}

type Json = Record<string, unknown>;
const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/**
 * Reads the answer of the property list; properties that nothing maps are left out.
 * @returns null for a body that is no property list
 */
export function readCatalog(body: unknown, wanted: readonly string[]): Catalog | null {
  if (!isObject(body) || !Array.isArray(body.results)) return null;
  const names = new Set(wanted);
  const catalog: Catalog = {};
  for (const one of body.results as unknown[]) {
    if (!isObject(one) || typeof one.name !== 'string' || !names.has(one.name) || one.archived === true) continue;
    const options = Array.isArray(one.options) ? one.options : [];
    catalog[one.name] = {
      type: String(one.type ?? ''),
      options: options.flatMap((option) =>
        isObject(option) && typeof option.value === 'string' ? [option.value] : [],
      ),
      readOnly:
        one.calculated === true ||
        (isObject(one.modificationMetadata) && one.modificationMetadata.readOnlyValue === true),
      unique: one.hasUniqueValue === true,
      fieldType: String(one.fieldType ?? ''),
      external: one.externalOptions === true,
      ...(typeof one.createdAt === 'string' && { createdAt: one.createdAt }),
    };
  }
  return catalog;
}

/** Whether one was deleted and made anew under its name: what every contact had of it is gone. */
export function madeAnew(before: Catalog, now: Catalog): boolean {
  return Object.entries(now).some(([name, { createdAt }]) => {
    const made = before[name]?.createdAt;
    return made !== undefined && createdAt !== undefined && made !== createdAt;
  });
}

/** Compares a mapping with the account. Empty: every mapped property can be written. */
export function compareCatalog(mapping: Mapping, catalog: Catalog): CatalogFault[] {
  const faults: CatalogFault[] = [];
  for (const property of sentProperties(mapping)) {
    const known = catalog[property];
    const mapped = mapping.properties[property] !== undefined;
    const isId = property === mapping.idProperty;
    const place = mapped
      ? `mapping.properties.${property}`
      : isId
        ? 'mapping.idProperty'
        : `mapping.leaveValues.${property}`;
    if (!known) {
      const listed = mapped ? '"options" beside "sql" lists its values' : 'mapping.properties has it with a type';
      faults.push({
        property,
        kind: 'missing',
        sentence: `${isId ? 'mapping.idProperty' : place}: the account has no property "${property}"${canBeMade(mapping, property) ? '' : `; --create makes it once ${listed}`}`,
      });
      continue;
    }
    const type = typeOf(mapping, property);
    if (type !== null && !fits(type, known.type))
      faults.push({
        property,
        kind: 'type',
        sentence: `${place}.type: got "${type}", accepted "${known.type}", which the property is in the account`,
      });
    if (known.readOnly)
      faults.push({
        property,
        kind: 'read-only',
        sentence: `${place}: HubSpot fills "${property}" itself; map another one`,
      });
  }
  const id = catalog[mapping.idProperty];
  if (id && !id.unique && mapping.idProperty !== 'email')
    faults.push({
      property: mapping.idProperty,
      kind: 'not-unique',
      sentence: `mapping.idProperty: got "${mapping.idProperty}", accepted email or a property made with unique values, which it cannot become later`,
    });
  return faults;
}

/**
 * What would set users with some values aside, and stops no run.
 * @param arrays properties whose SQL gives an array
 */
export function compareValues(mapping: Mapping, catalog: Catalog, arrays: ReadonlySet<string>): CatalogFault[] {
  const mapped = Object.entries(mapping.properties).flatMap(([property, { type, options = [] }]): CatalogFault[] => {
    const known = catalog[property];
    if (type !== 'enumeration' || known?.type !== type) return [];
    const place = `mapping.properties.${property}`;
    // Where the account lists none, they come from elsewhere.
    const lacking = known.options.length === 0 ? [] : options.filter((one) => !known.options.includes(one));
    const faults: CatalogFault[] = [];
    if (known.options.length === 0 && known.external === false)
      faults.push({
        property,
        kind: 'option',
        sentence: `${place}.type: the property has no options in the account, which refuses every value; add them at HubSpot (Settings > Properties > ${property})`,
      });
    if (lacking.length > 0)
      faults.push({
        property,
        kind: 'option',
        sentence: `${place}.options: the property lacks ${lacking.map((one) => `"${one}"`).join(', ')} in the account; add ${lacking.length === 1 ? 'it' : 'them'} at HubSpot (Settings > Properties > ${property})`,
      });
    if (arrays.has(property) && (known.fieldType === 'select' || known.fieldType === 'radio'))
      faults.push({
        property,
        kind: 'single',
        sentence: `${place}.sql: got an array, accepted one value, since the property takes one (${known.fieldType}); change its field type to multiple checkboxes at HubSpot (Settings > Properties > ${property})`,
      });
    return faults;
  });
  return [...mapped, ...leaving(mapping, catalog)];
}

/** A value for who left that is none of its property sets every one of them aside. */
function leaving({ leave, leaveValues }: Mapping, catalog: Catalog): CatalogFault[] {
  if (leave !== 'update') return [];
  return Object.entries(leaveValues).flatMap(([property, value]): CatalogFault[] => {
    const fault = checkValues({ [property]: value }, catalog);
    const { type, options = [] } = catalog[property] ?? {};
    const accepted = options.length > 0 ? options.slice(0, 20).map((one) => `"${one}"`) : [`a value of type ${type}`];
    const sentence = `mapping.leaveValues.${property}: got "${value}" (${fault?.code}), accepted ${accepted.join(', ')}`;
    return fault ? [{ property, kind: 'option', sentence }] : [];
  });
}

/** Type that the mapping declares; null for the id and the values of who left, which have none of their own. */
function typeOf(mapping: Mapping, property: string): PropertyType | null {
  return mapping.properties[property]?.type ?? null;
}

function fits(declared: PropertyType, actual: string): boolean {
  if (declared === actual || !propertyTypes.some((one) => one === actual)) return declared === actual;
  // Both are texts on the wire; the users' key may stand in a number.
  const texts = ['string', 'phone_number'];
  return texts.includes(declared) && texts.includes(actual);
}

/** An enumeration without options would take no value at all, and one that is nowhere but in leaveValues has no type. */
export function canBeMade({ properties, idProperty }: Mapping, name: string): boolean {
  const { type, options = [] } = properties[name] ?? {};
  if (type === undefined && name !== idProperty) return false;
  return type !== 'enumeration' || options.length > 0;
}

/** What `hubspot check --create` sends for a property that is missing. @param array its SQL gives several values */
export function newProperty(mapping: Mapping, name: string, array: boolean): Json {
  const declared = mapping.properties[name];
  const isId = name === mapping.idProperty;
  const type = declared?.type ?? 'string';
  return {
    name,
    label: declared?.label ?? name,
    groupName: 'contactinformation',
    type,
    fieldType: array && type === 'enumeration' ? 'checkbox' : fieldTypes[type],
    ...(isId && { hasUniqueValue: true }),
    ...(type === 'enumeration' && {
      options: (declared?.options ?? []).map((value, displayOrder) => ({
        label: value,
        value,
        displayOrder,
        hidden: false,
      })),
    }),
    ...(type === 'bool' && {
      options: ['true', 'false'].map((value, displayOrder) => ({ label: value, value, displayOrder, hidden: false })),
    }),
  };
}

const fieldTypes: Record<PropertyType, string> = {
  string: 'text',
  number: 'number',
  bool: 'booleancheckbox',
  date: 'date',
  datetime: 'date',
  enumeration: 'select',
  phone_number: 'phonenumber',
};
