import { dingtalkOrg } from './dingtalk.ts';
import { feishuOrg } from './feishu.ts';
import type { OrgMap } from './org.ts';
import { wecomOrg } from './wecom.ts';

/** Open platforms that orgSync reads as directories; a new one is a line here. */
export const orgMaps = { wecom: wecomOrg, dingtalk: dingtalkOrg, feishu: feishuOrg } satisfies Record<string, OrgMap>;

/** Every platform that orgSync reads. */
export const directoryPlatforms: readonly string[] = ['scim', 'ldap', ...Object.keys(orgMaps)];
