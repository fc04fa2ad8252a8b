import { expect, test } from 'vitest';
import { openCli } from './harness/cli.ts';

const { world, cli, shop } = await openCli();

/** 100 comments, of which the first has no id. */
async function nameless() {
  const { name, source } = await shop({ rows: 1_000, limits: 'none' });
  const { comments } = source.lists;
  const ids = comments?.ids() ?? [];
  const strip = (at: number, content: string) =>
    comments?.update(ids[at] as string, { commentId: null, content }, Date.now() - 60_000);
  const sync = (...more: string[]) => cli(['start', 'platformSync', name, '--streams', 'comments', '--wait', ...more]);
  return { name, comments, ids, strip, sync };
}

async function numberOf(name: string): Promise<number> {
  const { rejects } = JSON.parse((await cli(`rejects ${name} --json`)).out);
  return rejects.rows[0].id;
}

test('a record without an id puts its stream in doubt until a person says that it is nobody', async () => {
  const { name, comments, ids, strip, sync } = await nameless();
  strip(0, 'a ghost');
  const first = await sync();
  expect(first.code).toBe(4);
  expect(first.out).toContain(
    `comments: may lack rows: records without a usable id came: nobody can tell who they are. Look at them: npx syncline rejects ${name} --stream comments`,
  );
  expect((await sync()).code, 'it stays').toBe(4);
  const number = await numberOf(name);
  const listed = (await cli(`rejects ${name} --stream comments`)).out;
  expect(listed).toMatch(new RegExp(`${name} comments no id \\S{16}: missing_field \\(commentId\\)\n`));
  expect(listed).toContain(`If it is none of yours: npx syncline rejects ${name} --accept ${number}`);
  expect(listed, 'personal data').not.toContain('a ghost');

  const accepted = await cli(`rejects ${name} --accept ${number}`);
  expect(accepted).toMatchObject({
    code: 0,
    out: expect.stringMatching(/^Accepted: this very record no longer puts comments/),
  });
  const whole = await sync();
  expect(whole).toMatchObject({
    code: 0,
    out: expect.stringMatching(/comments +whole +full +100 rows +\d+ written +0 deleted +0 set/),
  });
  expect((await cli(`rejects ${name}`)).out).toContain('Nothing is handed back.');
  expect((await cli(`rejects ${name} --accepted`)).out).toContain(`reject ${number}`);

  // Another one is not covered, and neither is the same one with something else in it.
  strip(0, 'another ghost');
  expect((await sync()).code).toBe(4);
  comments?.update(ids[0] as string, { content: 'a ghost' }, Date.now() - 60_000);
  expect((await sync()).code, 'its time of change is part of it').toBe(4);
});

test('what was accepted weakens no guard on deletions, and can be taken back', async () => {
  const { name, comments, ids, strip, sync } = await nameless();
  expect((await sync()).code).toBe(0);
  strip(0, 'a ghost');
  expect((await sync()).code).toBe(4);
  const number = await numberOf(name);
  const living = async () =>
    (
      await world.pool.query(
        'SELECT count(*)::int AS n FROM kuaishou.comments WHERE connection_id = $1 AND deleted_at IS NULL',
        [name],
      )
    ).rows[0].n;
  expect(await living(), 'in doubt nobody is taken for gone').toBe(100);
  await cli(`rejects ${name} --accept ${number}`);
  for (const id of ids.slice(1, 41)) comments?.remove(id);
  const guarded = await sync();
  expect(guarded.code).toBe(4);
  expect(guarded.out).toContain('comments: 41 rows missing at the source stay, more than may go without asking.');
  expect(await living()).toBe(100);
  expect((await sync('--accept-deletions')).code).toBe(0);
  expect(await living()).toBe(59);

  expect(await cli(`rejects ${name} --take-back ${number}`)).toMatchObject({ code: 0 });
  expect((await sync()).code).toBe(4);
  for (const [line, message] of [
    [
      `rejects ${name} --accept 999999`,
      `--accept: got 999999, accepted the number of a record without an id: ${number}`,
    ],
    [`rejects ${name} --take-back ${number}`, `accepted the number of a record that was accepted: ${name} has none`],
    [`rejects --accept ${number}`, `--accept: got ${number} without a connection`],
  ] as const)
    expect(await cli(line)).toMatchObject({ code: 2, err: expect.stringContaining(message) });
});
