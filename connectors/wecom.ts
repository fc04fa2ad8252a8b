import type { OrgMap } from './org.ts';
import type { Connector, Rate } from './shape.ts';

/**
 * Of one company and one API: 10,000 a minute, 150,000 an hour. The hour is split into a reserve that may go at once and
 * a steady rate, which together stay within it: most companies are read from the reserve.
 */
const perApi: readonly Rate[] = [
  { requests: 10_000, perMs: 60_000 },
  { requests: 145_000, perMs: 3_600_000, burst: 5_000 },
];

/** Of one address and one API, over all companies: 20,000 a minute, 600,000 an hour. */
const perAddress: readonly Rate[] = [
  { requests: 20_000, perMs: 60_000 },
  { requests: 580_000, perMs: 3_600_000, burst: 20_000 },
];

export const wecom: Connector = {
  platform: 'wecom',
  title: 'WeCom (企业微信)',
  baseUrl: 'https://qyapi.weixin.qq.com',
  settings: {
    corpid: { secret: false, about: 'Id of the company: admin console, My Company.' },
    corpsecret: {
      secret: true,
      about:
        'Secret of a self-built app (names, for what the app may see), or of the contact sync (ids alone, for the whole company).',
    },
    agentId: {
      secret: false,
      about:
        'Id of the app that the secret belongs to. With it a run sees when the visible range of the app changed, and asks before it deletes.',
      default: '',
    },
  },
  auth: {
    kind: 'token',
    obtain: {
      method: 'GET',
      path: '/cgi-bin/gettoken',
      in: 'query',
      params: { corpid: { option: 'corpid' }, corpsecret: { secret: 'corpsecret' } },
      answer: { access: 'access_token', expires: { path: 'expires_in', unit: 's' }, lifeSeconds: 7_200 },
    },
    place: { in: 'query', name: 'access_token' },
  },
  gateway: {
    path: '/cgi-bin/{api}',
    method: 'GET',
    system: { in: 'query', params: {} },
    business: { in: 'json' },
  },
  envelope: {
    shapes: [{ ok: { path: 'errcode', is: [0] }, code: ['errcode'], text: ['errmsg'], data: '' }],
    rules: [
      { code: [40014, 42001, 41001], verdict: 'token' },
      { code: [40001], verdict: 'app', hint: 'The secret is wrong, or belongs to another company.' },
      { code: [40013], verdict: 'app', hint: 'The option corpid is wrong.' },
      {
        code: [60020],
        verdict: 'app',
        hint: "The address of this worker is not among the app's trusted IPs: add it in the admin console.",
      },
      {
        code: [48002],
        verdict: 'permission',
        hint: 'The secret may not call this API: contact-sync secrets get ids alone, app secrets no list of all ids.',
      },
      { code: [48009], verdict: 'permission', hint: 'The secret is of another kind than this API wants.' },
      { code: [60011], verdict: 'permission', hint: 'It is outside of what the app may see.' },
      { code: [60003, 60111], verdict: 'gone' },
      { code: [40058], verdict: 'bad-request' },
      { code: [45009], verdict: 'retry-after', waitMs: 60_000, level: 'endpoint' },
      { code: [45033], verdict: 'busy', waitMs: 2_000 },
      { code: [-1], verdict: 'busy', waitMs: 5_000 },
    ],
  },
  limits: {},
  streams: {
    departments: {
      title: 'Departments the app may see, with names',
      call: { api: 'department/list', params: {} },
      rows: 'department',
      key: 'id',
      paging: { kind: 'whole' },
      deletes: { kind: 'sweep' },
      columns: {
        name: { path: 'name', type: 'text' },
        parent: { path: 'parentid', type: 'bigint' },
        position: { path: 'order', type: 'bigint' },
      },
      limits: perApi,
      appLimits: perAddress,
    },
    users: {
      title: 'People the app may see, department by department',
      call: { api: 'user/list', params: {} },
      rows: 'userlist',
      key: 'userid',
      paging: { kind: 'whole' },
      over: { kind: 'each', stream: 'departments', param: 'department_id', batch: 1, when: 'all', brings: 'several' },
      deletes: { kind: 'sweep' },
      columns: {
        name: { path: 'name', type: 'text' },
        departments: { path: 'department', type: 'jsonb' },
        main_department: { path: 'main_department', type: 'bigint' },
        status: { path: 'status', type: 'bigint' },
        title: { path: 'position', type: 'text' },
      },
      limits: perApi,
      appLimits: perAddress,
    },
    department_ids: {
      title: 'Ids of all departments',
      call: { api: 'department/simplelist', params: {} },
      rows: 'department_id',
      key: 'id',
      paging: { kind: 'whole' },
      deletes: { kind: 'sweep' },
      columns: { parent: { path: 'parentid', type: 'bigint' }, position: { path: 'order', type: 'bigint' } },
      limits: perApi,
      appLimits: perAddress,
    },
    user_ids: {
      title: 'Ids of all people and their departments, one row a pair (contact-sync secret)',
      call: { api: 'user/list_id', method: 'POST', params: {} },
      rows: 'dept_user',
      key: ['userid', 'department'],
      paging: { kind: 'cursor', param: 'cursor', size: { param: 'limit', rows: 10_000 }, next: 'next_cursor' },
      deletes: { kind: 'sweep' },
      columns: { userid: { path: 'userid', type: 'text' }, department: { path: 'department', type: 'bigint' } },
      limits: perApi,
      appLimits: perAddress,
    },
  },
  unconfirmed: [
    { at: 'envelope.rules', what: '45033 (too many calls at once) is known from reports alone' },
    {
      at: 'envelope.rules',
      what: '41001 (no token) and 40058 (wrong parameter) are known from the general list of codes alone',
    },
    { at: 'streams.user_ids.key', what: 'third-party apps get open_userid in place of userid; only userid is read' },
    { at: 'streams.departments.rows', what: 'the parent of the root is taken for none, whatever number stands there' },
    {
      at: 'streams.users.appLimits',
      what: 'third-party suites have 40,000 a minute and 1,200,000 an hour for an IP and API',
    },
  ],
};

