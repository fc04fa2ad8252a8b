import { Company, visible, without } from './company.ts';
import type { Api, Call, Fixture, Incoming, Lists, Reply } from './platform/fixture.ts';
import type { Row } from './platform/list.ts';
import { Refusal } from './platform/refusal.ts';
import type { TokenDesk } from './platform/tokens.ts';

const hour = 3_600_000;
const corpid = (account: string) => `ww-${account}`;
/**
 * Secrets of one company. `app`: of a self-built app. `sync`: of the contact sync, which since August 2022 gets ids alone
 * from a new address. `old`: of the contact sync, from an address that was known before.
 */
export const wecomSecrets = { app: 'sandbox-app-secret', sync: 'sandbox-sync-secret', old: 'sandbox-old-secret' };
const agentId = '1000002';
const idApis = ['department/simplelist', 'user/list_id'];
/** What each token may do, by the desk that issued it. */
const kinds = new WeakMap<TokenDesk, Map<string, keyof typeof wecomSecrets>>();

const company = new Company({ department: String, person: (serial) => `user${String(serial).padStart(6, '0')}` });

function department(row: Row, lists: Lists): Record<string, unknown> {
  const { id, name, parent, note } = company.department(row);
  const record = { id: Number(id), name, parentid: Number(parent ?? 0), order: row.serial, department_leader: [] };
  return without({ ...record, ...(note && { name_en: note }) }, lists);
}

function person(row: Row, lists: Lists): Record<string, unknown> {
  const p = company.person(row, lists);
  const shown = p.departments.filter((id) => company.shows(lists, id)).map(Number);
  const record = {
    userid: p.id,
    name: p.name,
    department: shown,
    main_department: Number(p.primary),
    position: p.title,
    mobile: p.phone,
    email: p.email,
    status: p.off ? 2 : 1,
    is_leader_in_dept: shown.map(() => 0),
  };
  return without({ ...record, ...(p.note && { alias: p.note }) }, lists);
}

const within = (params: Record<string, unknown>) =>
  params.id === undefined ? { by: 'shown', key: 'yes' } : { by: 'within', key: String(params.id) };
const treeCheck: Api['check'] = (params, lists) => {
  if (params.id !== undefined) company.needsDepartment('id')(params, lists);
  else if (visible(lists).departments?.length === 0) throw new Refusal('permission', 'department');
};

const apis: Record<string, Api> = {
  'department/list': {
    list: 'departments',
    method: 'GET',
    check: treeCheck,
    group: within,
    paging: [{ kind: 'whole' }],
    render: department,
    answer: ({ rows }) => ({ department: rows }),
  },
  'department/simplelist': {
    list: 'departments',
    method: 'GET',
    check: treeCheck,
    group: within,
    paging: [{ kind: 'whole' }],
    render: (row) => {
      const { id, parent } = company.department(row);
      return { id: Number(id), parentid: Number(parent ?? 0), order: row.serial };
    },
    answer: ({ rows }) => ({ department_id: rows }),
  },
  'department/get': {
    list: 'departments',
    method: 'GET',
    check: company.needsDepartment('id'),
    paging: [{ kind: 'one', param: 'id' }],
    render: department,
    answer: ({ rows }) => ({ department: rows[0] }),
  },
  'user/list': {
    list: 'people',
    method: 'GET',
    check: company.needsDepartment('department_id'),
    group: ({ department_id }) => ({ by: 'department', key: String(department_id) }),
    paging: [{ kind: 'whole' }],
    render: person,
    answer: ({ rows }) => ({ userlist: rows }),
  },
  'user/get': {
    list: 'people',
    method: 'GET',
    check: company.needsPerson('userid'),
    paging: [{ kind: 'one', param: 'userid' }],
    render: person,
    answer: ({ rows }) => rows[0],
  },
  'user/list_id': {
    list: 'people',
    method: 'POST',
    paging: [{ kind: 'cursor', param: 'cursor', size: { param: 'limit', default: 1_000, max: 10_000 }, end: '' }],
    // One row a person and department.
    render: (row, lists) => {
      const { id, departments } = company.person(row, lists);
      return departments.map((one) => ({ userid: id, department: Number(one) }));
    },
    answer: ({ rows, next }) => ({ next_cursor: next ?? '', dept_user: rows.flat() }),
  },
  'agent/get': {
    list: 'departments',
    method: 'GET',
    check: ({ agentid }) => {
      if (agentid !== agentId) throw new Refusal('invalid', 'agentid');
    },
    group: () => ({ by: 'children', key: '' }),
    paging: [{ kind: 'whole' }],
    answer: (_page, _params, lists) => {
      const { departments, people } = visible(lists);
      return {
        agentid: Number(agentId),
        name: 'HR assistant',
        allow_userinfos: { user: people.map((userid) => ({ userid })) },
        allow_partys: { partyid: (departments ?? ['1']).map(Number) },
        allow_tags: { tagid: [] },
        close: 0,
      };
    },
  },
};

