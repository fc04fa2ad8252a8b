import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { bundleWorkflows } from '../../workers/worker.ts';

const checkout = fileURLToPath(new URL('../..', import.meta.url));

/**
 * What `npm run build` makes, in a folder of its own: compiled once, so that worker processes, which are killed and started
 * by the dozen, need not compile themselves each time.
 * @returns the file with the workflow code
 */
export async function build(folder: string): Promise<string> {
  mkdirSync(folder);
  for (const name of ['node_modules', 'package.json']) symlinkSync(join(checkout, name), join(folder, name));
  const dist = join(folder, 'dist');
  const tsc = join(checkout, 'node_modules/.bin/tsc');
  await promisify(execFile)(tsc, ['-p', 'tsconfig.build.json', '--outDir', dist], { cwd: checkout });
  cpSync(join(checkout, 'db/migrations'), join(dist, 'db/migrations'), { recursive: true });
  const bundle = join(dist, 'workflows.bundle.js');
  writeFileSync(bundle, await bundleWorkflows());
  return bundle;
}
