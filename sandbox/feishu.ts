import { Company, visible, without } from './company.ts';
import type { Api, Call, Fixture, Incoming, Lists, Reply } from './platform/fixture.ts';
import type { Row } from './platform/list.ts';
import { Refusal } from './platform/refusal.ts';
import type { TokenDesk } from './platform/tokens.ts';

const hour = 3_600_000;
const appId = (account: string) => `cli_${account}`;
const appSecret = 'sandbox-app-secret';
const rootId = '0';
const paging: Api['paging'] = [
  { kind: 'cursor', param: 'page_token', size: { param: 'page_size', default: 10, max: 50 }, end: '' },
];

const company = new Company({
  department: (serial) => (serial === 1 ? rootId : `od-${String(serial).padStart(8, '0')}`),
  person: (serial) => `on_${String(serial).padStart(8, '0')}`,
});

function department(row: Row, lists: Lists): Record<string, unknown> {
  const { id, name, parent, note } = company.department(row);
  const record = {
    name,
    department_id: row.serial === 1 ? '0' : `D${row.serial}`,
    open_department_id: id,
    parent_department_id: parent ?? '',
    order: String(row.serial),
    member_count: 0,
    status: { is_deleted: false },
  };
  return without({ ...record, ...(note && { i18n_name: { en_us: note } }) }, lists);
}

function person(row: Row, lists: Lists): Record<string, unknown> {
  const p = company.person(row, lists);
  const record = {
    union_id: p.id,
    user_id: `u${row.serial}`,
    open_id: `ou_${row.serial}`,
    name: p.name,
    email: p.email,
    mobile: p.phone,
    job_title: p.title,
    employee_no: p.number,
    department_ids: p.departments,
    orders: p.departments.map((id) => ({ department_id: id, user_order: 0, is_primary_dept: id === p.primary })),
    status: { is_frozen: p.off, is_resigned: false, is_activated: true, is_exited: false, is_unjoin: false },
  };
  return without({ ...record, ...(p.note && { nickname: p.note }) }, lists);
}

const items: Api['answer'] = ({ rows, more, next }) => ({
  has_more: more,
  page_token: next ?? '',
  // An empty page comes without the list.
  ...(rows.length > 0 && { items: rows }),
});

const apis: Record<string, Api> = {
  'contact/v3/departments/children': {
    list: 'departments',
    method: 'GET',
    check: (params, lists) => {
      company.needsDepartment('department_id')(params, lists);
      if (visible(lists).tooBig && params.fetch_child === 'true') throw new Refusal('window', 'recursion');
    },
    group: ({ department_id, fetch_child }) => ({
      by: fetch_child === 'true' ? 'below' : 'children',
      key: String(department_id),
    }),
    paging,
    render: department,
    answer: items,
  },
  'contact/v3/departments/get': {
    list: 'departments',
    method: 'GET',
    check: company.needsDepartment('department_id'),
    paging: [{ kind: 'one', param: 'department_id' }],
    render: department,
    answer: ({ rows }) => ({ department: rows[0] }),
  },
  'contact/v3/users/find_by_department': {
    list: 'people',
    method: 'GET',
    check: company.needsDepartment('department_id'),
    group: ({ department_id }) => ({ by: 'department', key: String(department_id) }),
    paging,
    render: person,
    answer: items,
  },
  'contact/v3/users/get': {
    list: 'people',
    method: 'GET',
    check: company.needsPerson('user_id'),
    paging: [{ kind: 'one', param: 'user_id' }],
    render: person,
    answer: ({ rows }) => ({ user: rows[0] }),
  },
  'contact/v3/scopes': {
    list: 'departments',
    method: 'GET',
    group: () => ({ by: 'children', key: rootId }),
    paging,
    // The whole company is told as its first level.
    answer: ({ rows, more, next }, _params, lists) => {
      const { departments, people } = visible(lists);
      if (departments !== null) return { has_more: false, department_ids: departments, user_ids: people };
      const ids = rows.map((row) => (row as Record<string, unknown>).open_department_id);
      return { has_more: more, page_token: next ?? '', department_ids: ids, user_ids: people };
    },
    render: department,
  },
};

