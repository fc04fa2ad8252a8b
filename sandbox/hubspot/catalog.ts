/** A property of the simulated account. */
export interface SandboxProperty {
  name: string;
  label: string;
  type: string;
  fieldType: string;
  groupName: string;
  options: { label: string; value: string; displayOrder: number; hidden: boolean }[];
  hasUniqueValue: boolean;
  readOnly: boolean;
  createdAt: string;
}

const made = (name: string, type: string, more: Partial<SandboxProperty> = {}): SandboxProperty => ({
  name,
  label: name,
  type,
  fieldType:
    type === 'bool' ? 'booleancheckbox' : type === 'enumeration' ? 'select' : type === 'string' ? 'text' : type,
  groupName: 'contactinformation',
  options: [],
  hasUniqueValue: false,
  readOnly: false,
  createdAt: '2020-01-01T00:00:00.000Z',
  ...more,
});

const options = (...values: string[]) =>
  values.map((value, displayOrder) => ({ label: value, value, displayOrder, hidden: false }));

/** What a fresh account has, and some properties of somebody's own. */
export function startCatalog(): SandboxProperty[] {
  return [
    made('email', 'string'),
    made('firstname', 'string'),
    made('lastname', 'string'),
    made('phone', 'string', { fieldType: 'phonenumber' }),
    made('hs_object_id', 'number', { readOnly: true }),
    made('createdate', 'datetime', { readOnly: true }),
    made('lifecyclestage', 'enumeration', { options: options('subscriber', 'lead', 'customer') }),
    made('app_user_id', 'string', { hasUniqueValue: true }),
    made('app_plan', 'enumeration', { options: options('free', 'team', 'enterprise') }),
    made('app_interests', 'enumeration', { fieldType: 'checkbox', options: options('news', 'offers', 'events') }),
    made('app_signed_up', 'date'),
    made('app_seen_at', 'datetime'),
    made('app_orders', 'number'),
    made('app_active', 'bool', { options: options('true', 'false') }),
    made('app_company', 'string'),
    made('app_note', 'string'),
  ];
}

const types = ['bool', 'date', 'datetime', 'enumeration', 'number', 'phone_number', 'string'];

/** A property as somebody asks for it to be made; a sentence where it cannot be. */
export function newSandboxProperty(input: Record<string, unknown>): SandboxProperty | string {
  const { name, label, type, fieldType, groupName } = input;
  for (const [key, value] of Object.entries({ name, label, type, fieldType, groupName }))
    if (typeof value !== 'string' || value === '') return `Some required fields were not set: [${key}]`;
  if (!types.includes(String(type))) return `Cannot deserialize value of type PropertyType from String "${type}"`;
  return made(String(name), String(type), {
    label: String(label),
    fieldType: String(fieldType),
    options: (input.options as SandboxProperty['options']) ?? [],
    hasUniqueValue: input.hasUniqueValue === true,
    createdAt: new Date().toISOString(),
  });
}

/** One failed property, as it stands inside messages. */
export interface Failed {
  isValid: false;
  message: string;
  error: string;
  name: string;
}

const dayMs = 86_400_000;
const failed = (name: string, error: string, message: string): Failed => ({ isValid: false, message, error, name });

/** Judges one value by the type of its property. @param rule what an administrator wants it to match */
export function judgeValue(property: SandboxProperty, value: string, rule?: RegExp): Failed | null {
  const { name, type } = property;
  if (value === '') return null;
  if (rule && !rule.test(value))
    return failed(name, 'VALIDATION_RULE', `${value} does not meet a rule of the account for ${name}`);
  if (name === 'email' && !/^[^\s@,]+@[a-z0-9-]+(\.[a-z0-9-]+)*\.[a-z]{2,}$/i.test(value))
    return failed(name, 'INVALID_EMAIL', `Email address ${value} is invalid`);
  switch (type) {
    case 'enumeration': {
      const parts = property.fieldType === 'checkbox' ? value.split(';') : [value];
      if (parts.every((part) => property.options.some((option) => option.value === part))) return null;
      const known = property.options.map((option) => option.value);
      return failed(name, 'INVALID_OPTION', `${value} was not one of the allowed options: [${JSON.stringify(known)}]`);
    }
    case 'number':
      return /^-?\d+(\.\d+)?$/.test(value) ? null : failed(name, 'INVALID_NUMBER', `${value} was not a valid number.`);
    case 'bool':
      return ['true', 'false'].includes(value)
        ? null
        : failed(name, 'INVALID_BOOLEAN', `${value} was not a valid boolean`);
    case 'date': {
      if (/^\d{4}-\d{2}-\d{2}$/.test(value)) return null;
      if (!/^-?\d+$/.test(value)) return failed(name, 'INVALID_DATE', `${value} was not a valid date.`);
      const rest = ((Number(value) % dayMs) + dayMs) % dayMs;
      if (rest === 0) return null;
      const clock = new Date(rest).toISOString().slice(11, 23).replace(/^0/, '');
      return failed(name, 'INVALID_DATE', `${value} is at ${clock} UTC, not midnight!`);
    }
    case 'datetime':
      return /^-?\d+$/.test(value) || !Number.isNaN(Date.parse(value))
        ? null
        : failed(name, 'INVALID_DATE', `${value} was not a valid date.`);
    default:
      return value.length <= 65_536
        ? null
        : failed(name, 'PROPERTY_VALUE_TOO_LONG', `The value of ${name} is too long`);
  }
}

/** A value as a person reads it on the contact's page. */
export function shownValue({ type }: SandboxProperty, value: string): string {
  if (!/^-?\d+$/.test(value)) return value;
  if (type === 'date') return new Date(Number(value)).toISOString().slice(0, 10);
  return type === 'datetime' ? new Date(Number(value)).toISOString() : value;
}
