/*
 * The channels: a line a channel, each exported under its name from the file of that name.
 */
export { smtp } from './smtp.ts';
export { webhook } from './webhook.ts';
export { wechat } from './wechat.ts';
