import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { bundleWorkflows } from './worker.ts';

/** `tsx workers/bundle.ts FILE`: writes the workflow bundle that workers load (SYNCLINE_WORKFLOW_BUNDLE). */
const file = resolve(process.argv[2] ?? 'dist/workflows.bundle.js');
mkdirSync(dirname(file), { recursive: true });
writeFileSync(file, await bundleWorkflows());
