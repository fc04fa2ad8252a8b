import type { Api, ListSpec, Lists } from './platform/fixture.ts';
import type { Row } from './platform/list.ts';
import { Refusal } from './platform/refusal.ts';

/** A department, as no platform writes it; edits of a record name these fields. */
export interface Department {
  id: string;
  name: string;
  /** Null for the root. */
  parent: string | null;
  note?: string;
}

/** A person, as no platform writes it; edits of a record name these fields. */
export interface Person {
  id: string;
  name: string;
  email: string;
  phone: string;
  title: string;
  number: string;
  /** At least one. */
  departments: string[];
  primary: string;
  /** May not sign in. */
  off: boolean;
  note?: string;
}

/** What an app may see of a company. */
export interface Visible {
  /** These with all below them; null: the whole company. */
  departments: string[] | null;
  /** Single people besides. */
  people: string[];
  /** Fields that records come without, for the app lacks the right to them; in the platform's names. */
  hidden: string[];
  /** The platform refuses to list everything below one department, for there is too much. */
  tooBig: boolean;
}

/** How a platform numbers its records, from 1; department 1 is the root. */
export interface Numbering {
  department(serial: number): string;
  person(serial: number): string;
}

/** People of a department, and departments below one, where nothing was changed. */
const seats = 20;
const branches = 5;
const everything: Visible = { departments: null, people: [], hidden: [], tooBig: false };
const views = new WeakMap<Lists, Visible>();

export function visible(lists: Lists): Visible {
  return views.get(lists) ?? everything;
}

/** Changes what the app may see, from the next answer on; `{}` shows everything again. */
export function show(lists: Lists, what: Partial<Visible>): void {
  views.set(lists, { ...everything, ...what });
  // Groups of records are kept until a record changes.
  for (const list of [lists.departments!, lists.people!]) for (const id of list.ids().slice(0, 1)) list.update(id);
}

/** A company: `rows` people in a tree of departments, one department for each twenty of them and at least three. */
export class Company {
  readonly lists: Record<'departments' | 'people', ListSpec>;
  readonly #ids: Numbering;

  constructor(ids: Numbering) {
    this.#ids = ids;
    this.lists = {
      departments: {
        rows: (rows) => Math.max(3, Math.ceil(rows / seats)),
        id: ids.department,
        removed: 'leaves',
        render: (row) => ({ ...this.department(row) }),
        groups: {
          children: (row) => [this.department(row).parent ?? ''],
          /** Under every department above it, and under its own id. */
          within: (row, lists) => this.path(lists, row.id),
          shown: (row, lists) => (this.shows(lists, row.id) ? ['yes'] : []),
        },
      },
      people: {
        id: ids.person,
        removed: 'leaves',
        render: (row, lists) => ({ ...this.person(row, lists) }),
        groups: {
          department: (row, lists) => this.person(row, lists).departments,
        },
      },
    };
  }

  department(row: Row): Department {
    const parent = row.serial === 1 ? null : this.#ids.department(Math.floor((row.serial - 2) / branches) + 1);
    const name = row.serial === 1 ? 'Example Ltd' : `Department ${row.serial}`;
    return { id: row.id, name, parent, ...(row.edits as Partial<Department>) };
  }

  person(row: Row, lists: Lists): Person {
    const { serial, id } = row;
    const home = this.#ids.department(Math.floor((serial - 1) / seats) + 1);
    const stands = lists.departments!.get(home)?.gone === null;
    const edits = row.edits as Partial<Person> | undefined;
    const facts: Omit<Person, 'primary'> = {
      id,
      name: `Person ${serial}`,
      email: `person${serial}@example.com`,
      phone: String(13_000_000_000 + serial),
      title: ['Engineer', 'Clerk', 'Manager'][serial % 3]!,
      number: `E${serial}`,
      departments: [stands ? home : this.#ids.department(1)],
      off: false,
      ...edits,
    };
    return { ...facts, primary: edits?.primary ?? facts.departments[0]! };
  }

  /** A department and all above it. */
  path(lists: Lists, id: string): string[] {
    const path: string[] = [];
    for (let at: string | null = id; at !== null && !path.includes(at); ) {
      const row: Row | undefined = lists.departments!.get(at);
      if (!row || row.gone !== null) break;
      path.push(at);
      at = this.department(row).parent;
    }
    return path;
  }

  shows(lists: Lists, department: string): boolean {
    const { departments } = visible(lists);
    return departments === null || this.path(lists, department).some((id) => departments.includes(id));
  }

  showsPerson(lists: Lists, id: string): boolean {
    const row = lists.people!.get(id);
    if (!row) return false;
    return visible(lists).people.includes(id) || this.person(row, lists).departments.some((d) => this.shows(lists, d));
  }

  /** For APIs that are asked about a department. @throws Refusal missing, gone, permission */
  readonly needsDepartment =
    (param: string): NonNullable<Api['check']> =>
    (params, lists) => {
      const id = params[param];
      if (id === undefined || id === '') throw new Refusal('missing', param);
      const row = lists.departments!.get(String(id));
      if (!row || row.gone !== null) throw new Refusal('gone', 'department');
      if (!this.shows(lists, row.id)) throw new Refusal('permission', 'department');
    };

  /** For APIs that are asked about a person. @throws Refusal missing, gone, permission */
  readonly needsPerson =
    (param: string): NonNullable<Api['check']> =>
    (params, lists) => {
      const row = lists.people!.get(String(params[param] ?? ''));
      if (!row || row.gone !== null) throw new Refusal('gone', 'person');
      if (!this.showsPerson(lists, row.id)) throw new Refusal('permission', 'person');
    };
}

/** A record without the fields that the app has no right to. */
export function without(record: Record<string, unknown>, lists: Lists): Record<string, unknown> {
  const { hidden } = visible(lists);
  return hidden.length === 0
    ? record
    : Object.fromEntries(Object.entries(record).filter(([key]) => !hidden.includes(key)));
}
