import type { Channel } from './channel.ts';
import * as known from './channels.ts';

/** No channel of that name: the message lists the names there are. */
export class ChannelUnknown extends Error {
  override name = 'ChannelUnknown';
}

/** All channels by name. A wrong one fails here, when the program starts. */
export const channels: Record<string, Channel> = proven(known);

/** @throws ChannelUnknown */
export function channelOf(name: string): Channel {
  const channel = Object.hasOwn(channels, name) ? channels[name] : undefined;
  if (channel) return channel;
  throw new ChannelUnknown(
    `"${name.slice(0, 40)}" is no channel. Accepted: ${Object.keys(channels).join(', ')}. Connect one: npx syncline connect NAME --platform webhook --url ADDRESS`,
  );
}

/** Tells a channel from a connector in a module of your own. */
export function isChannel(exported: unknown): exported is Channel {
  return typeof exported === 'object' && exported !== null && 'channel' in exported && 'outcomes' in exported;
}

/** Adds channels of your own (the module that SYNCLINE_CONNECTORS names), exported under their names. @throws Error */
export function addChannels(found: Readonly<Record<string, unknown>>, file: string): void {
  for (const [name, channel] of Object.entries(proven(found, file))) {
    if (channels[name] && channels[name] !== channel) throw new Error(`${file}: channel "${name}" is there already`);
    channels[name] = channel;
  }
}

function proven(found: Readonly<Record<string, unknown>>, from?: string): Record<string, Channel> {
  return Object.fromEntries(
    Object.keys(found)
      .sort()
      .map((name) => [name, checkChannel(found[name], name, from ?? `connectors/${name}.ts`)]),
  );
}

/** Proves what the code counts on. @throws Error with file, key, value got and values accepted */
export function checkChannel(value: unknown, name: string, file: string): Channel {
  const wrong = (at: string, got: string, accepted: string) =>
    new Error(`${file}: ${at}: got ${got}, accepted ${accepted}`);
  if (!isChannel(value)) throw wrong('the channel', typeof value, 'an object with channel and outcomes');
  const { channel, outcomes, inFlight, address, transport, auth } = value;
  if (channel !== name) throw wrong('channel', `"${channel}"`, `the name of its export: ${name}`);
  if (outcomes.at(-1)?.code !== undefined || outcomes.slice(0, -1).some(({ code }) => code === undefined))
    throw wrong(
      'outcomes',
      'a rule without code elsewhere than at the end',
      'the last rule, and only it, without code',
    );
  if (!outcomes.some((rule) => rule.class === 'sent')) throw wrong('outcomes', 'no rule of class sent', 'at least one');
  if (!Number.isInteger(inFlight) || inFlight < 1 || inFlight > 1_000)
    throw wrong('inFlight', String(inFlight), 'a whole number from 1 to 1000');
  if (!(address.pattern instanceof RegExp) || address.pattern.flags.replace('s', '') !== '')
    throw wrong(
      'address.pattern',
      String(address.pattern),
      'a regular expression that Postgres reads alike: no flags but s',
    );
  if (auth.kind === 'token' && transport.kind !== 'http')
    throw wrong('auth.kind', '"token"', 'none, since it is no HTTP');
  return value;
}
