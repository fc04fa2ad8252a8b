import { Agent, request } from 'undici';
import { type ScimSandbox, type ScimSandboxOptions, startScimSandbox } from '../../sandbox/scim.ts';

export interface Row {
  id: string;
  [attribute: string]: unknown;
}
interface List {
  totalResults?: number;
  startIndex?: number;
  itemsPerPage: number;
  nextCursor?: string;
  Resources: Row[];
}

const agent = new Agent();
const running: ScimSandbox[] = [];

export async function start(options: Partial<ScimSandboxOptions> = {}): Promise<ScimSandbox> {
  const sandbox = await startScimSandbox({ users: 57, groups: 12, ...options });
  running.push(sandbox);
  return sandbox;
}

export async function call(
  sandbox: { url: string; token: string },
  path: string,
  {
    method = 'GET',
    body,
    token = sandbox.token,
  }: { method?: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'; body?: object; token?: string } = {},
) {
  const response = await request(`${sandbox.url}${path}`, {
    dispatcher: agent,
    method,
    headers: { authorization: `Bearer ${token}` },
    body: body && JSON.stringify(body),
  });
  return { status: response.statusCode, headers: response.headers, text: await response.body.text() };
}

export const list = async (sandbox: { url: string; token: string }, path: string) =>
  JSON.parse((await call(sandbox, path)).text) as List;
export const ids = (page: List) => page.Resources.map(({ id }) => id);
export const failure = async (sandbox: ScimSandbox, path: string, options: Parameters<typeof call>[2] = {}) => {
  const { status, text } = await call(sandbox, path, options);
  const { scimType, detail, ...body } = JSON.parse(text);
  return { status, scimType, detail, bodyStatus: body.status };
};

/** Reads until an empty page, by the rows that came. */
export async function byIndex(sandbox: { url: string; token: string }, path: string, count: number): Promise<string[]> {
  const all: string[] = [];
  for (;;) {
    const page = await list(sandbox, `${path}?startIndex=${all.length + 1}&count=${count}`);
    if (page.Resources.length === 0) return all;
    all.push(...ids(page));
  }
}

export async function byCursor(sandbox: ScimSandbox, path: string, count: number): Promise<string[]> {
  const all: string[] = [];
  for (let cursor: string | undefined = ''; cursor !== undefined; ) {
    const page: List = await list(sandbox, `${path}?count=${count}&cursor=${cursor}`);
    all.push(...ids(page));
    cursor = page.nextCursor;
  }
  return all;
}

/** Stops every sandbox that `start` started; for `afterEach`. */
export async function stopScim(): Promise<void> {
  await Promise.all(running.splice(0).map((sandbox) => sandbox.stop()));
}
