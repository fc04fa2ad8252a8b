import type { Connector } from '../../../connectors/shape.ts';

/** Under which name the limits of a platform are counted, or those of one app of it. */
export function budgetName({ platform, app = '' }: { platform: string; app?: string }): string {
  return app === '' ? platform : `${platform} ${app}`;
}

/** The same for a connection, of which only what is no secret is known. `connector`: where one describes its platform. */
export function budgetOwner(platform: string, options: Record<string, unknown>, connector?: Connector): string {
  const setting = connector?.limits.app;
  if (setting === undefined) return budgetName({ platform });
  return budgetName({ platform, app: String(options[setting] ?? connector?.settings[setting]?.default ?? '') });
}
