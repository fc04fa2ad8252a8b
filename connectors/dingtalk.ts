import type { OrgMap } from './org.ts';
import type { Connector, Rate } from './shape.ts';

/** Of one app, company and API. */
const perApi: readonly Rate[] = [{ requests: 40, perMs: 1_000 }];

export const dingtalk: Connector = {
  platform: 'dingtalk',
  title: 'DingTalk (钉钉)',
  baseUrl: 'https://oapi.dingtalk.com',
  settings: {
    appKey: { secret: false, about: 'Client id (AppKey) of the app: developer console, credentials.' },
    appSecret: { secret: true, about: 'Client secret (AppSecret) of the app.' },
  },
  auth: {
    kind: 'token',
    obtain: {
      method: 'GET',
      path: '/gettoken',
      in: 'query',
      params: { appkey: { option: 'appKey' }, appsecret: { secret: 'appSecret' } },
      answer: { access: 'access_token', expires: { path: 'expires_in', unit: 's' }, lifeSeconds: 7_200 },
    },
    place: { in: 'query', name: 'access_token' },
  },
  gateway: {
    path: '/{api}',
    method: 'POST',
    system: { in: 'query', params: {} },
    business: { in: 'form' },
  },
  envelope: {
    shapes: [
      // The page of an IP ban has no errcode.
      { when: 'punish', ok: 'failure', code: ['status'], text: ['punish'], data: '' },
      { when: 'auth_org_scopes', ok: { path: 'errcode', is: [0] }, code: ['errcode'], data: 'auth_org_scopes' },
      {
        ok: { path: 'errcode', is: [0] },
        code: ['sub_code', 'errcode'],
        text: ['sub_msg', 'errmsg'],
        data: 'result',
      },
    ],
    rules: [
      {
        code: [1111],
        verdict: 'retry-after',
        waitMs: 300_000,
        level: 'platform',
        hint: 'DingTalk banned the address of this worker for 5 minutes: more than 10,000 calls in 20 s came from it.',
      },
      {
        notJson: true,
        text: 'punish|x5sec',
        verdict: 'retry-after',
        waitMs: 300_000,
        level: 'platform',
        hint: 'DingTalk banned the address of this worker for 5 minutes: more than 10,000 calls in 20 s came from it.',
      },
      { code: [40014, 42001], verdict: 'token' },
      { code: [40089], verdict: 'app', hint: 'The option appKey or the secret is wrong.' },
      { code: [50002, 50004], verdict: 'permission', hint: "It is outside of the app's contact scope." },
      {
        code: [60011],
        verdict: 'permission',
        hint: 'The app lacks the permission for this API or department: grant reading of departments and members.',
      },
      { code: [33012, 60121, 60003], verdict: 'gone' },
      { code: [90018, 90019], verdict: 'retry-after', waitMs: 1_000, level: 'endpoint' },
      { code: [90002], verdict: 'retry-after', waitMs: 1_000, level: 'api' },
      {
        code: [90020, 'Forbidden.AccessDenied.ApiCountLimitForOrg'],
        verdict: 'quota',
        until: 'midnight',
        hint: "The month's calls of the company are used up: buy more or wait for the next month.",
      },
      { code: [22], verdict: 'bad-request' },
      { code: [-1], verdict: 'busy', waitMs: 5_000 },
    ],
  },
  // Of one IP over all APIs; more is a ban of five minutes.
  limits: { platform: [{ requests: 10_000, perMs: 20_000 }] },
  streams: {
    departments: {
      title: 'Departments below the root, one call a department',
      call: { api: 'topapi/v2/department/listsub', params: {} },
      rows: '',
      key: 'dept_id',
      paging: { kind: 'whole' },
      over: { kind: 'tree', root: 1, param: 'dept_id' },
      deletes: { kind: 'sweep' },
      columns: { name: { path: 'name', type: 'text' }, parent: { path: 'parent_id', type: 'bigint' } },
      limits: perApi,
    },
    users: {
      title: 'People, department by department',
      call: { api: 'topapi/v2/user/list', params: {} },
      rows: 'list',
      key: 'userid',
      // The cursor is the number of the next row, which moves when people leave: read as one, with pages that overlap.
      paging: {
        kind: 'offset',
        param: 'cursor',
        first: 0,
        size: { param: 'size', rows: 100 },
        more: 'has_more',
        order: 'fixed',
      },
      over: {
        kind: 'each',
        stream: 'departments',
        param: 'dept_id',
        batch: 1,
        when: 'all',
        also: ['1'],
        brings: 'several',
      },
      deletes: { kind: 'sweep' },
      columns: {
        name: { path: 'name', type: 'text' },
        unionid: { path: 'unionid', type: 'text' },
        departments: { path: 'dept_id_list', type: 'jsonb' },
        title: { path: 'title', type: 'text' },
        job_number: { path: 'job_number', type: 'text' },
        active: { path: 'active', type: 'boolean' },
      },
      limits: perApi,
    },
  },
  unconfirmed: [
    { at: 'envelope.rules', what: '90018 is the limit of internal apps, 90019 that of third-party apps' },
    {
      at: 'envelope.rules',
      what: '50002 (person outside of the scope) and 40089 (wrong app key) are known from reports alone',
    },
    { at: 'envelope.rules', what: 'an IP ban answered as a page of HTML is known by the words punish or x5sec' },
    { at: 'envelope.rules', what: "the month's quota is asked for again every midnight, Beijing time" },
    {
      at: 'streams.users.paging',
      what: 'that the cursor counts rows, and that other ones than the given next_cursor are taken',
    },
  ],
};

export const dingtalkOrg: OrgMap = {
  connector: dingtalk,
  root: '1',
  ways: [
    {
      title: 'departments and people of the contact scope',
      groups: [
        {
          stream: 'departments',
          param: 'dept_id',
          tree: true,
          itself: false,
          id: 'dept_id',
          name: 'name',
          parent: 'parent_id',
        },
      ],
      users: {
        stream: 'users',
        id: 'userid',
        groups: 'dept_id_list',
        // `active` says whether a person ever signed in; it suspends nobody and is not taken.
        fields: { displayName: 'name', email: 'email', phone: 'mobile', title: 'title', employeeNumber: 'job_number' },
      },
      direct: {
        group: { call: { api: 'topapi/v2/department/get', params: {} }, param: 'dept_id', row: '' },
        user: { call: { api: 'topapi/v2/user/get', params: {} }, param: 'userid', row: '' },
      },
    },
  ],
  scope: {
    call: { api: 'auth/scopes', method: 'GET', params: {} },
    whole: 'listed',
    groups: 'authed_dept',
    users: 'authed_user',
  },
};
