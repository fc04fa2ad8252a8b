import { ApplicationFailure } from '@temporalio/workflow';
import * as v from 'valibot';
import { explain } from '../connectors/explain.ts';

const stepNames = ['deleteUsers', 'addGroups', 'moveUsers', 'addUsers', 'editUsers', 'deleteGroups'] as const;

// biome-ignore lint/suspicious/noControlCharactersInRegex: finding them is the point
const control = /[\u0000-\u001f\u007f-\u009f]/;

/** No id of a source has control characters (activities/org/records.ts), and Postgres refuses some. Told without the value: it may be a name. */
const storable = v.rawCheck<string>(({ dataset, addIssue }) => {
  if (dataset.typed && (control.test(dataset.value) || !dataset.value.isWellFormed()))
    addIssue({ message: "the source's own id, without control characters" });
});

/** What a person types to start orgSync: `{"connection":"acme"}`. Everything else has a default. */
export const orgSyncInput = v.strictObject({
  /** Name of the connection, as made by `syncline connect`. */
  connection: v.pipe(v.string(), v.regex(/^[a-z0-9][a-z0-9_-]{0,63}$/, 'a name of 1-64 characters a-z, 0-9, - and _')),
  /** `full` re-applies every field; `incremental` applies the difference. Default: full the first time and after a change of scope, else incremental. */
  mode: v.optional(v.picklist(['full', 'incremental'])),
  /** Ends after the plan: nothing is written but the plan itself. Default false. */
  dryRun: v.optional(v.boolean(), false),
  /** Runs one person instead of the directory, by source id: `{"user":"2819c223"}`. */
  only: v.optional(v.strictObject({ user: v.pipe(v.string(), v.minLength(1), v.maxLength(255), storable) })),
  /** Steps switched on or off for this run, over the connection's option. Default: all on. */
  steps: v.optional(
    v.strictObject(
      Object.fromEntries(stepNames.map((s) => [s, v.optional(v.boolean())])) as Record<
        (typeof stepNames)[number],
        v.OptionalSchema<v.BooleanSchema<undefined>, undefined>
      >,
    ),
    {},
  ),
});

export type OrgSyncInput = v.InferOutput<typeof orgSyncInput>;

/** Reads an input that may be anything. What is wrong ends the run at once, naming field, value and what is accepted. */
export function readInput<S extends v.GenericSchema>(schema: S, input: unknown, example: string): v.InferOutput<S> {
  const result = v.safeParse(schema, input);
  if (result.success) return result.output;
  const problems = result.issues.slice(0, 5).map((issue) => explain(schema, issue));
  throw ApplicationFailure.nonRetryable(`Wrong input: ${problems.join('; ')}. Example: ${example}`, 'InvalidInput');
}
