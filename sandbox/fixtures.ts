/*
 * The simulated platforms: a line a fixture, each exported under its platform's name from the file of that name.
 */
export { dingtalk } from './dingtalk.ts';
export { feishu } from './feishu.ts';
export { jushuitan } from './jushuitan.ts';
export { jushuitan_old } from './jushuitan_old.ts';
export { kuaishou } from './kuaishou.ts';
export { taobao } from './taobao.ts';
export { wecom } from './wecom.ts';
export { youzan } from './youzan.ts';
