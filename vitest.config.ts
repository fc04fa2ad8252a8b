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
    setupFiles: ['test/harness/registries.ts'],
    reporters: ['default', 'test/harness/reporter.ts'],
    // More than two cores: most of a file's time goes by waiting, above all for killed workers to be missed.
    maxWorkers: 5,
    // Files of one process share what they load: the SDK of Temporal alone takes longer to load than most files to run.
    isolate: false,
    // Most objects live no longer than a page does: a larger young generation is collected less often.
    execArgv: ['--max-semi-space-size=32'],
    sequence: { sequencer: KillsFirst },
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
