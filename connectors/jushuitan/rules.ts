import type { Rate, VerdictRule } from '../shape.ts';

/** What both gateways answer: few numbers, mostly words. */
export const rules: readonly VerdictRule[] = [
  {
    text: '白名单',
    verdict: 'permission',
    hint: 'The address of this machine is not on the white list of the app: add it on the page of the app.',
  },
  {
    code: [190],
    verdict: 'permission',
    hint: 'The app may not call this API, or there is none of that name: ask for it on the page of the app.',
  },
  { text: '频率|频繁|限流|调用次数', verdict: 'retry-after', waitMs: 5000 },
  { text: '签名', verdict: 'app', hint: 'The signature was refused: check the secret of the app.' },
  { text: 'token|授权', verdict: 'token' },
  { text: '时间间隔|时间跨度|7天', verdict: 'too-big' },
  { text: '参数|page_size|page_index|时间', verdict: 'bad-request' },
  { text: '系统|繁忙|超时', verdict: 'busy', waitMs: 3000 },
];

/** Calls of one app, which is one merchant's: 5 a second and 100 a minute. */
export const rates: readonly Rate[] = [
  { requests: 5, perMs: 1000 },
  { requests: 100, perMs: 60_000 },
];
