import type { OrgMap } from './org.ts';
import type { Connector, Paging, Rate } from './shape.ts';

/** Of one app, company and API. */
const perApi: readonly Rate[] = [
  { requests: 50, perMs: 1_000 },
  { requests: 1_000, perMs: 60_000 },
];
const pages: Paging = {
  kind: 'cursor',
  param: 'page_token',
  size: { param: 'page_size', rows: 50 },
  next: 'page_token',
  more: 'has_more',
};
/** Ids that are the same for every app of the company; custom department ids can be changed by an admin. */
const idTypes = { department_id_type: 'open_department_id', user_id_type: { option: 'personId' } } as const;

export const feishu: Connector = {
  platform: 'feishu',
  title: 'Feishu (飞书), Lark',
  baseUrl: 'https://open.feishu.cn',
  settings: {
    appId: {
      secret: false,
      about: 'App ID: developer console, credentials. For Lark give the address https://open.larksuite.com.',
    },
    appSecret: { secret: true, about: 'App Secret of the same app.' },
    personId: {
      secret: false,
      about:
        'Which id names a person: union_id (the same in all apps of one developer), or user_id (the same in the whole company; needs the permission contact:user.employee_id:readonly). Never open_id, which another app does not know.',
      default: 'union_id',
    },
  },
  auth: {
    kind: 'token',
    obtain: {
      method: 'POST',
      path: '/open-apis/auth/v3/tenant_access_token/internal',
      in: 'json',
      params: { app_id: { option: 'appId' }, app_secret: { secret: 'appSecret' } },
      answer: { access: 'tenant_access_token', expires: { path: 'expire', unit: 's' }, lifeSeconds: 7_200 },
    },
    place: { in: 'header', name: 'authorization', prefix: 'Bearer ' },
  },
  gateway: {
    path: '/open-apis/{api}',
    method: 'GET',
    system: { in: 'query', params: {} },
    business: { in: 'query' },
  },
  envelope: {
    shapes: [{ ok: { path: 'code', is: [0] }, code: ['code'], text: ['msg'], data: 'data' }],
    rules: [
      { code: [99991663, 99991661], verdict: 'token' },
      { code: [10003, 10014], verdict: 'app', hint: 'The option appId or the secret is wrong.' },
      {
        code: [99991400],
        verdict: 'retry-after',
        waitMs: 1_000,
        waitHeader: 'x-ogw-ratelimit-reset',
        level: 'endpoint',
      },
      { status: [429], verdict: 'retry-after', waitMs: 1_000, waitHeader: 'x-ogw-ratelimit-reset', level: 'endpoint' },
      {
        code: [99991672],
        verdict: 'permission',
        hint: 'The app lacks a permission scope: grant contact:contact.base:readonly and publish a version of the app.',
      },
      { code: [40004, 40014, 41050], verdict: 'permission', hint: "It is outside of the app's contact scope." },
      { code: [41012, 40015], verdict: 'gone' },
      { code: [43010], verdict: 'too-big', hint: 'The department is too large to be read with all below it.' },
      { code: [40011, 40012, 43011], verdict: 'bad-request' },
    ],
  },
  limits: {},
  streams: {
    departments: {
      title: 'Departments below the root',
      call: {
        api: 'contact/v3/departments/{department_id}/children',
        params: { department_id: '0', fetch_child: true, ...idTypes },
      },
      rows: 'items',
      emptyHas: 'has_more',
      key: 'open_department_id',
      paging: pages,
      // A very large company is refused with all below its root (43010).
      instead: { params: { fetch_child: false }, over: { kind: 'tree', root: '0', param: 'department_id' } },
      deletes: { kind: 'sweep' },
      columns: {
        name: { path: 'name', type: 'text' },
        parent: { path: 'parent_department_id', type: 'text' },
        department_id: { path: 'department_id', type: 'text' },
        member_count: { path: 'member_count', type: 'bigint' },
      },
      limits: perApi,
    },
    users: {
      title: 'People, department by department',
      call: { api: 'contact/v3/users/find_by_department', params: { ...idTypes } },
      rows: 'items',
      emptyHas: 'has_more',
      key: 'union_id',
      paging: pages,
      over: {
        kind: 'each',
        stream: 'departments',
        param: 'department_id',
        batch: 1,
        when: 'all',
        also: ['0'],
        brings: 'several',
      },
      deletes: { kind: 'sweep' },
      columns: {
        name: { path: 'name', type: 'text' },
        user_id: { path: 'user_id', type: 'text' },
        open_id: { path: 'open_id', type: 'text' },
        email: { path: 'email', type: 'text' },
        departments: { path: 'department_ids', type: 'jsonb' },
        employee_no: { path: 'employee_no', type: 'text' },
        status: { path: 'status', type: 'jsonb' },
      },
      limits: perApi,
    },
  },
  unconfirmed: [
    { at: 'envelope.rules', what: '10003 and 10014 (wrong app id or secret) are known from reports alone' },
    { at: 'envelope.rules', what: '41012 (user id invalid) is taken for gone in a direct read of a person we hold' },
    { at: 'envelope.rules', what: 'wait header x-ogw-ratelimit-reset is taken for seconds' },
    {
      at: 'streams.departments.call',
      what: 'with the token of a person at most 1,000 departments are shown; only tokens of the app are used',
    },
  ],
};

export const feishuOrg: OrgMap = {
  connector: feishu,
  root: '0',
  ways: [
    {
      title: 'departments and people of the contact scope',
      groups: [
        {
          stream: 'departments',
          param: 'department_id',
          tree: false,
          itself: false,
          id: 'open_department_id',
          name: 'name',
          parent: 'parent_department_id',
        },
        // A very large company is refused with all below it (43010) and read level by level.
        {
          stream: 'departments',
          param: 'department_id',
          params: { fetch_child: false },
          tree: true,
          itself: false,
          id: 'open_department_id',
          name: 'name',
          parent: 'parent_department_id',
        },
      ],
      users: {
        stream: 'users',
        id: { option: 'personId' },
        groups: 'department_ids',
        primary: { list: 'orders', group: 'department_id', flag: 'is_primary_dept' },
        fields: {
          displayName: 'name',
          email: 'email',
          phone: 'mobile',
          title: 'job_title',
          employeeNumber: 'employee_no',
        },
        off: [
          { path: 'status.is_frozen', is: [true] },
          { path: 'status.is_resigned', is: [true] },
          { path: 'status.is_exited', is: [true] },
        ],
      },
      direct: {
        group: {
          call: { api: 'contact/v3/departments/{department_id}', params: { ...idTypes } },
          param: 'department_id',
          row: 'department',
          gone: { path: 'status.is_deleted', is: [true] },
        },
        user: {
          call: { api: 'contact/v3/users/{user_id}', params: { ...idTypes } },
          param: 'user_id',
          row: 'user',
          gone: { path: 'status.is_resigned', is: [true] },
        },
      },
    },
  ],
  scope: {
    call: { api: 'contact/v3/scopes', params: { ...idTypes } },
    paging: pages,
    whole: 'readable',
    groups: 'department_ids',
    users: 'user_ids',
  },
};
