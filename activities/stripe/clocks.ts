import type { Resource } from '../../connectors/stripe/catalog.ts';
import type { Pool } from '../../db/client.ts';
import { livingIds } from '../../db/stripe/objects.ts';
import { clocksNamed } from '../../db/stripe/verify.ts';
import type { OpenStripe } from './open.ts';
import { requireResource, tableOf } from './tables.ts';

const mostClocks = 1_000;

/** Whether a list hides objects that stand under a test clock: only accounts of a sandbox have clocks. */
export const hidesClocks = ({ isTest }: Pick<OpenStripe, 'isTest'>, { clocks }: Resource): boolean => clocks && isTest;

/** Test clocks that are copied. */
export async function copiedClocks(pool: Pool, connection: string): Promise<string[]> {
  const table = tableOf(requireResource('test_helpers_test_clocks'));
  return livingIds(pool, table, connection, '', mostClocks).catch((error: { code?: string }) => {
    // Test clocks are not copied: nobody knows of any.
    if (error.code === '42P01') return [];
    throw error;
  });
}

/** Test clocks under which a list is to be compared: those that are copied, and those that rows of the copy name. */
export async function comparedClocks(pool: Pool, opened: OpenStripe, resource: Resource): Promise<string[]> {
  if (!hidesClocks(opened, resource)) return [];
  const { id } = opened.connection;
  const named = await clocksNamed(pool, tableOf(resource), id);
  return [...new Set([...(await copiedClocks(pool, id)), ...named])];
}
