import { acceptNobody, nobodies } from '../../db/rejects.ts';
import { findConnection } from './choose.ts';
import type { Session } from './session.ts';
import { wrongUse } from './trouble.ts';

export interface AcceptOptions {
  /** Numbers of records without an id. */
  accept?: number;
  takeBack?: number;
}

/** Settles a record that has no id, by a person who has looked at it; deletions stay under completeness and guard. */
export async function accept(
  session: Session,
  name: string | undefined,
  { accept: number, takeBack }: AcceptOptions,
): Promise<undefined> {
  const isAccept = number !== undefined;
  const flag = isAccept ? '--accept' : '--take-back';
  if (isAccept && takeBack !== undefined) throw wrongUse('--accept and --take-back: accepted one of them');
  const id = (number ?? takeBack) as number;
  if (name === undefined)
    throw wrongUse(`${flag}: got ${id} without a connection, accepted: npx syncline rejects NAME ${flag} ${id}`);
  await findConnection(session, name);
  const pool = await session.pool();
  const stream = await acceptNobody(pool, name, id, isAccept);
  if (stream === null) {
    const numbers = await nobodies(pool, name, !isAccept);
    throw wrongUse(
      `${flag}: got ${id}, accepted the number of a record ${isAccept ? 'without an id' : 'that was accepted'}: ${numbers.join(', ') || `${name} has none`}`,
    );
  }
  session.terminal.print(
    isAccept
      ? `Accepted: this very record no longer puts ${stream} in doubt; another one without an id does. Take it back with: npx syncline rejects ${name} --take-back ${id}`
      : `Taken back: the record puts ${stream} in doubt again when it comes.`,
  );
  session.terminal.print(
    `Read the stream again with: npx syncline start platformSync ${name} --streams ${stream} --wait`,
  );
  return undefined;
}
