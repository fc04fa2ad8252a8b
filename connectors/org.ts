import * as v from 'valibot';
import { directoryOptions, type PersonField, personFieldNames } from './directory.ts';
import { optionsSchema } from './platform.ts';
import type { ApiCall, Connector, Paging, Path, Value } from './shape.ts';

/**
 * How orgSync reads the departments and people of an open platform: data that stands beside the connector, in its file.
 * activities/org/platform.ts is the reader; connectors/directories.ts lists the maps.
 */
export interface OrgMap {
  connector: Connector;
  /** Id of the department that all others hang below. Who sees it sees the whole company. */
  root: string;
  /** Ways to read, the usual one first. Of the others the first whose test fits is taken instead. */
  ways: readonly [OrgWay, ...OrgWay[]];
  /** Where the platform tells which departments and people the credential may see. Absent: it does not. */
  scope?: ScopeRead;
}

export interface OrgWay {
  /** What it brings, shown by `connect`. */
  title: string;
  /** Taken when the platform allows the first call and forbids the second. Absent: the usual way. */
  test?: { allowed: ApiCall; forbidden: ApiCall };
  /** The first list is read; one that the platform calls too big (`too-big`) gives place to the next. */
  groups: readonly [GroupList, GroupList?];
  users: UserList;
  /** Reads of one record by id. Absent: the credential has none, and nobody missing can be asked for. */
  direct?: { group: DirectRead; user: DirectRead };
}

export interface GroupList {
  /** Stream of the connector that is read. */
  stream: string;
  /** Parameter that carries the department that is asked about. */
  param: string;
  /** Parameters besides the stream's, or in their place. */
  params?: Record<string, Value>;
  /** True: an answer holds the children of one department, and every department is asked. False: all that hang below it. */
  tree: boolean;
  /**
   * True: the department asked about stands in the answer too, and without one the platform answers with all it may show.
   * False: the roots are read one by one.
   */
  itself: boolean;
  id: Path;
  /** Absent: no names are told; ours stay, and a new group is named by its id. */
  name?: Path;
  parent: Path;
}

/** Read once for each department where the stream has `over: each`, else as one list. */
export interface UserList {
  stream: string;
  id: PersonId;
  /** Ids of the person's departments: a list or one. */
  groups: Path;
  /** Which of them is the primary one: its id, or the entry of a list whose flag is true. Absent: not told. */
  primary?: Path | { list: Path; group: Path; flag: Path };
  /** Where the fields stand. `userName` is the id where nothing is said; `active` follows from `off`. */
  fields: Partial<Record<Exclude<PersonField, 'active'>, Path>>;
  /** Values that mean that a person may not sign in; a record with none of these paths says nothing. Absent: never told. */
  off?: readonly { path: Path; is: readonly (string | number | boolean)[] }[];
}

/** A path, or the setting of the connection that names it. */
export type PersonId = Path | { option: string };

export interface DirectRead {
  call: ApiCall;
  /** Parameter that carries the id. */
  param: string;
  /** The record in the payload. */
  row: Path;
  /** A record with this value is gone although it is answered. */
  gone?: { path: Path; is: readonly (string | number | boolean)[] };
}

export interface ScopeRead {
  call: ApiCall;
  /** Default `whole`. */
  paging?: Paging;
  /** Setting that the call needs; without a value the scope is not told. */
  needs?: string;
  /** How it shows that everything may be seen: the root stands among `groups`, or the root can be read. */
  whole: 'listed' | 'readable';
  /** Lists of ids in the payload: departments with all that hangs below them, and single people. */
  groups: Path;
  users: Path;
  /** Where the id stands, if the entries of `users` are objects. */
  userId?: Path;
}

const path = v.pipe(v.string(), v.minLength(1), v.maxLength(200));
const mappable = personFieldNames.filter((field) => field !== 'active');

/** Options of a connection whose platform is read as a directory: its connector's, those of every directory, and these. */
export function orgOptions({ connector }: OrgMap) {
  return v.strictObject({
    ...optionsSchema(connector).entries,
    ...directoryOptions,
    /**
     * Ids of the departments to read, with all that hangs below them. Default: everything the credential may see. Other
     * roots are another scope. Nobody missing is then asked for one by one: the guards alone decide.
     */
    roots: v.optional(v.pipe(v.array(v.pipe(v.string(), v.minLength(1), v.maxLength(255))), v.minLength(1))),
    /** Other places for the fields of a person, keys joined by dots, e.g. {"userName": "email"}. */
    mapping: v.optional(
      v.partial(
        v.strictObject(
          Object.fromEntries(mappable.map((f) => [f, path])) as Record<(typeof mappable)[number], typeof path>,
        ),
      ),
      {},
    ),
    /** Extra fields kept in org.users.attributes: our key to path. */
    attributes: v.optional(v.record(v.string(), path), {}),
  });
}

export type OrgOptions = v.InferOutput<ReturnType<typeof orgOptions>>;
