import { expect, onTestFinished } from 'vitest';
import { type StripeSandbox, type StripeSandboxOptions, startStripeSandbox } from '../../sandbox/stripe.ts';
import type { openCli, Said } from './cli.ts';
import { quickSettling } from './stripes.ts';

/** A simulated account of two lists, connected by `connect` with these options beside those of quick tests. */
export async function openBilling(
  { cli, fresh }: Pick<Awaited<ReturnType<typeof openCli>>, 'cli' | 'fresh'>,
  sandbox: StripeSandboxOptions = {},
  options: Record<string, unknown> = {},
): Promise<{ name: string; source: StripeSandbox; said: Said }> {
  const source = await startStripeSandbox({ counts: { customers: 250, products: 20 }, ...sandbox });
  onTestFinished(() => source.stop());
  const name = fresh();
  const settings = Object.entries({ ...quickSettling, types: Object.keys(source.stores), ...options });
  const line = ['connect', name, '--platform', 'stripe', '--url', source.url, '--credential-env', 'KEY'];
  const said = await cli(
    [...line, ...settings.flatMap(([key, value]) => ['--option', `${key}=${JSON.stringify(value)}`])],
    { env: { KEY: source.key } },
  );
  expect(said).toMatchObject({ code: 0, err: '' });
  return { name, source, said };
}
