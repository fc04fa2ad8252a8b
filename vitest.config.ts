import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/harness/setup.ts'],
    reporters: ['default', 'test/harness/reporter.ts'],
    // Two cores and one more: files that kill workers wait ten seconds for each to be missed.
    maxWorkers: 3,
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
