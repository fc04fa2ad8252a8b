import { MappingRefused } from '../capture.ts';
import type { Pool } from '../client.ts';

/**
 * Proves that Postgres knows the zones of a mapping: another word fails for each user who has a value.
 * @throws MappingRefused naming places
 */
export async function requireZones(
  pool: Pool,
  { properties }: { properties: Readonly<Record<string, { zone?: string }>> },
): Promise<void> {
  const zones = [...new Set(Object.values(properties).flatMap(({ zone }) => zone ?? []))];
  const unknown = new Set<string>();
  for (const zone of zones) if (!(await knows(pool, zone))) unknown.add(zone);
  if (unknown.size === 0) return;
  throw new MappingRefused(
    Object.entries(properties).flatMap(([name, { zone = '' }]) =>
      unknown.has(zone)
        ? [`mapping.properties.${name}.zone: got "${zone}", accepted a zone that Postgres knows, such as Europe/Berlin`]
        : [],
    ),
  );
}

async function knows(pool: Pool, zone: string): Promise<boolean> {
  try {
    await pool.query('SELECT timezone($1, now())', [zone]);
    return true;
  } catch (error) {
    if ((error as { code?: unknown }).code !== '22023') throw error;
    return false;
  }
}
