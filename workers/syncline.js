#!/usr/bin/env node
// What `npx syncline` runs: the sources as they stand, without a build step. A built copy has dist/workers/cli.js instead.
import { register } from 'tsx/esm/api';

register();
const { runCli } = await import('./cli.ts');
process.exitCode = await runCli(process.argv.slice(2));