function token({ query }: Incoming, tokens: TokenDesk): Reply {
  if (!query.corpid?.startsWith(corpid(''))) return failure(40013, 'invalid corpid');
  const kind = (['app', 'sync', 'old'] as const).find((one) => wecomSecrets[one] === query.corpsecret);
  if (!kind) return failure(40001, 'invalid credential');
  const issued = tokens.issue(query.corpid.slice(corpid('').length));
  const known = kinds.get(tokens) ?? new Map();
  kinds.set(tokens, known.set(issued.access, kind));
  const expires_in = Math.floor(issued.lifeMs / 1000);
  return { status: 200, body: { errcode: 0, errmsg: 'ok', access_token: issued.access, expires_in } };
}

function read(request: Incoming, tokens: TokenDesk): Call {
  const api = request.path.replace(/^\/cgi-bin\//, '');
  const { access_token: access, ...query } = request.query;
  const account = tokens.account(access);
  if (!Object.hasOwn(apis, api)) throw new Refusal('api', api);
  const kind = kinds.get(tokens)?.get(access ?? '') ?? 'app';
  if (kind === 'sync' ? !idApis.includes(api) : kind === 'app' && api === 'user/list_id')
    throw new Refusal('permission', 'api');
  const json = (request.json ?? {}) as Record<string, unknown>;
  return { api, account, params: { ...query, ...json }, ...(access && { token: access }) };
}

function refuse({ kind, about }: Refusal, _call: Call | undefined): Reply {
  switch (kind) {
    case 'token':
      return about === 'missing' ? failure(41001, 'access_token missing') : failure(40014, 'invalid access_token');
    case 'expired':
      return failure(42001, 'access_token expired');
    case 'consent':
      return failure(40001, 'invalid credential');
    case 'permission':
      return about === 'api' || about === undefined
        ? failure(48002, 'api forbidden')
        : failure(60011, 'no privilege to access/modify contact/party/agent');
    case 'gone':
      return about === 'department' ? failure(60003, 'department not found') : failure(60111, 'userid not found');
    case 'rate':
      return failure(45009, 'api freq out of limit');
    case 'quota':
      return failure(45009, 'api freq out of limit');
    case 'busy':
      return failure(-1, 'system busy');
    case 'api':
      return { status: 404, body: '' };
    default:
      return failure(40058, `invalid ${about}`);
  }
}

function failure(errcode: number, errmsg: string): Reply {
  return { status: 200, body: { errcode, errmsg: `${errmsg}, hint: [1660000000], from ip: 127.0.0.1` } };
}

/** WeCom as its documentation describes it: departments and people of one company an account. */
export const wecom: Fixture = {
  platform: 'wecom',
  resolutionMs: 1000,
  lists: company.lists,
  streams: {
    departments: { api: 'department/list' },
    users: { api: 'user/list' },
    department_ids: { api: 'department/simplelist' },
    user_ids: {
      api: 'user/list_id',
      key: (row, lists) => `${row.id}/${company.person(row, lists).departments[0]}`,
      write: (row, lists) => ({ userid: row.id, department: Number(company.person(row, lists).departments[0]) }),
    },
  },
  apis: Object.fromEntries(
    Object.entries(apis).map(([name, api]) => [
      name,
      {
        ...api,
        limits: {
          platform: [
            { requests: 20_000, perMs: 60_000 },
            { requests: 600_000, perMs: hour, burst: 20_000 },
          ],
          connection: [
            { requests: 10_000, perMs: 60_000 },
            { requests: 150_000, perMs: hour, burst: 5_000 },
          ],
        },
      },
    ]),
  ),
  tokens: { lifeMs: 2 * hour },
  limits: {},
  connect: (account) => ({
    credential: { corpsecret: wecomSecrets.old },
    options: { corpid: corpid(account), agentId },
  }),
  tokenPaths: ['/cgi-bin/gettoken'],
  tokenCall: token,
  read,
  write: (payload) => ({ errcode: 0, errmsg: 'ok', ...(payload as object) }),
  refuse,
};

/** The company behind the fixture, for tests that compare. */
export const wecomCompany = company;
