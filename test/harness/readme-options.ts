import { readFileSync } from 'node:fs';
import type * as v from 'valibot';
import { orgMaps } from '../../connectors/directories.ts';
import { directoryOptions } from '../../connectors/directory.ts';
import { mappingSchema, propertySchema, tableSchema } from '../../connectors/hubspot/mapping.ts';
import { hubspotOptions } from '../../connectors/hubspot.ts';
import { ldapOptions } from '../../connectors/ldap.ts';
import { orgOptions } from '../../connectors/org.ts';
import { optionsSchema, platformOptions } from '../../connectors/platform.ts';
import { scimOptions } from '../../connectors/scim.ts';
import { stripeOptions } from '../../connectors/stripe.ts';
import { wecomOrg } from '../../connectors/wecom.ts';
import { variables } from '../../workers/config.ts';
import { campaignInput, campaignTestInput, segmentSyncInput } from '../../workflows/audience.input.ts';
import { hubspotSyncInput } from '../../workflows/hubspot.input.ts';
import { orgSyncInput } from '../../workflows/org.input.ts';
import { platformSyncInput, replayWindowInput } from '../../workflows/platform.input.ts';
import { stripeSyncInput, verifyStripeInput } from '../../workflows/stripe.input.ts';
import { table } from './table.ts';

interface Field {
  /** Dotted. */
  name: string;
  fallback: string;
  meaning: string;
}

type Schema = v.GenericSchema & {
  wrapped?: Schema;
  entries?: Entries;
  default?: unknown;
  /** The rule of a text, in words. */
  pipe?: { type: string; message?: unknown }[];
};
type Entries = Record<string, Schema>;

/** Options of directories with defaults and meanings: names and defaults from the schema, meanings from its docstrings. */
export function directoryOptionTable(): string[] {
  const shared = fieldsOf(directoryOptions as unknown as Entries, docsOf('connectors/directory.ts'));
  const own = (schema: Schema, file: string, from?: string) => {
    const elsewhere = { ...directoryOptions, ...optionsSchema(wecomOrg.connector).entries };
    const entries = Object.entries(schema.entries ?? {}).filter(([key]) => !Object.hasOwn(elsewhere, key));
    return fieldsOf(Object.fromEntries(entries), docsOf(file, from));
  };
  const scim = own(scimOptions as unknown as Schema, 'connectors/scim.ts');
  const ldap = own(ldapOptions as unknown as Schema, 'connectors/ldap.ts');
  const platform = own(orgOptions(wecomOrg) as unknown as Schema, 'connectors/org.ts', 'function orgOptions');
  const of = (source: string, fields: Field[]) => fields.map((f) => [f.name, source, f.fallback, f.meaning]);
  const both = scim.flatMap((one) => {
    const other = ldap.find(({ name }) => name === one.name);
    if (!other) return [];
    const fallback = one.fallback === other.fallback ? one.fallback : `${one.fallback}; ldap: ${other.fallback}`;
    return [{ name: one.name, fallback, meaning: `${one.meaning} LDAP: ${other.meaning}` }];
  });
  const alone = (field: Field) => !both.some(({ name }) => name === field.name);
  return table(
    ['option', 'of', 'default', 'meaning'],
    [
      ...of('all', merged(shared)),
      ...of('scim, ldap', merged(both)),
      ...of('scim', merged(scim.filter(alone))),
      ...of('ldap', merged(ldap.filter(alone))),
      ...of(Object.keys(orgMaps).join(', '), merged(platform)),
    ],
  );
}

/** Options of open platforms that every connector has. */
export function platformOptionTable(): string[] {
  const fields = fieldsOf(platformOptions as unknown as Entries, docsOf('connectors/platform.ts'));
  return table(
    ['option', 'default', 'meaning'],
    merged(fields).map(({ name, fallback, meaning }) => [name, fallback, meaning]),
  );
}

const mappingFile = 'connectors/hubspot/mapping.ts';

/** Options of connections to HubSpot, the mapping left out, and the fields of a mapping, of its properties and tables. */
export const hubspotTables = {
  options: () => {
    const { mapping: _own, ...entries } = hubspotOptions.entries;
    return fieldTable('option', entries, docsOf('connectors/hubspot.ts', 'export const hubspotOptions'));
  },
  mapping: () => fieldTable('field', mappingSchema.entries, docsOf(mappingFile, 'export const mappingSchema')),
  property: () => fieldTable('field', propertySchema.entries, docsOf(mappingFile, 'export const propertySchema')),
  table: () => fieldTable('field', tableSchema.entries, docsOf(mappingFile, 'export const tableSchema')),
};

function fieldTable(what: string, entries: object, docs: Map<string, string>): string[] {
  return table(
    [what, 'default', 'meaning'],
    fieldsOf(entries as Entries, docs).map(({ name, fallback, meaning }) => [`\`${name}\``, fallback, meaning]),
  );
}

