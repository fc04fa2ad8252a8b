import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Files that kill workers take longest and mostly wait; begun last they would run alone at the end. */
class KillsFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const kills = (file: TestSpecification) => file.moduleId.includes('/chaos/');
    return [...sorted.filter(kills), ...sorted.filter((file) => !kills(file))];
  }
}

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/harness/setup.ts'],
    reporters: ['default', 'test/harness/reporter.ts'],
    // Two cores and one more: files that kill workers wait ten seconds for each to be missed.
    maxWorkers: 3,
    sequence: { sequencer: KillsFirst },
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
