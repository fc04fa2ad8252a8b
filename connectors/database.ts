import * as v from 'valibot';
import { platformOptions } from './platform.ts';
import type { Connector, Stream } from './shape.ts';

/** Platform of a connection to somebody's database: its streams come from the mapping in its options. */
export const databasePlatform = 'database';

const column = v.pipe(v.string(), v.regex(/^[^\s"'`;.]{1,63}$/, 'a column without spaces, quotes and dots'));
const table = v.pipe(
  v.string(),
  v.regex(/^[^\s"'`;.]{1,63}(\.[^\s"'`;.]{1,63})?$/, 'a table or view such as crm.members'),
);
const named = v.record(v.pipe(v.string(), v.regex(/^[A-Za-z_]\w{0,62}$/, 'a name of letters, digits and _')), column);
/** When the source last changed the row; without it every run reads the whole list. */
const updated = v.optional(column);

/** Which tables and columns hold what. Only what stands here is read. */
export const databaseMapping = {
  dialect: v.optional(v.picklist(['postgres', 'mysql']), 'postgres'),
  /** Zone of columns whose times have none. Default UTC. */
  zone: v.optional(
    v.pipe(v.string(), v.regex(/^[A-Za-z_]+(\/[A-Za-z_+-]+)*$/, 'a time zone such as Asia/Shanghai')),
    'UTC',
  ),
  /** Rows behind the watermark that are read again: transactions that ended late, clocks that differ. Seconds, default 600. */
  overlapSeconds: v.optional(v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(604_800)), 600),
  users: v.strictObject({
    from: table,
    id: column,
    updated,
    /** Array, JSON list, or a text such as `1,11,21`; whole numbers become number tags, everything else word tags. */
    tags: v.optional(column),
    /** Address kinds of channels and their columns, e.g. `{"openid":"wx_openid","email":"mail"}`. */
    addresses: v.optional(named, {}),
    /** Variables of templates and their columns, e.g. `{"name":"full_name"}`. */
    fields: v.optional(named, {}),
    /** The user's own time zone, for quiet hours. */
    timeZone: v.optional(column),
  }),
  segments: v.optional(v.strictObject({ from: table, id: column, name: v.optional(column), updated })),
  memberships: v.optional(v.strictObject({ from: table, user: column, segment: column, updated })),
  orders: v.optional(v.strictObject({ from: table, id: column, user: column, at: column, updated })),
};

export const databaseOptions = v.strictObject({ ...platformOptions, ...databaseMapping });
export type DatabaseOptions = v.InferOutput<typeof databaseOptions>;

/** The connector that a mapping describes; rows land in the tables of schema audience. */
export function databaseConnector(options: DatabaseOptions): Connector {
  const { users, segments, memberships, orders } = options;
  const picked = [users.tags, users.timeZone, ...Object.values(users.addresses), ...Object.values(users.fields)];
  const streams: Record<string, Stream> = {
    users: list(
      options,
      users,
      [users.id],
      picked,
      users.tags === undefined
        ? {}
        : {
            tags: { path: users.tags, type: 'bigint[]' },
            labels: { path: users.tags, type: 'text[]' },
          },
    ),
    ...(segments && {
      segments: list(options, segments, [segments.id], [segments.name], {
        ...(segments.name !== undefined && { name: { path: segments.name, type: 'text' } }),
      }),
    }),
    ...(memberships && {
      memberships: list(options, memberships, [memberships.user, memberships.segment], [], {
        user_id: { path: memberships.user, type: 'text' },
        segment_id: { path: memberships.segment, type: 'text' },
      }),
    }),
    ...(orders && {
      orders: list(options, orders, [orders.id], [orders.user, orders.at], {
        user_id: { path: orders.user, type: 'text' },
        ordered_at: { path: orders.at, type: 'timestamptz' },
      }),
    }),
  };
  return { ...frame, streams };
}

const rowsAtOnce = 1_000;

function list(
  options: DatabaseOptions,
  { from, updated: changed }: { from: string; updated?: string | undefined },
  key: [string, ...string[]],
  others: (string | undefined)[],
  columns: Stream['columns'],
): Stream {
  const select = [...new Set([...key, ...others, changed].filter((one) => one !== undefined))];
  return {
    title: from,
    sql: {
      dialect: options.dialect,
      zone: options.zone,
      from,
      select,
      keyset: key,
      ...(changed !== undefined && { changed: { column: changed, overlapMs: options.overlapSeconds * 1_000 } }),
    },
    rows: '',
    key: key.length === 1 ? key[0] : key,
    ...(changed !== undefined && { time: { path: changed, format: 'iso' } }),
    paging: { kind: 'keyset', size: { rows: rowsAtOnce } },
    deletes: { kind: 'sweep' },
    columns,
  };
}

/** A database has no gateway; what stands here is never called. */
const frame: Omit<Connector, 'streams'> = {
  platform: databasePlatform,
  schema: 'audience',
  title: 'Foreign SQL database (Postgres, MySQL)',
  baseUrl: 'https://database.invalid',
  settings: {
    databaseUrl: { secret: true, about: 'address of the database, postgres://user:password@host/name or mysql://…' },
  },
  auth: { kind: 'none' },
  gateway: {
    path: '/',
    method: 'GET',
    system: { in: 'query', params: {} },
    business: { in: 'query' },
  },
  envelope: { shapes: [{ ok: { absent: 'error' }, data: '' }], rules: [] },
  limits: {},
  unconfirmed: [],
};
