import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Nested, Resource } from '../../connectors/stripe/catalog.ts';

/**
 * `npx tsx test/harness/stripe-catalog.ts [--write]`: makes connectors/stripe/resources.ts from the OpenAPI description
 * inside the Go module of Stripe's own mock server. Names and shapes are taken, no text. Without `--write` it prints.
 */
const source = { module: 'github.com/stripe/stripe-mock', version: 'v0.203.0', file: 'embedded/openapi/spec3.json' };
const target = fileURLToPath(new URL('../../connectors/stripe/resources.ts', import.meta.url));

interface Schema {
  $ref?: string;
  type?: string;
  format?: string;
  nullable?: boolean;
  enum?: string[];
  anyOf?: Schema[];
  items?: Schema;
  properties?: Record<string, Schema>;
  required?: string[];
  'x-resourceId'?: string;
  'x-expandableFields'?: string[];
  'x-expansionResources'?: unknown;
}
interface Parameter {
  name: string;
  in: string;
  required?: boolean;
  schema: Schema;
}
interface Operation {
  parameters?: Parameter[];
  responses: Record<string, { content?: Record<string, { schema: Schema }> }>;
  requestBody?: { content: Record<string, { schema: Schema }> };
}
interface Spec {
  info: { version: string };
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, Schema> };
}

const { Dir, Sum } = JSON.parse(
  execFileSync('go', ['mod', 'download', '-json', `${source.module}@${source.version}`], { encoding: 'utf8' }),
) as { Dir: string; Sum: string };
const spec = JSON.parse(readFileSync(join(Dir, source.file), 'utf8')) as Spec;
const samples = JSON.parse(readFileSync(join(Dir, 'embedded/openapi/fixtures3.json'), 'utf8')) as {
  resources: Record<string, { id?: string | null }>;
};
const { schemas } = spec.components;

/** The same list under two paths, the feed, and lists that ask for a calculation instead of showing objects. */
const leftOut =
  /^\/v1\/(events|balance\/history|linked_accounts.*|.*\/search|accounts\/\{account\}\/people|credit_notes\/preview\/lines|billing\/meters\/\{id\}\/event_summaries|.*\/owners)$/;
/** Query parameter without which a list is refused → the resource whose ids it takes. */
const parents: Record<string, string> = {
  financial_account: 'treasury_financial_accounts',
  setup_intent: 'setup_intents',
  card: 'issuing_cards',
  value_list: 'radar_value_lists',
  customer: 'customers',
  account: 'financial_connections_accounts',
  subscription: 'subscriptions',
  payment_record: 'payment_records',
};
/** Names of events that do not begin with the name of their object. */
const eventNames: [prefix: string, object: string][] = [
  ['customer.subscription.', 'subscription'],
  // Of a customer; the list of tax_ids shows the account's own alone.
  ['customer.tax_id.', 'customer_tax_id'],
  ['customer.source.', 'source'],
  ['customer.discount.', 'discount'],
  ['charge.dispute.', 'dispute'],
  ['charge.refund.', 'refund'],
  ['account.external_account.', 'external_account'],
  ['account.application.', 'application'],
  ['sigma.scheduled_query_run.', 'scheduled_query_run'],
  ['issuing_', 'issuing.'],
];
/** Their events were seen not to reach the feed reliably: read again like those without any. */
const unreliable = ['account', 'person', 'capability', 'external_account'];
/** The end of such an object is a state of it: it stays. */
const notDeleted = ['customer.subscription.deleted'];

const refOf = (schema: Schema | undefined) => schema?.$ref?.split('/').pop();
const listOf = (schema: Schema | undefined): Schema | undefined => {
  const list = schema?.anyOf?.length === 1 ? schema.anyOf[0] : schema;
  return list?.properties?.has_more && list.properties.data?.type === 'array' ? list : undefined;
};
const answerOf = (operation: Operation | undefined) => {
  const schema = operation?.responses['200']?.content?.['application/json']?.schema;
  return schema?.$ref ? schemas[refOf(schema) as string] : schema;
};
const itemOf = (list: Schema): string => {
  const { items } = list.properties?.data ?? {};
  return refOf(items) ?? 'any';
};
const keyOf = (path: string) => path.replace('/v1/', '').replaceAll('/', '_');
const queryOf = (path: string) => (spec.paths[path]?.get?.parameters ?? []).filter((p) => p.in === 'query');

