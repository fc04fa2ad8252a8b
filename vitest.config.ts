import { configDefaults, defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/**
 * Files that kill workers mostly wait for each to be missed, so that one of them leaves both cores to others: they are spread
 * over the first two thirds. Three at once used a core and a third, and begun last they would run alone at the end.
 */
class KillsBetween extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const isKills = (file: TestSpecification) => file.moduleId.includes('/chaos/');
    const [kills, others] = [sorted.filter(isKills), sorted.filter((file) => !isKills(file))];
    const between = Math.floor((2 * others.length) / (3 * Math.max(1, kills.length)));
    const spread = kills.flatMap((file, i) => [file, ...others.slice(i * between, (i + 1) * between)]);
    return [...spread, ...others.slice(kills.length * between)];
  }
}

/** Measures how much of a limit eight workers use: 0.83 to 0.95 of it was seen beside other files, where a quiet machine owes 0.95. */
const alone = 'test/budget.test.ts';

const common = {
  // Each file has a database and a task queue of its own; to load the SDK anew for each, 24 files took 215 s instead of 195.
  isolate: false,
  testTimeout: 60_000,
  hookTimeout: 60_000,
};

export default defineConfig({
  test: {
    globalSetup: ['test/harness/setup.ts'],
    reporters: ['default', 'test/harness/reporter.ts'],
    // Two cores and one more: files that kill workers wait ten seconds for each to be missed.
    maxWorkers: 3,
    sequence: { sequencer: KillsBetween },
    projects: [
      { test: { ...common, name: 'alone', include: [alone], sequence: { groupOrder: 0 } } },
      {
        test: {
          ...common,
          name: 'others',
          include: ['test/**/*.test.ts'],
          exclude: [...configDefaults.exclude, alone],
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
