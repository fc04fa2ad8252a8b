import { Company, visible, without } from './company.ts';
import type { Api, Call, Fixture, Incoming, Lists, Reply } from './platform/fixture.ts';
import type { Row } from './platform/list.ts';
import type { Refusal } from './platform/refusal.ts';
import type { TokenDesk } from './platform/tokens.ts';

const hour = 3_600_000;
const appKey = (account: string) => `ding${account}`;
const appSecret = 'sandbox-app-secret';
const rootId = '1';

const company = new Company({
  department: (serial) => (serial === 1 ? rootId : String(400_000_000 + serial)),
  person: (serial) => `manager${String(serial).padStart(6, '0')}`,
});

function department(row: Row, lists: Lists): Record<string, unknown> {
  const { id, name, parent, note } = company.department(row);
  const record = {
    dept_id: Number(id),
    name,
    parent_id: Number(parent),
    auto_add_user: true,
    create_dept_group: false,
  };
  if (parent === null) return without({ dept_id: Number(id), name }, lists);
  return without({ ...record, ...(note && { source_identifier: note }) }, lists);
}

function person(row: Row, lists: Lists): Record<string, unknown> {
  const p = company.person(row, lists);
  const record = {
    userid: p.id,
    unionid: `union-${p.id}`,
    name: p.name,
    dept_id_list: p.departments.map(Number),
    title: p.title,
    mobile: p.phone,
    email: p.email,
    job_number: p.number,
    active: row.serial % 4 !== 0,
  };
  return without({ ...record, ...(p.note && { remark: p.note }) }, lists);
}

const apis: Record<string, Api> = {
  'topapi/v2/department/listsub': {
    list: 'departments',
    method: 'POST',
    check: (params, lists) => company.needsDepartment('dept_id')({ dept_id: rootId, ...params }, lists),
    group: ({ dept_id = rootId }) => ({ by: 'children', key: String(dept_id) }),
    paging: [{ kind: 'whole' }],
    render: department,
    answer: ({ rows }) => rows,
  },
  'topapi/v2/department/get': {
    list: 'departments',
    method: 'POST',
    check: company.needsDepartment('dept_id'),
    paging: [{ kind: 'one', param: 'dept_id' }],
    render: department,
    answer: ({ rows }) => rows[0],
  },
  'topapi/v2/user/list': {
    list: 'people',
    method: 'POST',
    check: company.needsDepartment('dept_id'),
    group: ({ dept_id }) => ({ by: 'department', key: String(dept_id) }),
    paging: [{ kind: 'offset', param: 'cursor', first: 0, size: { param: 'size', default: 10, max: 100 } }],
    render: person,
    answer: ({ rows, more, page }) => ({
      has_more: more,
      ...(more && { next_cursor: page + rows.length }),
      list: rows,
    }),
  },
  'topapi/v2/user/get': {
    list: 'people',
    method: 'POST',
    check: company.needsPerson('userid'),
    paging: [{ kind: 'one', param: 'userid' }],
    render: person,
    answer: ({ rows }) => rows[0],
  },
  'auth/scopes': {
    list: 'departments',
    method: 'GET',
    group: () => ({ by: 'children', key: '' }),
    paging: [{ kind: 'whole' }],
    answer: (_page, _params, lists) => {
      const { departments, people } = visible(lists);
      return { authed_dept: (departments ?? [rootId]).map(Number), authed_user: people };
    },
  },
};

function token({ query }: Incoming, tokens: TokenDesk): Reply {
  const { appkey = '', appsecret } = query;
  if (!appkey.startsWith(appKey('')) || appsecret !== appSecret) return failure(40089, '不合法的corpid或corpsecret');
  const { access, lifeMs } = tokens.same(appkey.slice(appKey('').length), 0);
  const expires_in = Math.floor(lifeMs / 1000);
  return { status: 200, body: { errcode: 0, errmsg: 'ok', access_token: access, expires_in } };
}

function read(request: Incoming, tokens: TokenDesk): Call {
  const api = request.path.slice(1);
  const { access_token: access, ...query } = request.query;
  const account = tokens.account(access);
  const json = (request.json ?? {}) as Record<string, unknown>;
  return { api, account, params: { ...query, ...request.form, ...json }, ...(access && { token: access }) };
}

function refuse({ kind, about, level }: Refusal, call: Call | undefined): Reply {
  switch (kind) {
    case 'token':
      return top(40014, '不合法的access_token');
    case 'expired':
      return failure(42001, 'access_token超时');
    case 'consent':
      return failure(40089, '不合法的corpid或corpsecret');
    case 'permission':
      if (about === 'department') return failure(50004, '请求的部门id不在授权范围内');
      if (about === 'person') return failure(50002, '请求的员工userid不在授权范围内');
      return top(60011, '没有调用该接口的权限，接口权限申请参考：qyapi_get_department_list');
    case 'gone':
      return about === 'department' ? failure(60003, '未找到部门') : failure(60121, '找不到该用户');
    case 'rate':
      // More calls than one address may make are answered with the page of a ban.
      if (level === 'platform') return { status: 200, body: { status: 1111, wait: 5, source: 'x5', punish: 'deny' } };
      return top(90018, '您的服务器调用钉钉开放平台此接口的请求并发超限');
    case 'quota':
      return failure(90020, '当月调用量已达上限');
    case 'busy':
      return failure(-1, '系统繁忙');
    case 'api':
      return {
        status: 200,
        body: { errcode: 22, sub_msg: '不合法ApiName', errmsg: `Invalid method ${call?.api ?? ''}` },
      };
    default:
      return failure(400_002, `无效的参数:${about}`);
  }
}

function failure(errcode: number, errmsg: string): Reply {
  return { status: 200, body: { errcode, errmsg, request_id: '15s9in2w1yat9' } };
}

/** The same with the exact code below a general one, as the gateway writes it. */
function top(subcode: number, text: string): Reply {
  const errmsg = `ding talk error[subcode=${subcode},submsg=${text}]`;
  return {
    status: 200,
    body: { errcode: 88, sub_code: String(subcode), sub_msg: text, errmsg, request_id: '15s9in2w1yat9' },
  };
}

/** DingTalk as its documentation describes it: departments and people of one company an account. */
export const dingtalk: Fixture = {
  platform: 'dingtalk',
  resolutionMs: 1000,
  lists: company.lists,
  streams: {
    // The root is listed nowhere, nor is what hangs below a department that is gone.
    departments: {
      api: 'topapi/v2/department/listsub',
      has: (row, lists) => row.serial !== 1 && company.path(lists, row.id).at(-1) === rootId,
    },
    users: { api: 'topapi/v2/user/list' },
  },
  apis: Object.fromEntries(
    Object.entries(apis).map(([name, api]) => [
      name,
      { ...api, limits: { connection: [{ requests: 40, perMs: 1_000 }] } },
    ]),
  ),
  tokens: { lifeMs: 2 * hour },
  limits: { platform: [{ requests: 10_000, perMs: 20_000 }] },
  connect: (account) => ({ credential: { appSecret }, options: { appKey: appKey(account) } }),
  tokenPaths: ['/gettoken'],
  tokenCall: token,
  read,
  write: (payload, call) =>
    call.api === 'auth/scopes'
      ? { errcode: 0, errmsg: 'ok', auth_user_field: ['name', 'email'], auth_org_scopes: payload }
      : { errcode: 0, errmsg: 'ok', request_id: '15s9in2w1yat9', result: payload },
  refuse,
};

/** The company behind the fixture, for tests that compare. */
export const dingtalkCompany = company;
