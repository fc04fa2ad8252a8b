import { TestWorkflowEnvironment } from '@temporalio/testing';
import { loadConfig } from '../../workers/config.ts';
import { findTemporal } from '../../workers/embedded/temporal-program.ts';

/**
 * Starts a Temporal server of its own, in memory, that suggests a new execution after so many events instead of 4,096:
 * the setting is the server's own, `limit.historyCount.suggestContinueAsNew`, and holds for all its workflows.
 */
export async function startShortHistories(events: number): Promise<{ address: string; stop(): Promise<void> }> {
  const path = await findTemporal({ folders: loadConfig().programFolders });
  const environment = await TestWorkflowEnvironment.createLocal({
    server: {
      executable: { type: 'existing-path', path },
      extraArgs: [
        '--dynamic-config-value',
        `limit.historyCount.suggestContinueAsNew=${events}`,
        '--dynamic-config-value',
        'matching.enableFairness=true',
      ],
    },
  });
  return { address: environment.address, stop: () => environment.teardown() };
}
