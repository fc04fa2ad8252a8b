import type { Over } from '../../connectors/shape.ts';
import type { Client } from '../../db/client.ts';
import { type ParentReading, parentReading } from '../../db/parents.ts';
import type { Pass } from '../../db/passes.ts';
import { type OpenStream, tableOf } from './open.ts';

/**
 * Why a stream that is read for each id of another one may lack rows, whatever its own calls bring; null where nothing is
 * known against the other. Who moved to a part that nobody asks for would be taken for gone.
 */
export async function doubtOfParent(
  client: Client,
  { connector, connection, name, stream }: OpenStream,
  over: Extract<Over, { kind: 'each' }>,
  pass: Pick<Pass, 'claim' | 'stream' | 'kind'> & { parts: number },
): Promise<string | null> {
  if (pass.kind === 'replay') return null;
  const reading = await parentReading(client, pass, tableOf(connector, over.stream));
  const both = `Read ${over.stream} and ${name} in one run`;
  if (stream.deletes.kind !== 'sweep' || pass.kind !== 'full')
    // Where nobody is taken for gone, what belongs to the rows that are held is worth a watermark.
    return reading.ended || pass.parts > 0
      ? null
      : `${over.stream}, for whose rows it is read, was never read to its end. ${both}`;
  return whyDoubted(reading, { parent: over.stream, connection: connection.id, both });
}

function whyDoubted(
  { ended, whole, since, aside }: ParentReading,
  { parent, connection, both }: { parent: string; connection: string; both: string },
): string | null {
  if (!ended) return `${parent}, for whose rows it is read, was never read to its end. ${both}`;
  if (!whole) return `${parent}, for whose rows it is read, was not read whole. ${both}`;
  if (!since)
    return `${parent}, for whose rows it is read, was not read again before it: what belongs to new ones is missing. ${both}`;
  if (aside === 0) return null;
  return `${aside} of ${parent} stand aside, and what belongs to them was not read: npx syncline rejects ${connection} --stream ${parent}`;
}
