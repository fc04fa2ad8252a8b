import { ConnectionUnknown, type StoredConnection } from '../../db/connections.ts';
import { type SyncWorkflow, syncWorkflows, workflowsOf } from '../pipelines.ts';
import { openCatalog } from './connectors.ts';
import type { Session } from './session.ts';
import { wrongUse } from './trouble.ts';

const brings: Record<SyncWorkflow, string> = {
  orgSync: 'its departments and people into org',
  platformSync: 'its lists into tables',
  stripeSync: 'a live copy of the account',
  segmentSync: 'its people, segments and orders into audience',
  hubspotSync: 'our users to its contacts',
};

/** Workflows that read one platform alone. */
const platformOf: Partial<Record<SyncWorkflow, string>> = { stripeSync: 'stripe', hubspotSync: 'hubspot' };

/** A connection and the workflows that read its platform. @throws ConnectionUnknown */
export async function findConnection(
  session: Session,
  name: string,
): Promise<StoredConnection & { workflows: SyncWorkflow[] }> {
  const connection = await session.connection(name);
  // Before the question: SYNCLINE_CONNECTORS may name the connector.
  await openCatalog(session);
  return { ...connection, workflows: workflowsOf(connection.platform) };
}

/** The connection, which the workflow must be able to read. @throws CommandError (usage) that names the workflow for it */
export async function requireWorkflow(
  session: Session,
  name: string,
  workflow: SyncWorkflow,
): Promise<StoredConnection> {
  const connection = await findConnection(session, name).catch((error: unknown) => {
    const platform = platformOf[workflow];
    throw error instanceof ConnectionUnknown && platform ? error.of(platform) : error;
  });
  if (connection.workflows.includes(workflow)) return connection;
  const right = connection.workflows[0];
  if (!right)
    throw wrongUse(
      `"${name}" is a channel (${connection.platform}): nothing reads it. Messages leave by it: npx syncline campaign create NAME FILE`,
    );
  throw wrongUse(
    `${workflow} does not read connection "${name}" of platform ${connection.platform}. The workflow for it is ${right}: npx syncline start ${right} ${name}`,
  );
}

/** What `--workflow` says, or the only one there is. @throws CommandError (usage) where a platform has two and none is named */
export async function chooseWorkflow(
  session: Session,
  name: string,
  given: string | undefined,
): Promise<{ connection: StoredConnection; workflow: SyncWorkflow }> {
  const named = syncWorkflows.find((one) => one === given);
  if (given !== undefined && !named)
    throw wrongUse(`--workflow: got "${given.slice(0, 40)}", accepted ${syncWorkflows.join(', ')}`);
  if (named) return { connection: await requireWorkflow(session, name, named), workflow: named };
  const connection = await findConnection(session, name);
  const [only, other] = connection.workflows;
  if (only && !other) return { connection, workflow: only };
  if (!only) throw wrongUse(`"${name}" is a channel (${connection.platform}): nothing reads it`);
  const choices = connection.workflows.map((one) => `${one} (${brings[one]})`);
  throw wrongUse(`Two workflows read ${connection.platform}: say --workflow ${choices.join(' or ')}`);
}
