import * as v from 'valibot';

/** Fields of a person that a directory may fill, with the longest value we keep (characters). */
export const personFields = {
  /** Sign-in name; unique in the tenant without regard to case. The one field a person must have. */
  userName: 256,
  displayName: 256,
  givenName: 256,
  familyName: 256,
  /** RFC 5321: 64 + @ + 255. */
  email: 320,
  phone: 64,
  title: 256,
  employeeNumber: 64,
  /** Boolean: false = suspended at the source. */
  active: 5,
} as const;

export type PersonField = keyof typeof personFields;
export const personFieldNames = Object.keys(personFields) as PersonField[];

/** Longest source id and group name we keep (characters). */
export const idLength = 255;
export const groupNameLength = 256;

/** `undefined`: the source did not say. `null`: the source says there is none. */
export type Told<T> = T | null | undefined;

/** A person as a connector reads it from one record, unchecked. */
export interface DirectoryUser {
  id: unknown;
  fields: Partial<Record<PersonField, unknown>>;
  /** Values of the option `attributes`, by its keys. */
  attributes?: Record<string, unknown>;
}

/** A group as a connector reads it from one record, unchecked. */
export interface DirectoryGroup {
  id: unknown;
  name: unknown;
  /** True: names are not told to this credential. Ours stays, and a new group is named by its id. */
  namesUntold?: boolean;
  parentId?: Told<unknown>;
  /** Undefined when the answer carried no member list at all. */
  members: DirectoryMember[] | undefined;
}

export interface DirectoryMember {
  id: unknown;
  /** True: a group; null: the source did not say. */
  isGroup: boolean | null;
  isPrimary: boolean;
}

const percent = (fallback: number) => v.optional(v.pipe(v.number(), v.minValue(0), v.maxValue(100)), fallback);
const whole = (fallback: number, least = 0, most = 100_000_000) =>
  v.optional(v.pipe(v.number(), v.integer(), v.minValue(least), v.maxValue(most)), fallback);

const deletions = {
  /** Most deletions (`deactivations`: people switched off) by count. Default 500 (Entra Connect's default). */
  count: whole(500),
  /** Most of them as percent of the living rows. Default 20 (Okta's default). */
  percent: percent(20),
  /** Below 100 living rows: most of them by count. Default 20. */
  smallCount: whole(20),
  /** Below 100 living rows: most of them in percent. Default 50. */
  smallPercent: percent(50),
} as const;
const guard = v.optional(v.strictObject(deletions), {});

/** Options of every directory connection. Each has a default; `connect` stores only what was given. */
export const directoryOptions = {
  /**
   * Most living people in the whole tenant, over all its connections. Exceeding it fails the run. Default null: none. It
   * holds runs of the connections that have it: a sibling without it adds people past it, so give it to each.
   */
  userLimit: v.optional(v.nullable(v.pipe(v.number(), v.integer(), v.minValue(0))), null),
  /** What a plan may do without being asked; more parks the run for approve or decline. */
  guards: v.optional(
    v.strictObject({
      users: guard,
      groups: v.optional(
        v.strictObject({
          ...deletions,
          /**
           * Most groups moved or renamed in percent of the living, judged from 100 on. Default 50. A source that tells
           * parents in another way moves nearly all of them.
           */
          changesPercent: percent(50),
        }),
        {},
      ),
      /** People whose `active` goes from true to false: they lose their access as if they were deleted. */
      deactivations: guard,
      /** Most memberships taken from living people, in percent of those there are, judged from 100 on. Default 20. */
      membershipsPercent: percent(20),
      /** Most additions in percent of the living rows (users, groups), judged from 100 on. Default 50. */
      additionsPercent: percent(50),
      /**
       * Most people edited in percent of the living, judged from 100 on. Default 50. A source that sends another field
       * in place of names edits nearly everybody, a day's work never half of them. A change of mapping is judged too.
       */
      editsPercent: percent(50),
    }),
    {},
  ),
  /**
   * A list without rows where we hold some is planned and judged by the guards, instead of failing the run. Default
   * false. Deleting everybody is still asked for. Groups of which none is a member of another any more become roots,
   * instead of staying where they hang; people of whom none carries the lock that active is mapped to (LDAP) are active,
   * instead of staying suspended. Take it back afterwards with --unset allowEmpty.
   */
  allowEmpty: v.optional(v.boolean(), false),
  /** Hours a parked run waits for an answer before it fails. Default 168 (a week). */
  approvalHours: v.optional(v.pipe(v.number(), v.minValue(0.001), v.maxValue(8_760)), 168),
  /** Deepest group level accepted; the root is level 1. Default 32. */
  maxDepth: whole(32, 1, 1_000),
  /** `reject`: a person in no valid group is handed back. `accept`: written without a group. Default reject. */
  usersWithoutGroup: v.optional(v.picklist(['reject', 'accept']), 'reject'),
  /** Steps that are switched off for every run of the connection, e.g. {"deleteUsers": false}. All on by default. */
  steps: v.optional(
    v.record(
      v.picklist(['deleteUsers', 'addGroups', 'moveUsers', 'addUsers', 'editUsers', 'deleteGroups']),
      v.boolean(),
    ),
    {},
  ),
  /**
   * Missing people or groups confirmed one by one by a direct read, at most; of more, five are asked for, and one who is
   * there keeps all. One that the list shows is read before and after: a source that does not find it proves nobody gone.
   * 0: the guards alone decide. Default 200.
   */
  confirmMissing: whole(200, 0, 10_000),
  /** Days that plans and their changes are kept. Default 90. */
  changesDays: whole(90, 1, 3_650),
} as const;
