import { afterAll, describe, expect, it } from 'vitest';
import { openTokens, type Tokens } from '../activities/http/auth.ts';
import type { Throttle } from '../activities/http/throttle.ts';
import { emptyPage, type OrgSource, type SourcePage, type StagedGroups } from '../activities/org/source.ts';
import { openSource } from '../activities/org/sources.ts';
import { loadConnection } from '../db/connections.ts';
import type { StagePage, Stream } from '../db/org/stageRows.ts';
import { show } from '../sandbox/company.ts';
import { wecomSecrets } from '../sandbox/wecom.ts';
import { type CompanyOptions, type CompanyPlatform, startCompany } from './harness/companies.ts';
import { openWorld } from './harness/world.ts';

const world = await openWorld({ worker: false });
const tokens: Tokens = openTokens({ pool: world.pool, key: world.key });
afterAll(() => tokens.close());
/** The limits are of no interest here: what counts is which calls are made. */
const throttle: Throttle = {
  take: async () => undefined,
  refused: async () => undefined,
  close: async () => undefined,
};
const { signal } = new AbortController();

/** Everything that was read so far, as the stage of a run holds it. */
class Stage implements StagedGroups {
  readonly all = emptyPage();

  add({ page }: Pick<SourcePage, 'page'>): void {
    for (const key of ['groups', 'users', 'members', 'unkeyed'] as const)
      (this.all[key] as unknown[]).push(...page[key]);
  }

  async ids(after: string, most: number): Promise<string[]> {
    return this.#after(new Set(this.all.groups.map(({ id }) => id)), after, most);
  }

  async level(level: number, after: string, most: number): Promise<string[]> {
    const seen = new Set<string>();
    let ids = this.#childrenOf(null);
    for (let at = 1; at < level; at++) {
      for (const id of ids) seen.add(id);
      ids = ids.flatMap((id) => this.#childrenOf(id)).filter((id) => !seen.has(id));
    }
    return this.#after(new Set(ids), after, most);
  }

  async count(): Promise<number> {
    return new Set(this.all.groups.map(({ id }) => id)).size;
  }

  #childrenOf(parent: string | null): string[] {
    return this.all.groups.flatMap(({ id, parentId }) => (parentId === parent ? [id] : []));
  }

  #after(ids: Set<string>, after: string, most: number): string[] {
    return [...ids]
      .filter((id) => id > after)
      .sort()
      .slice(0, most);
  }
}

/** Rows without repetition, in one order. */
function contents({ groups, users, members }: StagePage): string[] {
  return [...new Set([...groups, ...users, ...members].map((row) => JSON.stringify(row)))].sort();
}

interface Cut {
  cursor: unknown;
  stage: Stage;
  ended: SourcePage['ended'];
}

/** Reads a list from a cursor, at most so many pages of it. */
async function read(source: OrgSource, stream: Stream, from: Cut, pages = Number.POSITIVE_INFINITY): Promise<Cut> {
  const cut = { ...from };
  let left = pages;
  for await (const page of source.pages(stream, cut.cursor, signal, from.stage)) {
    from.stage.add(page);
    // Committed as JSON and read by another worker.
    Object.assign(cut, { cursor: JSON.parse(JSON.stringify(page.cursor)), ended: page.ended });
    left -= 1;
    if (left === 0) break;
  }
  return cut;
}

const fresh = (): Cut => ({ cursor: null, stage: new Stage(), ended: null });

const cases: [name: string, platform: CompanyPlatform, options: CompanyOptions, tooBig?: boolean][] = [
  ['WeCom', 'wecom', { credential: { corpsecret: wecomSecrets.app } }],
  ['WeCom with the secret of the contact sync', 'wecom', { credential: { corpsecret: wecomSecrets.sync } }],
  ['DingTalk', 'dingtalk', {}],
  ['Feishu', 'feishu', {}],
  ['Feishu level by level', 'feishu', {}, true],
  ['Feishu with several roots', 'feishu', { options: { roots: ['od-00000002', 'od-00000005', 'od-00000004'] } }],
];

describe.each(cases)('%s', (_name, platform, options, tooBig) => {
  it('goes on from every page as if nothing had happened, and keeps little in its place', async () => {
    const company = await startCompany(world, platform, { rows: 240, ...options });
    const { source: sandbox, name, kind, departments, people } = company;
    // One department with pages of its own, and people in several.
    const [, crowded, other] = departments() as [string, string, string];
    for (const id of people().slice(0, 120)) sandbox.lists.people!.update(id, { departments: [crowded, other] });
    if (tooBig) show(sandbox.lists, { tooBig });
    const source = openSource(await loadConnection(world.pool, world.key, name), { throttle, tokens });
    for (const stream of ['groups', 'users'] as const) {
      const begun = async () => {
        const cut = fresh();
        if (stream === 'users') await read(source, 'groups', cut);
        return cut;
      };
      const whole = await read(source, stream, await begun());
      expect(whole.ended).toMatchObject({ doubt: null });
      expect(whole.stage.all.unkeyed).toEqual([]);
      expect(whole.stage.all[stream].length).toBeGreaterThan(3);
      for (let pages = 1; ; pages++) {
        const cut = await read(source, stream, await begun(), pages);
        expect(JSON.stringify(cut.cursor).length).toBeLessThan(2_000);
        if (cut.ended) break;
        const again = await read(source, stream, { ...cut, ended: null });
        expect(contents(again.stage.all), `cut after page ${pages} of ${stream}`).toEqual(contents(whole.stage.all));
        expect(again.ended).toEqual(whole.ended);
      }
    }
    await source.close();
    expect(sandbox.requests.failed).toBe(0);
    expect(sandbox.requests.byApi[kind.people]?.wrong ?? 0).toBe(0);
  });
});