/** Ids stand in the path; the API is named without them. */
function route(path: string): { api: string; params: Record<string, string> } {
  const api = path.replace(/^\/open-apis\//, '');
  const [, id, rest] = /^contact\/v3\/departments\/([^/]+)(\/children)?$/.exec(api) ?? [];
  if (id !== undefined)
    return {
      api: `contact/v3/departments/${rest ? 'children' : 'get'}`,
      params: { department_id: decodeURIComponent(id) },
    };
  const [, user] = /^contact\/v3\/users\/([^/]+)$/.exec(api) ?? [];
  if (user !== undefined && user !== 'find_by_department')
    return { api: 'contact/v3/users/get', params: { user_id: decodeURIComponent(user) } };
  return { api, params: {} };
}

function token({ json }: Incoming, tokens: TokenDesk): Reply {
  const { app_id = '', app_secret } = (json ?? {}) as Record<string, string>;
  if (!app_id.startsWith(appId(''))) return failure(200, 10003, 'invalid param');
  if (app_secret !== appSecret) return failure(200, 10014, 'app secret invalid');
  const { access, lifeMs } = tokens.same(app_id.slice(appId('').length), 30 * 60_000);
  return { status: 200, body: { code: 0, msg: 'ok', tenant_access_token: access, expire: Math.floor(lifeMs / 1000) } };
}

function read(request: Incoming, tokens: TokenDesk): Call {
  const bearer = /^Bearer (.+)$/.exec(String(request.headers.authorization ?? ''))?.[1];
  const account = tokens.account(bearer);
  const { api, params } = route(request.path);
  const { department_id_type = 'open_department_id', user_id_type = 'open_id' } = request.query;
  if (department_id_type !== 'open_department_id') throw new Refusal('invalid', 'department_id_type');
  if (user_id_type !== 'union_id') throw new Refusal('invalid', 'user_id_type');
  return { api, account, params: { ...request.query, ...params }, ...(bearer && { token: bearer }) };
}

function refuse({ kind, about, waitMs }: Refusal, _call: Call | undefined): Reply {
  switch (kind) {
    case 'token':
      return about === 'missing'
        ? failure(400, 99991661, 'Missing access token')
        : failure(400, 99991663, 'Invalid access token');
    case 'expired':
      return failure(
        400,
        99991663,
        'Invalid access token for authorization. Please make a test attempt with a new token',
      );
    case 'consent':
      return failure(200, 10014, 'app secret invalid');
    case 'permission':
      if (about === 'department') return failure(403, 40004, 'no dept authority error');
      if (about === 'person') return failure(400, 41050, 'no user authority error');
      return failure(
        400,
        99991672,
        'Access denied. One of the following scopes is required: [contact:contact.base:readonly]',
      );
    case 'gone':
      return about === 'department'
        ? failure(400, 40015, 'department not exist')
        : failure(400, 41012, 'user id invalid error');
    case 'window':
      return failure(400, 43010, 'big dept forbid recursion error');
    case 'size':
      return failure(400, 40011, 'page size is invalid');
    case 'cursor':
      return failure(400, 40012, 'page token is invalid error');
    case 'rate': {
      const seconds = String(Math.max(1, Math.ceil(waitMs / 1000)));
      const headers = { 'x-ogw-ratelimit-limit': '50', 'x-ogw-ratelimit-reset': seconds };
      return { ...failure(429, 99991400, 'request trigger frequency limit'), headers };
    }
    case 'busy':
      return failure(500, 40003, 'internal error');
    case 'api':
      return { status: 404, body: '404 page not found' };
    default:
      return failure(400, 40001, `param error: ${about}`);
  }
}

function failure(status: number, code: number, msg: string): Reply {
  return { status, body: { code, msg, error: { log_id: '2022112201010100000000000000000000' } } };
}

/** Feishu as its documentation describes it: departments and people of one company an account. */
export const feishu: Fixture = {
  platform: 'feishu',
  resolutionMs: 1000,
  lists: {
    ...company.lists,
    departments: {
      ...company.lists.departments,
      groups: {
        ...company.lists.departments.groups,
        below: (row, lists) => company.path(lists, row.id).slice(1),
      },
    },
  },
  streams: {
    // The root is listed nowhere, nor is what hangs below a department that is gone.
    departments: {
      api: 'contact/v3/departments/children',
      has: (row, lists) => row.serial !== 1 && company.path(lists, row.id).at(-1) === rootId,
    },
    users: { api: 'contact/v3/users/find_by_department' },
  },
  apis: Object.fromEntries(
    Object.entries(apis).map(([name, api]) => [
      name,
      {
        ...api,
        limits: {
          connection: [
            { requests: 50, perMs: 1_000 },
            { requests: 1_000, perMs: 60_000, burst: 50 },
          ],
        },
      },
    ]),
  ),
  tokens: { lifeMs: 2 * hour },
  limits: {},
  connect: (account) => ({ credential: { appSecret }, options: { appId: appId(account) } }),
  tokenPaths: ['/open-apis/auth/v3/tenant_access_token/internal'],
  tokenCall: token,
  read,
  write: (payload) => ({ code: 0, msg: 'success', data: payload }),
  refuse,
};

/** The company behind the fixture, for tests that compare. */
export const feishuCompany = company;
