import type { Pool } from '../../db/client.ts';
import { type ChangeRow, countChanges, listChanges } from '../../db/org/report.ts';
import type { DirectoryRows, GroupRow } from '../../db/org/rows.ts';
import type { OrgSyncResult } from '../../workflows/org.result.ts';
import { applySteps } from '../../workflows/org.view.ts';
import { columns, count, counted } from '../cli/words.ts';
import type { Round } from './change.ts';

/** `6 people join, …`: what happened at the source. */
export function describeRound({ joined, left, edited, moved, rehomed }: Round): string {
  return (
    `${count(joined)} joined, ${count(left)} left, ${count(edited)} got another title, ${count(moved)} changed groups; ` +
    `groups: 1 new, 1 renamed, 1 moved, 1 closed (its ${count(rehomed)} people go to another)`
  );
}

/** What a run did, in a few lines: how it ended, what it noticed, what it wrote by step. */
export async function describeResult(pool: Pool, result: OrgSyncResult): Promise<string[]> {
  const { mode, outcome, plan, durationMs, requests, notes } = result;
  const counts = await countChanges(pool, plan ?? 0);
  const written = applySteps.flatMap((step) => {
    const mine = counts.filter((c) => c.step === step);
    return mine.length === 0 ? [] : [[step, mine.map((c) => `${c.kind} ${c.action} ${count(c.count)}`).join(', ')]];
  });
  const seconds = `${(durationMs / 1000).toFixed(1)} s`;
  return [
    ...columns(written),
    ...notes.map((note) => `note: ${note}`),
    `${outcome}: ${mode} run, plan ${plan}, ${counted(requests, 'request')}, ${seconds}`,
  ];
}

/** Of each kind of change in a plan one row, before -> after. */
export async function describeChanges(pool: Pool, plan: number, copy: DirectoryRows): Promise<string[]> {
  const lines: string[][] = [];
  for (const step of applySteps) {
    const rows = await listChanges(pool, plan, { step, limit: 1_000 });
    const seen = new Set<string>();
    for (const row of rows) {
      if (row.kind === 'membership' || seen.has(row.action)) continue;
      seen.add(row.action);
      lines.push([step, row.action, describeRow(row, copy)]);
    }
    if (step === 'moveUsers') for (const move of describeMove(rows, copy)) lines.push([step, 'move', move]);
  }
  return columns(lines);
}

const shown = 3;

/** Some rows as they stand in the tables, those written last. */
export function describeTables({ users, groups, memberships }: DirectoryRows): string[] {
  const mainGroup = (user: string) => memberships.find((m) => m.userId === user && m.isPrimary)?.groupId;
  const people = users.filter((u) => u.living).slice(0, shown);
  const units = groups.filter((g) => g.living).slice(0, shown);
  return [
    ...columns([
      ['org.users', 'user_name', 'display_name', 'title', 'main group'],
      ...people.map((u) => ['', u.userName, u.displayName ?? '', u.title ?? '', nameOf(groups, mainGroup(u.id))]),
    ]),
    ...columns([
      ['org.groups', 'name', 'parent', 'people'],
      ...units.map((g) => [
        '',
        g.name,
        nameOf(groups, g.parentId),
        count(memberships.filter((m) => m.groupId === g.id).length),
      ]),
    ]),
  ];
}

function nameOf(groups: readonly GroupRow[], id: unknown): string {
  return groups.find((group) => group.id === id)?.name ?? 'none';
}

function describeRow({ before, after }: ChangeRow, { groups }: DirectoryRows): string {
  const name = (side: ChangeRow['before']) => String(side?.display_name ?? side?.name ?? '');
  if (before === null) return `none -> ${name(after)}`;
  if (after === null) return `${name(before)} -> gone`;
  const text = (key: string, value: unknown) => (key === 'parent_id' ? nameOf(groups, value) : String(value ?? 'none'));
  const fields = Object.keys({ ...before, ...after })
    .filter((key) => before[key] !== after[key])
    .map((key) => `${key} ${text(key, before[key])} -> ${text(key, after[key])}`);
  return `${name(before)}: ${fields.join('; ')}`;
}

/** A person who left one group and entered another; nothing when there is none. */
function describeMove(rows: readonly ChangeRow[], { users, groups }: DirectoryRows): string[] {
  const into = (id: string) => rows.find((row) => row.action === 'add' && row.sourceId === id);
  const out = rows.find((row) => row.action === 'remove' && into(row.sourceId));
  if (!out) return [];
  const person = users.find(({ id }) => id === out.sourceId)?.displayName;
  return [`${person}: ${nameOf(groups, out.groupId)} -> ${nameOf(groups, into(out.sourceId)?.groupId)}`];
}