/**
 * An app's secret reads names and details of what the app may see. A contact-sync secret on an address that was added
 * since 15 August 2022 reads ids of the whole company and nothing else.
 */
export const wecomOrg: OrgMap = {
  connector: wecom,
  root: '1',
  ways: [
    {
      title: 'names and details of what the app may see',
      groups: [
        {
          stream: 'departments',
          param: 'id',
          tree: false,
          itself: true,
          id: 'id',
          name: 'name',
          parent: 'parentid',
        },
      ],
      users: {
        stream: 'users',
        id: 'userid',
        groups: 'department',
        primary: 'main_department',
        fields: { displayName: 'name', email: 'email', phone: 'mobile', title: 'position' },
        // 1 active, 2 disabled, 4 not yet activated, 5 left.
        off: [{ path: 'status', is: [2, 5] }],
      },
      direct: {
        group: { call: { api: 'department/get', params: {} }, param: 'id', row: 'department' },
        user: { call: { api: 'user/get', params: {} }, param: 'userid', row: '' },
      },
    },
    {
      title: 'ids of the whole company without names: departments are named by their ids',
      test: {
        allowed: { api: 'user/list_id', method: 'POST', params: { limit: 1 } },
        forbidden: { api: 'department/get', params: { id: 1 } },
      },
      groups: [{ stream: 'department_ids', param: 'id', tree: false, itself: true, id: 'id', parent: 'parentid' }],
      users: { stream: 'user_ids', id: 'userid', groups: 'department', fields: {} },
    },
  ],
  scope: {
    call: { api: 'agent/get', params: { agentid: { option: 'agentId' } } },
    needs: 'agentId',
    whole: 'listed',
    groups: 'allow_partys.partyid',
    users: 'allow_userinfos.user',
    userId: 'userid',
  },
};
