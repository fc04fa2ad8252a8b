interface Reason {
  why: string;
  remedy: string;
}

/** Why a record was handed back, and what repairs it; the codes stand in `syncline.rejects.reason`. */
const org: Record<string, Reason> = {
  missing_field: {
    why: 'a field that must be there is absent or empty',
    remedy: 'fill it at the source, or map another attribute to it (option mapping)',
  },
  wrong_type: {
    why: 'a field holds a list or an object where text belongs',
    remedy: 'map the path of the text itself (option mapping)',
  },
  too_long: { why: 'a field is longer than we keep', remedy: 'shorten it at the source' },
  control_character: {
    why: 'a field holds control characters or broken Unicode',
    remedy: 'remove them at the source',
  },
  bad_mail: { why: 'the mail address is none', remedy: 'correct it at the source, or map another attribute to email' },
  duplicate_id: {
    why: 'two records came with one id',
    remedy: 'make the id unique at the source, or choose another idAttribute',
  },
  duplicate_name: {
    why: 'another record of this source has the same name',
    remedy: 'rename one of them at the source',
  },
  no_group: {
    why: 'the person is in no group that we have',
    remedy: 'put the person into a group, widen the scope of groups, or set the option usersWithoutGroup to accept',
  },
  orphan_parent: {
    why: 'its parent group did not come',
    remedy: 'widen the scope of groups (groupFilter), or correct the parent at the source',
  },
  cycle: { why: 'the group is its own ancestor', remedy: 'break the circle at the source' },
  below_cycle: { why: 'a group above it is in a circle', remedy: 'break the circle at the source' },
  too_deep: { why: 'the group stands deeper than maxDepth', remedy: 'raise the option maxDepth, or flatten the tree' },
  parent_parked: { why: 'a group above it was handed back', remedy: 'repair that group first' },
  dangling: {
    why: 'a group names a member that did not come',
    remedy: 'widen the scope of users, or take the member out of the group',
  },
};

const column = 'correct it at the source, or the type of the column in the connector, which a replay then applies';

/** The same for the rows of open platforms, which are kept as they come but for these. */
const platform: Record<string, Reason> = {
  missing_field: {
    why: 'the record has no id',
    remedy: 'look at it (--show-records): the platform left it out, or the key of the connector is another',
  },
  wrong_type: { why: 'a value does not fit the type of its column', remedy: column },
  too_long: { why: 'the id is longer than we keep', remedy: 'the key of the connector is another, or cannot be kept' },
  control_character: {
    why: 'a text holds U+0000 or half a character, which Postgres cannot keep',
    remedy: 'remove it at the source',
  },
  refused: {
    why: 'the platform refused to tell about this id',
    remedy:
      'its code stands in the record (--show-records); it is asked for again when its parent changes, and by --mode full',
  },
};

/** `why; what to do`, for a code that a later version wrote as well. */
export function explain(pipeline: 'org' | 'platform' | 'stripe', reason: string): string {
  const reasons = { org, platform, stripe: platform }[pipeline];
  const known = Object.hasOwn(reasons, reason) ? reasons[reason] : undefined;
  return known ? `${known.why}; ${known.remedy}` : `reason ${reason}; correct the record at the source`;
}
