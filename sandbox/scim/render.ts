import type { Directory } from './directory.ts';
import type { Faults, Target } from './due.ts';
import type { Kind } from './ids.ts';
import type { Group, Person } from './registry.ts';
import {
  attributePath,
  groupResource,
  type Projection,
  project,
  type Resource,
  userResource,
  type View,
  visit,
} from './resources.ts';

/** How the rows of one answer are spoiled. Empty for an honest answer. */
export interface RowChange {
  /** What happens to the resource, in the order in which the faults were set within a type. */
  edits: ((resource: Resource, id: string) => void)[];
  /** Texts that stand in for whole rows, by id. */
  raw: Map<string, string>;
}

/** The row faults due for a request that shows these ids. `ids` is asked only when a fault names some. */
export function rowChange(faults: Faults, target: Target, ids: () => ReadonlySet<string>): RowChange {
  const change: RowChange = { edits: [], raw: new Map() };
  if (faults.none) return change;
  const shown = (fault: { ids?: string[] }) => !fault.ids || fault.ids.some((id) => ids().has(id));
  const groups = target.path === '/Groups';
  if (groups && faults.take('membersMissing', target)) change.edits.push((resource) => delete resource.members);
  if (groups && faults.take('membersEmpty', target)) {
    change.edits.push((resource) => {
      if (resource.members) resource.members = [];
    });
  }
  for (const fault of faults.takeAll('attributeAbsent', target, shown)) {
    change.edits.push(editor(fault, (owner, key) => delete owner[key]));
  }
  for (const fault of faults.takeAll('attributeNull', target, shown)) {
    change.edits.push(
      editor(fault, (owner, key) => {
        owner[key] = null;
      }),
    );
  }
  if (!groups && faults.take('activeAsString', target)) {
    change.edits.push((resource) => {
      if (typeof resource.active === 'boolean') resource.active = resource.active ? 'True' : 'False';
    });
  }
  for (const { id, json } of faults.takeAll('raw', target, (fault) => ids().has(fault.id))) change.raw.set(id, json);
  return change;
}

function editor(fault: { attribute: string; ids?: string[] }, edit: (owner: Resource, key: string) => void) {
  const path = attributePath(fault.attribute);
  return (resource: Resource, id: string) => {
    if (!fault.ids || fault.ids.includes(id)) visit(resource, path, edit);
  };
}

/** Nothing is spoiled. */
export const honest: RowChange = { edits: [], raw: new Map() };

/** Writes rows as JSON text. */
export class Renderer {
  readonly #directory: Directory;
  readonly #view: View;

  constructor(directory: Directory, view: View) {
    this.#directory = directory;
    this.#view = view;
  }

  /** The text of one row as this client may see it. */
  text(kind: Kind, row: Person | Group, projection: Projection, change: RowChange = honest): string {
    const id = this.#directory.id(kind, row.serial);
    const raw = change.raw.get(id);
    if (raw !== undefined) return raw;
    const resource = this.#resource(kind, row, projection);
    for (const edit of change.edits) edit(resource, id);
    return JSON.stringify(project(resource, projection));
  }

  #resource(kind: Kind, row: Person | Group, { only, without }: Projection): Resource {
    if (kind === 'User') return userResource(this.#directory, row as Person, this.#view);
    const isMembers = (attribute: string) => attributePath(attribute)[0]!.toLowerCase() === 'members';
    const unwanted = without.some((attribute) => attribute.toLowerCase() === 'members');
    const wanted = only.length === 0 ? !unwanted : only.some(isMembers);
    return groupResource(this.#directory, row as Group, this.#view, wanted);
  }
}
