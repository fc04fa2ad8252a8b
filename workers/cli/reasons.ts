/** Why a record was handed back, and what repairs it; the codes stand in `syncline.rejects.reason`. */
const reasons: Record<string, { why: string; remedy: string }> = {
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

/** `why; what to do`, for a code that a later version wrote as well. */
export function explain(reason: string): string {
  const known = reasons[reason];
  return known ? `${known.why}; ${known.remedy}` : `reason ${reason}; correct the record at the source`;
}