/** Whether a list takes pages; a few show everything at once. */
function isPaged(route: string): boolean {
  const path = route.split('?')[0] as string;
  const known = lists.find((one) => one.path.replace(/\{[^}]+\}/g, '{id}') === path);
  return known?.query.some(({ name }) => name === 'limit') === true;
}

const kept = [
  'id',
  'object',
  'data',
  'connection_id',
  'source_time',
  'generation',
  'synced_at',
  'deleted_at',
  'parent_id',
  'item_id',
  'position',
];

/** `name:letter`, the letter as in connectors/stripe/catalog.ts. Parts and lists stay in the record alone. */
function columnsOf(object: string): string {
  return Object.entries(schemas[object]?.properties ?? {})
    .flatMap(([name, schema]) => {
      const letter = letterOf(name, schema);
      return letter && !kept.includes(name) ? [`${name}:${letter}`] : [];
    })
    .join(' ');
}

function letterOf(name: string, schema: Schema): string | undefined {
  if (name === 'metadata') return 'j';
  if (schema.anyOf) return schema['x-expansionResources'] ? 'x' : undefined;
  if (schema.type === 'integer') return schema.format === 'unix-time' ? 's' : 'i';
  return { string: 't', number: 'n', boolean: 'f' }[schema.type ?? ''];
}

const eventTypes = (
  spec.paths['/v1/webhook_endpoints']?.post?.requestBody?.content['application/x-www-form-urlencoded']?.schema
    .properties?.enabled_events?.items?.enum ?? []
).filter((type) => type !== '*');

/** The object that the events of a type carry: by name, the longest that fits. */
function objectOf(type: string, objects: readonly string[]): string {
  const special = eventNames.find(([prefix]) => type.startsWith(prefix));
  const name = special ? `${special[1]}${special[1].endsWith('.') ? type.slice(special[0].length) : '.'}` : type;
  return objects.filter((one) => name.startsWith(`${one}.`)).sort((a, b) => b.length - a.length)[0] ?? '';
}

const lists = Object.entries(spec.paths)
  .filter(([path, { get }]) => listOf(answerOf(get)) && !leftOut.test(path))
  .map(([path, { get }]) => ({ path, item: itemOf(answerOf(get) as Schema), query: queryOf(path) }));
const isFree = ({ path, query }: (typeof lists)[number]) => !path.includes('{') && !query.some((p) => p.required);
/** The description calls its parent optional; the server does not. */
const asked = lists.filter((one) => !isFree(one) && one.path !== '/v1/apps/secrets');
const objects = [...new Set(lists.map(({ item }) => item))];
const eventsOf = new Map<string, string[]>();
for (const type of eventTypes) {
  const object = objectOf(type, objects);
  eventsOf.set(object, [...(eventsOf.get(object) ?? []), type]);
}

function nestedOf(path: string, object: string): Nested[] {
  const schema = schemas[object];
  const found = new Map<string, Nested>();
  for (const [field, property] of Object.entries(schema?.properties ?? {})) {
    const list = listOf(property);
    if (!list) continue;
    const item = itemOf(list);
    const inline = schema?.required?.includes(field) === true && property.nullable !== true;
    const free = lists.some((one) => isFree(one) && one.item === item);
    const route = routeOf(path, field, item);
    if (!route) continue;
    const mode = inline ? 'inline' : 'expand';
    // Of a customer everything that has a list of its own or is old: the price would be a second read for every change.
    const usual = inline || (!free && object !== 'customer');
    found.set(field, { field, item, route, paged: isPaged(route), mode, usual, columns: columnsOf(item) });
  }
  for (const one of asked) {
    const route = routeUnder(path, one);
    const field = one.path.split('/').pop() as string;
    const known = [...found.values()].some((n) => n.route === route || n.field === field);
    if (route && !known)
      found.set(field, {
        field,
        item: one.item,
        route,
        paged: isPaged(route),
        mode: 'ask',
        usual: false,
        columns: columnsOf(one.item),
      });
  }
  return [...found.values()];
}