/** Options of connections to Stripe. */
export function stripeOptionTable(): string[] {
  const fields = fieldsOf(stripeOptions.entries as unknown as Entries, docsOf('connectors/stripe.ts'));
  return table(
    ['option', 'default', 'meaning'],
    merged(fields).map(({ name, fallback, meaning }) => [name, fallback, meaning]),
  );
}

/** Inputs of the workflows that people start. */
export const inputTables = {
  hubspotSync: () =>
    inputTable(fieldsOf(hubspotSyncInput.entries as unknown as Entries, docsOf('workflows/hubspot.input.ts'))),
  orgSync: () => inputTable(fieldsOf(orgSyncInput.entries as unknown as Entries, docsOf('workflows/org.input.ts'))),
  platformSync: () => inputTable(fieldsOf(platformSyncInput.entries as unknown as Entries, platformDocs())),
  stripeSync: () => inputTable(fieldsOf(stripeSyncInput.entries as unknown as Entries, stripeDocs())),
  verifyStripe: () => inputTable(fieldsOf(verifyStripeInput.entries as unknown as Entries, stripeDocs())),
  replayWindow: () => inputTable(fieldsOf(replayWindowInput.entries as unknown as Entries, platformDocs())),
  segmentSync: () =>
    inputTable(fieldsOf(segmentSyncInput.entries as unknown as Entries, audienceDocs('segmentSyncInput'))),
  campaign: () => inputTable(fieldsOf(campaignInput.entries as unknown as Entries, audienceDocs('campaignInput'))),
  campaignTest: () =>
    inputTable(fieldsOf(campaignTestInput.entries as unknown as Entries, audienceDocs('campaignTestInput'))),
};

const audienceDocs = (from: string) => docsOf('workflows/audience.input.ts', `const ${from}`);
const stripeDocs = () => docsOf('workflows/stripe.input.ts');
const platformDocs = () => docsOf('workflows/platform.input.ts');

function inputTable(fields: Field[]): string[] {
  return table(
    ['input', 'default', 'meaning'],
    fields.map(({ name, fallback, meaning }) => [`\`${name}\``, fallback, meaning]),
  );
}

/** Settings of workers and commands. */
export function environmentTable(): string[] {
  return table(
    ['variable', 'default', 'accepted'],
    Object.entries(variables).map(([name, { default: fallback, accepted }]) => [
      `\`${name}\``,
      String(fallback),
      accepted,
    ]),
  );
}

const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');

/** Docstrings of a source file by the key that follows them; `from` is the declaration that counts alone, to its closing brace. */
function docsOf(file: string, from = ''): Map<string, string> {
  const text = read(file);
  const start = text.indexOf(from);
  const end = from === '' ? undefined : text.indexOf('\n}', start);
  const found = text.slice(start, end).matchAll(/\/\*\*((?:(?!\*\/)[\s\S])*)\*\/\s*(\w+):/g);
  return new Map(
    [...found].map(([, text = '', key = '']) => [
      key,
      text
        .replace(/\n\s*\*/g, ' ')
        .replace(/\s+/g, ' ')
        .trim(),
    ]),
  );
}

/** A longer sentence about the default stays with the meaning. */
const longestDefault = 60;

/** One field an entry; an object whose inner fields have docstrings is told by these. */
function fieldsOf(entries: Entries, docs: Map<string, string>, above = ''): Field[] {
  return Object.entries(entries).flatMap(([key, schema]) => {
    const inner = (schema.wrapped ?? schema).entries;
    const deeper = inner ? fieldsOf(inner, docs, `${above}${key}.`).filter(({ meaning }) => meaning !== '') : [];
    if (deeper.length > 0) return deeper;
    const sentences = (docs.get(key) ?? ruleOf(schema))
      .replace('; default: ', '. Default: ')
      .split(/(?<=[.)]) (?=[A-Z])/);
    const about = sentences.find((sentence) => sentence.startsWith('Default'));
    const said = about === undefined || about.length <= longestDefault ? about : 'Default: see meaning';
    return {
      name: `${above}${key}`,
      fallback: fallbackOf(schema, said),
      meaning: sentences.filter((sentence) => sentence !== said).join(' '),
    };
  });
}

/** What stands for a docstring where there is none. */
function ruleOf({ pipe }: Schema): string {
  const message = pipe?.find(({ type }) => type === 'regex')?.message;
  return typeof message === 'string' ? `${message.charAt(0).toUpperCase()}${message.slice(1)}.` : '';
}

function fallbackOf(schema: Schema, said: string | undefined): string {
  if (schema.type !== 'optional') return 'required';
  if (schema.default !== undefined && schema.default !== null) return `\`${JSON.stringify(schema.default)}\``;
  return said?.replace(/^Default:? ?/, '').replace(/\.$/, '') ?? 'none';
}

/** Fields of the same meaning and default in one row. */
function merged(fields: Field[]): Field[] {
  const rows = new Map<string, Field>();
  for (const { name, fallback, meaning } of fields) {
    const key = `${fallback} ${meaning}`;
    const row = rows.get(key);
    rows.set(key, { fallback, meaning, name: row ? `${row.name} \`${name}\`` : `\`${name}\`` });
  }
  return [...rows.values()];
}
