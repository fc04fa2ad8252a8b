import { chosenResources, readStripeOptions } from '../../activities/stripe/catalog.ts';
import type { StoredConnection } from '../../db/connections.ts';
import { verifyStripeInput } from '../../workflows/stripe.input.ts';
import type { VerifiedType, VerifyStripeResult } from '../../workflows/stripe.verify.ts';
import { verifyStripeId } from '../../workflows/stripe.verify.ts';
import { requireWorkflow } from './choose.ts';
import { ended, follow, type Sight } from './follow.ts';
import { byReason } from './grouped.ts';
import { describeTrouble, toldTrouble } from './pending.ts';
import { askProgress, describeRun, outcomeOf } from './runs.ts';
import type { Session } from './session.ts';
import { checked } from './start.input.ts';
import { launch } from './start.ts';
import { CommandError, wrongUse } from './trouble.ts';
import { columns, counted, duration } from './words.ts';

interface VerifyOptions {
  types?: string[];
  since?: string;
  mend: boolean;
  wait?: boolean;
}

/** Starts verifyStripe as the Temporal UI would. Exit code 1 with `--wait` when drift stays, or a resource could not be compared that the copy has. */
export async function verify(session: Session, name: string, options: VerifyOptions): Promise<number | undefined> {
  const { types, since, mend } = options;
  const input = {
    connection: name,
    ...(types && { types }),
    ...(since !== undefined && { since }),
    ...(!mend && { mend }),
  };
  const checkedInput = checked(verifyStripeInput, input, '{"connection":"billing"}');
  checkTypes(await requireWorkflow(session, name, 'stripeSync'), types ?? []);
  const run = await launch(session, {
    workflow: 'verifyStripe',
    name,
    workflowId: verifyStripeId(name),
    input: checkedInput,
  });
  if (!options.wait) {
    session.terminal.print(`Follow it with: npx syncline status ${name}`);
    return undefined;
  }
  const client = await session.client();
  return follow(session, async (): Promise<Sight> => {
    const seen = await describeRun(client, run);
    if (!seen) throw new CommandError(`Temporal no longer knows the run ${run.workflowId}: somebody deleted it`);
    if (seen.status !== 'RUNNING') {
      const outcome = await outcomeOf<VerifyStripeResult>(client, seen);
      if ('failure' in outcome) throw new CommandError(`The run ${ended(seen.status)}: ${outcome.failure}`);
      return { picture: [], events: [], end: endOf(outcome.result) };
    }
    const told = (await askProgress<VerifiedType[]>(client, seen)) ?? [];
    return {
      picture: [...table(told), ...seen.pending.flatMap(describeTrouble)],
      events: seen.pending.flatMap(toldTrouble),
      end: null,
    };
  });
}

/** @throws CommandError (usage) for a resource that the connection does not copy */
function checkTypes({ id, options }: StoredConnection, types: readonly string[]): void {
  const copied = chosenResources(readStripeOptions(id, options)).map(({ key }) => key);
  const unknown = types.find((type) => !copied.includes(type));
  if (unknown !== undefined) throw wrongUse(`--types: got "${unknown.slice(0, 40)}", accepted ${copied.join(', ')}`);
}

function endOf({ outcome, types, durationMs }: VerifyStripeResult): NonNullable<Sight['end']> {
  const objects = types.reduce((sum, one) => sum + one.objects, 0);
  const words = { equal: 'Equal', mended: 'Drift, all of it mended', drift: 'Drift', partial: 'Partly compared' };
  return {
    lines: [`${words[outcome]}: ${counted(objects, 'object')} compared, ${duration(durationMs)}`, ...table(types)],
    exitCode: outcome === 'drift' || outcome === 'partial' ? 1 : 0,
  };
}

/** Resources that were compared, one a line; what could not be is one line a reason. */
function table(all: readonly VerifiedType[]): string[] {
  const of = (state: VerifiedType['state']) => all.filter((one) => one.state === state);
  const types = all.filter(({ state }) => state !== 'failed' && state !== 'skipped');
  return [...rows(types), ...byReason(of('failed'), 'failed'), ...byReason(of('skipped'), 'skipped')];
}

function rows(types: readonly VerifiedType[]): string[] {
  return columns(
    types.map((one) => [
      one.type,
      one.state,
      counted(one.objects, 'object'),
      `${one.missing} missing`,
      `${one.different} different`,
      `${one.extra} gone`,
      `${one.mended} mended`,
      one.reason ?? '',
    ]),
  );
}
