import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { connectorOf, connectors, PlatformUnknown, proven } from '../connectors/index.ts';
import { runCli } from '../workers/cli.ts';
import { connectorRegions, connectorsFile } from './harness/connectors-page.ts';
import { renewed } from './harness/readme.ts';
import { sound } from './harness/sound-connector.ts';

describe('the index', () => {
  test('names each connector by its platform', () => {
    expect(Object.keys(connectors).length).toBeGreaterThan(0);
    for (const [name, connector] of Object.entries(connectors)) {
      expect(connector.platform).toBe(name);
      expect(connectorOf(name)).toBe(connector);
    }
  });

  test.each(['gopher', 'toString', '__proto__'])('says what there is instead of %s', (name) => {
    expect(() => connectorOf(name)).toThrow(PlatformUnknown);
    const accepted = Object.keys(connectors).join(', ');
    expect(() => connectorOf(name)).toThrow(
      `Platform "${name}" has no connector. Accepted: ${accepted}. What each reads`,
    );
  });

  test('what docs/operate.md says of lost refresh tokens is what the connectors do', () => {
    const text = readFileSync(new URL('../docs/operate.md', import.meta.url), 'utf8');
    const [, byConsent, byCredential] = /lets in \((.*?)\) .* lets in \((.*?)\) a new one/.exec(text) ?? [];
    const rotating = Object.values(connectors).flatMap(({ platform, auth }) =>
      auth.kind === 'token' && auth.refresh ? [{ name: `\`${platform}\``, obtains: auth.obtain !== undefined }] : [],
    );
    const named = (obtains: boolean) => rotating.flatMap((one) => (one.obtains === obtains ? one.name : [])).join(', ');
    expect([byConsent, byCredential]).toEqual([named(false), named(true)]);
  });

  test('takes a connector under its own name alone', () => {
    expect(Object.keys(proven({ demo: sound() }))).toEqual(['demo']);
    expect(() => proven({ other: sound() })).toThrow(
      'connectors/other.ts: platform: got "demo", accepted the name of its export: other',
    );
  });
});

async function cli(...args: string[]) {
  const said = { out: '', err: '' };
  const nobody = async () => expect.fail('somebody was asked');
  const code = await runCli(args, {
    print: (line) => {
      said.out += `${line}\n`;
    },
    warn: (line) => {
      said.err += `${line}\n`;
    },
    interactive: false,
    redraw: () => undefined,
    ask: nobody,
    askSecret: nobody,
    env: {},
  });
  return { code, ...said };
}

describe('syncline connectors', () => {
  test('shows every platform, stream and setting', async () => {
    const { code, out, err } = await cli('connectors');
    expect({ code, err }).toEqual({ code: 0, err: '' });
    for (const { platform, streams, settings } of Object.values(connectors)) {
      const block = out.split('\n\n').find((text) => text.startsWith(`${platform}: `));
      for (const name of [...Object.keys(streams), ...Object.keys(settings)]) expect(block, platform).toContain(name);
    }
  });

  test('shows one platform with its settings explained', async () => {
    const { out } = await cli('connectors', 'kuaishou');
    expect(out).toMatch(/^kuaishou: Kuaishou e-commerce, https:\/\/openapi\.kwaixiaodian\.com\n/);
    expect(out).toMatch(/signSecret +credential +needed +signSecret of the app/);
    expect(out).toMatch(/orders +open\.order\.cursor\.list +cursor, 50 a page +at most 7 d/);
    expect(out).not.toContain('feishu:');
  });

  test.each(['jushuitan', 'jushuitan_old'])('says what the orders of %s lack', async (platform) => {
    expect((await cli('connectors', platform)).out).toMatch(
      /\n {2}orders lacks: orders of Taobao and Pinduoduo, .* and archived ones \(archive=true\)/,
    );
    expect((await cli('connectors', platform, '--unconfirmed')).out).toContain('archive=true');
  });

  test('lists what no source confirmed', async () => {
    const { out } = await cli('connectors', '--unconfirmed');
    for (const { platform, unconfirmed } of Object.values(connectors))
      for (const { at, what } of unconfirmed)
        expect(
          out.split('\n').some((line) => line.startsWith(platform) && line.includes(at) && line.endsWith(what)),
        ).toBe(true);
  });

  test('speaks JSON', async () => {
    const { connectors: told } = JSON.parse((await cli('connectors', 'kuaishou', '--json')).out);
    expect(told).toMatchObject([
      { platform: 'kuaishou', streams: expect.arrayContaining([expect.objectContaining({ name: 'orders' })]) },
    ]);
    const doubts = JSON.parse((await cli('connectors', '--unconfirmed', '--json')).out).connectors;
    expect(doubts[0]).toEqual({ platform: expect.any(String), unconfirmed: expect.any(Array) });
  });

  test('names the platforms there are for one there is not', async () => {
    expect(await cli('connectors', 'gopher')).toEqual({
      code: 2,
      out: '',
      err: `syncline: platform: got "gopher", accepted ${Object.keys(connectors).join(', ')}\n`,
    });
  });

  test('stands in docs/connectors.md (renew it with: npx tsx test/harness/readme.ts --write)', async () => {
    const page = readFileSync(connectorsFile, 'utf8');
    expect(page).toBe(await renewed(page, connectorRegions));
    for (const name of Object.keys(connectors)) expect(page).toContain(`| \`${name}\``);
  });
});