/** Address of a nested list below the parent, `{id}` for the parent's. */
function routeOf(path: string, field: string, item: string): string | undefined {
  const direct = lists.find((one) => new RegExp(`^${path}/\\{[^}]+\\}/${field}$`).test(one.path));
  if (direct) return `${path}/{id}/${field}`;
  return asked
    .filter((one) => one.item === item)
    .map((one) => routeUnder(path, one))
    .find(Boolean);
}

function routeUnder(path: string, one: (typeof lists)[number]): string | undefined {
  const below = new RegExp(`^${path}/\\{[^}]+\\}/([a-z_]+)$`).exec(one.path);
  if (below) return `${path}/{id}/${below[1]}`;
  const [needed] = one.query.filter((p) => p.required);
  return !one.path.includes('{') && needed && parents[needed.name] === keyOf(path)
    ? `${one.path}?${needed.name}={id}`
    : undefined;
}

function prefixOf(object: string): string {
  const id = samples.resources[object]?.id ?? '';
  const [, mark = ''] = /^(sub_sched_|[a-z]+_)/.exec(id) ?? [];
  // What the samples say of objects without ids of their own.
  return mark === 'obj_' ? '' : mark;
}

function resourceOf({ path, item, query }: (typeof lists)[number]): Resource {
  const own = unreliable.includes(item) ? [] : (eventsOf.get(item) ?? []);
  // Without `.updated` a change such as edited metadata (of payment intents, quotes, invoice items) comes with no event.
  const tells = own.some((type) => type.endsWith('.updated'));
  const created = query.some(({ name }) => name === 'created');
  const retrieve = Object.keys(spec.paths).find(
    (one) => new RegExp(`^${path}/\\{[^}]+\\}$`).test(one) && spec.paths[one]?.get,
  );
  const removable = Object.entries(spec.paths).some(
    ([one, { delete: remove }]) => remove && new RegExp(`^${path}/\\{[^}]+\\}$`).test(one),
  );
  const all = query.find(({ name, schema }) => name === 'status' && schema.enum?.includes('all'));
  const deletes = own.filter((type) => type.endsWith('.deleted') && !notDeleted.includes(type));
  return {
    key: keyOf(path),
    object: item,
    path,
    kind: !tells ? 'C' : created ? 'A' : 'B',
    created,
    paged: isPaged(path),
    retrieve: retrieve !== undefined,
    params: all ? { status: 'all' } : {},
    clocks: query.some(({ name }) => name === 'test_clock'),
    prefix: prefixOf(item),
    events: own,
    deletes,
    sweep: !tells || (deletes.length === 0 && removable && !own.some((type) => notDeleted.includes(type))),
    expandable: (schemas[item]?.['x-expandableFields'] ?? []).filter(
      (name) => / ${name}:x /.test(name) || columnsOf(item).includes(`${name}:x`),
    ),
    nested: nestedOf(path, item),
    columns: columnsOf(item),
  };
}

const resources = lists
  .filter(isFree)
  .map(resourceOf)
  .sort((a, b) => (a.key < b.key ? -1 : 1));
const text = `import type { Resource } from './catalog.ts';

/*
 * Made by test/harness/stripe-catalog.ts; not edited by hand. Source: ${source.file} of the Go module
 * ${source.module} ${source.version} (${Sum}).
 */
export const source = ${JSON.stringify({ ...source, sum: Sum })};
/** Version of the API that the shapes below belong to. */
export const apiVersion = '${spec.info.version}';
/** Event types there are. */
export const eventTypes: readonly string[] = ${JSON.stringify(eventTypes)};
/** A line a resource. */
export const resources: readonly Resource[] = [
${resources.map((one) => `  ${JSON.stringify(one)},`).join('\n')}
];
`;
if (process.argv.includes('--write')) writeFileSync(target, text);
else process.stdout.write(text);
process.stderr.write(
  `${resources.length} resources (${['A', 'B', 'C'].map((kind) => `${kind} ${resources.filter((r) => r.kind === kind).length}`).join(', ')}), ${resources.flatMap((r) => r.nested).length} nested lists\n`,
);
