import { type Failed, judgeValue, type SandboxProperty, shownValue } from './catalog.ts';

/** A contact as the account holds it. */
export interface Contact {
  id: string;
  properties: Record<string, string>;
  archived: boolean;
  /** Calls that wrote it. */
  writes: number;
  createdAt: string;
  updatedAt: string;
}

/** Why a row was not written. */
export interface RowError {
  category: 'VALIDATION_ERROR' | 'CONFLICT' | 'OBJECT_NOT_FOUND';
  message: string;
  failed: Failed[];
  existingId?: string;
  /** Names the loser of an update by id alone. */
  ids?: string[];
}

export interface RowInput {
  id?: string;
  idProperty?: string;
  objectWriteTraceId?: string;
  properties?: Record<string, string>;
}

export type Written = { contact: Contact; isNew: boolean } | { error: RowError };

const plain = (property: string, value: string) => (property === 'email' ? value.toLowerCase() : value);

let last = { at: 0, text: '' };

/** This moment as a text; the rows of one batch share it. */
function moment(): string {
  const at = Date.now();
  if (at !== last.at) last = { at, text: new Date(at).toISOString() };
  return last.text;
}

/** The contacts of the account, with their unique values. */
export class Contacts {
  readonly catalog = new Map<string, SandboxProperty>();
  /** Rules of the account's administrators, by property. */
  readonly rules = new Map<string, RegExp>();
  private readonly byId = new Map<string, Contact>();
  private readonly unique = new Map<string, Map<string, Contact>>();
  private next = 1_001;

  constructor(properties: readonly SandboxProperty[]) {
    for (const property of properties) this.catalog.set(property.name, property);
  }

  isUnique(property: string): boolean {
    return property === 'email' || this.catalog.get(property)?.hasUniqueValue === true;
  }

  find(property: string, value: string): Contact | undefined {
    if (property === 'hs_object_id') return this.living(this.byId.get(value));
    return this.living(this.unique.get(property)?.get(plain(property, value)));
  }

  /** Living contacts by a unique property, as a person sees them. */
  seen(property: string): Map<string, Record<string, string>> {
    const seen = new Map<string, Record<string, string>>();
    for (const contact of this.byId.values()) {
      const key = contact.properties[property];
      if (contact.archived || key === undefined) continue;
      const shown = Object.entries(contact.properties).map(([name, value]) => {
        const known = this.catalog.get(name);
        return [name, known ? shownValue(known, value) : value];
      });
      seen.set(key, Object.fromEntries(shown));
    }
    return seen;
  }

  /** Every contact, archived ones too. */
  all(): Iterable<Contact> {
    return this.byId.values();
  }

  /** What a row would be refused for; null when it can be written. */
  judge(input: RowInput, target: Contact | undefined): RowError | null {
    const failed: Failed[] = [];
    const { properties = {} } = input;
    for (const name in properties) {
      const property = this.catalog.get(name);
      const fault = property && judgeValue(property, properties[name]!, this.rules.get(name));
      if (fault) failed.push(fault);
    }
    if (failed.length > 0)
      return {
        category: 'VALIDATION_ERROR',
        message: `Property values were not valid: ${JSON.stringify(failed)}`,
        failed,
      };
    for (const name in properties) {
      const value = properties[name]!;
      // By its id it was found.
      const asked = name === input.idProperty && value === input.id;
      if (value === '' || asked || !this.isUnique(name)) continue;
      const owner = this.find(name, value);
      if (owner && owner !== target)
        return {
          category: 'CONFLICT',
          message: `Contact already exists. Existing ID: ${owner.id}`,
          failed: [],
          existingId: owner.id,
        };
    }
    return null;
  }

  upsert(input: RowInput): Written {
    const property = input.idProperty ?? 'hs_object_id';
    const id = String(input.id);
    const target = this.find(property, id);
    const error = this.judge(input, target);
    if (error) return { error };
    const isNew = target === undefined;
    const contact = target ?? this.make();
    this.write(contact, { ...input.properties, [property]: plain(property, id) });
    return { contact, isNew };
  }

  create(input: RowInput): Written {
    const error = this.judge(input, undefined);
    if (error) return { error };
    const contact = this.make();
    this.write(contact, input.properties ?? {});
    return { contact, isNew: true };
  }

  update(input: RowInput): Written {
    const id = String(input.id);
    const target = this.find(input.idProperty ?? 'hs_object_id', id);
    if (!target)
      return {
        error: {
          category: 'OBJECT_NOT_FOUND',
          message: 'Could not get some CONTACT objects, they may be deleted or not exist.',
          failed: [],
          ids: [id],
        },
      };
    const error = this.judge(input, target);
    if (error) return { error };
    this.write(target, input.properties ?? {});
    return { contact: target, isNew: false };
  }

  archive(id: string): void {
    const contact = this.living(this.byId.get(id));
    if (!contact) return;
    contact.archived = true;
    contact.writes += 1;
    // What was unique is free again.
    for (const [name, values] of this.unique) {
      const value = contact.properties[name];
      if (value !== undefined && values.get(plain(name, value)) === contact) values.delete(plain(name, value));
    }
  }

  private living(contact: Contact | undefined): Contact | undefined {
    return contact?.archived ? undefined : contact;
  }

  private make(): Contact {
    const id = String(this.next++);
    const createdAt = moment();
    const contact = { id, properties: {}, archived: false, writes: 0, createdAt, updatedAt: createdAt };
    this.byId.set(id, contact);
    return contact;
  }

  private write(contact: Contact, properties: Record<string, string>): void {
    for (const name in properties) {
      const value = plain(name, properties[name]!);
      if (this.isUnique(name)) this.move(contact, name, value);
      contact.properties[name] = value;
    }
    contact.writes += 1;
    contact.updatedAt = moment();
  }

  private move(contact: Contact, name: string, value: string): void {
    const values = this.unique.get(name) ?? new Map<string, Contact>();
    this.unique.set(name, values);
    const before = contact.properties[name];
    if (before !== undefined && values.get(plain(name, before)) === contact) values.delete(plain(name, before));
    if (value !== '') values.set(value, contact);
  }
}
