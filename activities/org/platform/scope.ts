import { createHash } from 'node:crypto';
import type { ScopeRead } from '../../../connectors/org.ts';
import { SyncError } from '../../errors.ts';
import { paginate } from '../../http/paginate.ts';
import { valueAt } from '../../http/values.ts';
import { type ChosenWay, permits, type Reader, readDirect } from './calls.ts';
import { idsOf } from './rows.ts';

/** What the credential may see. Who is outside of it is missing from every list, just like somebody who left. */
export interface Scope {
  way: ChosenWay;
  /** Tells one scope from another: two reads with the same mark saw the same part of the company. */
  mark: string;
  /** Departments to begin at, in order; null: everything the platform shows. */
  roots: string[] | null;
  /** In words, for `connect`. */
  told: string;
}

/**
 * Asks the platform what may be seen; at most a handful of calls.
 * @param known the way, where it was chosen a moment ago
 */
export async function readScope(reader: Reader, signal: AbortSignal, known?: ChosenWay): Promise<Scope> {
  const way = known ?? (await chooseWay(reader, signal));
  const { mark, roots, told } = await visible(reader, way, signal);
  // The options' own roots are part of the connection's scope already.
  return { way, mark: `${way.no}:${mark}`, roots: reader.options.roots?.toSorted() ?? roots, told };
}

async function chooseWay(reader: Reader, signal: AbortSignal): Promise<ChosenWay> {
  for (const [no, way] of reader.map.ways.entries()) {
    if (way.test === undefined) continue;
    if (!(await permits(reader, way.test.allowed, signal))) continue;
    if (!(await permits(reader, way.test.forbidden, signal))) return { ...way, no };
  }
  return { ...reader.map.ways[0], no: 0 };
}

async function visible(reader: Reader, way: ChosenWay, signal: AbortSignal): Promise<Omit<Scope, 'way'>> {
  const { root, scope } = reader.map;
  const whole = { mark: 'whole', roots: way.groups[0].itself ? null : [root], told: 'the whole company' };
  // Without direct reads the credential is one for the whole company.
  if (way.direct === undefined) return whole;
  if (scope?.whole === 'readable') {
    const read = await readDirect(reader, way.direct.group, root, signal);
    if (read !== 'hidden') return whole;
  }
  const lists = scope && (await readLists(reader, scope, signal));
  if (!lists) return { ...whole, mark: 'untold', told: 'what the platform shows; it does not tell how much that is' };
  if (scope.whole === 'listed' && lists.groups.includes(root)) return whole;
  const digest = createHash('sha256')
    .update(JSON.stringify([lists.groups, lists.users]))
    .digest('hex')
    .slice(0, 16);
  const people = lists.users.length > 0 ? `; ${lists.users.length} single people besides are not read` : '';
  return {
    mark: digest,
    roots: lists.groups,
    told: `${lists.groups.length} departments with all below them${people}`,
  };
}

interface Lists {
  groups: string[];
  users: string[];
}

/** Null where the platform does not tell this credential. */
async function readLists(reader: Reader, scope: ScopeRead, signal: AbortSignal): Promise<Lists | null> {
  if (scope.needs !== undefined && !reader.options[scope.needs]) return null;
  const lists = { groups: new Set<string>(), users: new Set<string>() };
  const stream = {
    title: 'scope',
    call: scope.call,
    rows: '',
    key: '',
    paging: scope.paging ?? { kind: 'whole' as const },
    deletes: { kind: 'sweep' as const },
    columns: {},
  };
  try {
    for await (const page of paginate(reader.client, 'scope', stream, { params: {}, cursor: null, signal })) {
      for (const part of page.rows) {
        for (const id of idsOf(valueAt(part, scope.groups))) lists.groups.add(id);
        const people = valueAt(part, scope.users);
        for (const one of Array.isArray(people) ? people : [])
          for (const id of idsOf(scope.userId === undefined ? one : valueAt(one, scope.userId))) lists.users.add(id);
      }
    }
  } catch (error) {
    if (error instanceof SyncError && error.type === 'Forbidden') return null;
    throw error;
  }
  return { groups: [...lists.groups].sort(), users: [...lists.users].sort() };
}
