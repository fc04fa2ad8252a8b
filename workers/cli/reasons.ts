import type { OrgReason } from '../../db/rejects.ts';
import type { HandedBack } from '../../db/report.ts';

export interface Reason {
  why: string;
  remedy: string;
}

/** Why a record was handed back, and what repairs it; the codes stand in `syncline.rejects.reason`. */
export const orgReasons: Record<OrgReason, Reason> = {
  missing_field: {
    why: 'a field that must be there is absent or empty',
    remedy: 'fill it at the source, or map another attribute to it (option mapping)',
  },
  wrong_type: {
    why: 'a field holds a list or an object where text belongs, or active something else than true or false',
    remedy: 'map the path of the text itself (option mapping); active may be true, false, "true" or "false"',
  },
  too_long: { why: 'a field is longer than we keep', remedy: 'shorten it at the source' },
  control_character: {
    why: 'a field holds control characters or broken Unicode',
    remedy: 'remove them at the source',
  },
  bad_mail: { why: 'the mail address is none', remedy: 'correct it at the source, or map another attribute to email' },
  out_of_scope: {
    why: 'it is missing from the list, and the source does not say whether it still exists: the read of it alone is refused or fails (--show-records: how); our row stays',
    remedy:
      'grant the credential the whole directory, mend the record at the source, or delete the row by hand when it is gone. Where nobody who is gone gets a clean 404: npx syncline connect NAME --option confirmMissing=0 leaves them to the guards',
  },
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
    remedy:
      'put the person into a group, widen the scope of groups, or set the option usersWithoutGroup to accept; until then whom we hold keeps his groups, and only a suspension is written',
  },
  orphan_parent: {
    why: 'its parent group did not come',
    remedy: 'widen the scope of groups (groupFilter), or correct the parent at the source',
  },
  several_parents: {
    why: 'the group is a member of several groups, and nothing says which of them is its parent',
    remedy: 'take it out of all but one, or let the source tell the parent (option parentAttribute)',
  },
  cycle: { why: 'the group is its own ancestor', remedy: 'break the circle at the source' },
  below_cycle: { why: 'a group above it is in a circle', remedy: 'break the circle at the source' },
  too_deep: { why: 'the group stands deeper than maxDepth', remedy: 'raise the option maxDepth, or flatten the tree' },
  parent_parked: { why: 'a group above it was handed back', remedy: 'repair that group first' },
  dangling_member: {
    why: 'a group names a member that did not come',
    remedy:
      'widen the scope of users, or take the member out of the group; nothing where the person is deleted and the source drops him from the list by itself',
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
  left_out: {
    why: 'the platform was asked for this id, and answered without its record',
    remedy: 'nothing where the platform is late: each run asks for it again',
  },
};

const unread: Reason = {
  why: 'Stripe failed to show the object (no answer, 5xx, or something that is none) while it showed others',
  remedy: 'the run asks for it again by itself, with pauses that grow up to an hour',
};

const foreign: Reason = {
  why: 'the feed shows events of this connected account, which are not applied: the copy is of the account of the key',
  remedy:
    'nothing is missing in the copy. To copy the connected account too: npx syncline connect NAME with --option account=acct_…',
};

const value = 'correct the value in the users table, or the SQL of the property in the mapping';

/** The same for users that are not written to HubSpot; codes that stand here are ours, others are HubSpot's own. */
const hubspot: Record<string, Reason> = {
  invalid_option: {
    why: 'the value is none of the options of the property',
    remedy: `${value}, or add the option at HubSpot`,
  },
  invalid_number: { why: 'the value is no number', remedy: value },
  invalid_bool: { why: 'the value is neither true nor false', remedy: value },
  invalid_date: { why: 'the value is no day', remedy: value },
  invalid_datetime: { why: 'the value is no moment', remedy: value },
  too_long: { why: 'the text is longer than 65,536 characters', remedy: value },
  invalid_email: { why: 'the mail address is none', remedy: value },
  missing_id: { why: 'the property that is the id is empty', remedy: 'fill it, or take the key of the users as id' },
  duplicate_id: {
    why: 'another user has the same id at HubSpot, and its contact belongs to that one',
    remedy: 'make the value unique, or take the key of the users as id (mapping.idProperty)',
  },
  conflict: {
    why: 'another contact has the same unique value, a mail address as a rule',
    remedy:
      'where it was there before you, have it taken over (npx syncline connect NAME --option adopt=email; modes upsert and mirror); where it is the contact of a user who left or whose key changed, clear the value or delete it there; else merge the contacts, correct the value, or where two users swapped theirs clear one; then npx syncline replay NAME --rejects',
  },
  mapping_failed: {
    why: 'the expressions of the mapping fail for this user; the field is the SQLSTATE',
    remedy: 'look with npx syncline hubspot preview KEY --connection NAME; correct the value or the SQL',
  },
  too_big: { why: 'the row alone is larger than HubSpot takes', remedy: value },
  no_answer: {
    why: 'HubSpot never answers a call with this row, and answers others',
    remedy: 'look at the row (--show-records), then npx syncline replay NAME --rejects',
  },
};

/** `why; what to do`, for a code that a later version wrote as well. @param connection whose record it is: commands name it */
export function explain(pipeline: HandedBack['pipeline'], reason: string, connection: string): string {
  const reasons: Record<string, Reason> = {
    org: orgReasons,
    platform,
    stripe: { ...platform, unread, foreign_account: foreign },
    hubspot,
  }[pipeline];
  const known = Object.hasOwn(reasons, reason) ? reasons[reason] : undefined;
  if (known) return `${known.why}; ${known.remedy}`.replaceAll('NAME', connection);
  return pipeline === 'hubspot'
    ? `HubSpot refuses the value (${reason}); ${value}, or the rule at HubSpot`
    : `reason ${reason}; correct the record at the source`;
}
