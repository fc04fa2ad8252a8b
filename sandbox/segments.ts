/** A statement for the server that plays the foreign database. */
export interface Statement {
  text: string;
  values: unknown[];
}

export interface SegmentsOptions {
  dialect: 'postgres' | 'mysql';
  members: number;
  /** Number of the first. Default 0. */
  from?: number;
  /** Number and word tags of the n-th member. Default: n % 3, 10 + n % 3 and `vip` for every tenth. */
  tags?: (n: number) => (number | string)[];
  /** Last change of the n-th member. Default: a minute apart, so that few are younger than an overlap. */
  updatedMs?: (n: number) => number;
}

/** Mapping of the tables that `segmentTables` makes, as a connection's options. */
export const segmentMapping = (dialect: SegmentsOptions['dialect']) => ({
  dialect,
  users: {
    from: 'crm.members',
    id: 'id',
    updated: 'updated_at',
    tags: 'tags',
    addresses: { openid: 'wx_openid', email: 'mail' },
    fields: { name: 'full_name', city: 'city' },
    timeZone: 'tz',
  },
  segments: { from: 'crm.segments', id: 'code', name: 'title' },
  memberships: { from: 'crm.memberships', user: 'member_id', segment: 'segment_code' },
  orders: { from: 'crm.orders', id: 'id', user: 'member_id', at: 'ordered_at', updated: 'updated_at' },
});

const base = Date.UTC(2026, 0, 1);
const chunk = 500;

/** Statements that make the tables: members, segments, memberships, orders. Ids of members lie beyond 2^53, as those of real systems do. */
export function segmentTables(dialect: SegmentsOptions['dialect']): Statement[] {
  const types =
    dialect === 'postgres'
      ? { schema: 'CREATE SCHEMA crm', tags: 'text[]', moment: 'timestamptz', id: 'bigint' }
      : {
          schema: 'CREATE DATABASE crm CHARACTER SET utf8mb4',
          tags: 'varchar(400)',
          moment: 'datetime(6)',
          id: 'bigint',
        };
  return [
    types.schema,
    `CREATE TABLE crm.members (id ${types.id} PRIMARY KEY, full_name varchar(100), city varchar(100), wx_openid varchar(64), mail varchar(200),
       tz varchar(64), tags ${types.tags}, updated_at ${types.moment} NOT NULL)`,
    'CREATE INDEX members_updated ON crm.members (updated_at, id)',
    'CREATE TABLE crm.segments (code varchar(40) PRIMARY KEY, title varchar(100))',
    `CREATE TABLE crm.memberships (member_id ${types.id}, segment_code varchar(40), PRIMARY KEY (member_id, segment_code))`,
    `CREATE TABLE crm.orders (id ${types.id} PRIMARY KEY, member_id ${types.id}, ordered_at ${types.moment} NOT NULL, updated_at ${types.moment} NOT NULL)`,
  ].map((text) => ({ text, values: [] }));
}

/** Id of the n-th member; the low digits differ where a double would round them away. */
export const memberId = (n: number) => String(9_007_199_254_740_993n + BigInt(n));

/** Rows of members; every fifth is in the segment gold. */
export function* memberRows(options: SegmentsOptions): Generator<Statement> {
  const { dialect, members, from = 0 } = options;
  const tags = options.tags ?? ((n: number) => [n % 3, 10 + (n % 3), ...(n % 10 === 0 ? ['vip'] : [])]);
  const updatedMs = options.updatedMs ?? ((n: number) => base + n * 60_000);
  if (from === 0)
    yield insert(
      dialect,
      'crm.segments',
      ['code', 'title'],
      [
        ['gold', 'Gold members'],
        ['trial', 'On trial'],
      ],
    );
  for (let at = from; at < from + members; at += chunk) {
    const numbers = Array.from({ length: Math.min(chunk, from + members - at) }, (_, i) => at + i);
    const rows = numbers.map((n) => {
      const listed = dialect === 'postgres' ? tags(n).map(String) : tags(n).join(',');
      const updated = momentOf(dialect, updatedMs(n));
      return [
        memberId(n),
        `Member ${n}`,
        `City ${n % 7}`,
        `oWx_${String(n).padStart(10, '0')}`,
        `member${n}@example.org`,
        null,
        listed,
        updated,
      ];
    });
    yield insert(
      dialect,
      'crm.members',
      ['id', 'full_name', 'city', 'wx_openid', 'mail', 'tz', 'tags', 'updated_at'],
      rows,
    );
    const gold = numbers.filter((n) => n % 5 === 0).map((n) => [memberId(n), 'gold']);
    if (gold.length > 0) yield insert(dialect, 'crm.memberships', ['member_id', 'segment_code'], gold);
  }
}

/** Order records, each of a member at a moment. */
export function orderRows(
  dialect: SegmentsOptions['dialect'],
  orders: readonly { id: number; member: number; atMs: number }[],
): Statement {
  const rows = orders.map(({ id, member, atMs }) => [
    id,
    memberId(member),
    momentOf(dialect, atMs),
    momentOf(dialect, atMs),
  ]);
  return insert(dialect, 'crm.orders', ['id', 'member_id', 'ordered_at', 'updated_at'], rows);
}

/** MySQL's datetime has no zone: it is written in UTC. */
export function momentOf(dialect: SegmentsOptions['dialect'], ms: number): string {
  const iso = new Date(ms).toISOString();
  return dialect === 'postgres' ? iso : iso.replace('T', ' ').replace('Z', '');
}

function insert(dialect: SegmentsOptions['dialect'], table: string, columns: string[], rows: unknown[][]): Statement {
  let at = 0;
  const place = () => (dialect === 'postgres' ? `$${++at}` : '?');
  const text = `INSERT INTO ${table} (${columns.join(', ')}) VALUES ${rows.map((row) => `(${row.map(place).join(', ')})`).join(', ')}`;
  return { text, values: rows.flat() };
}
