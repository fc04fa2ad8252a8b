import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/harness/setup.ts'],
    reporters: ['default', 'test/harness/reporter.ts'],
    // What a file imports is the same for all, and importing it anew for each of them was a sixth of the processor's time.
    isolate: false,
    // Two cores and one more: files that kill workers wait ten seconds for each to be missed.
    maxWorkers: 3,
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
