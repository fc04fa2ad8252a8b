import type { Reply } from '../platform/fixture.ts';
import type { Refusal } from '../platform/refusal.ts';

/** Words and codes of both gateways; HTTP is 200. Only code 190 is known from clients, the others stand for themselves. */
const words: Record<Refusal['kind'], [code: number, msg: string]> = {
  signature: [10, '签名错误'],
  clock: [11, '参数timestamp无效'],
  token: [100, 'token无效'],
  expired: [100, 'token已过期'],
  consent: [100, 'refresh_token授权已失效'],
  permission: [190, '没有接口权限'],
  api: [190, '无效的接口方法'],
  missing: [30, '参数不能为空'],
  invalid: [30, '参数无效'],
  window: [30, '查询的时间间隔不能超过7天'],
  backward: [30, '结束时间不能早于开始时间'],
  old: [30, '时间无效'],
  size: [30, 'page_size超出最大值'],
  deep: [30, 'page_index超出最大值'],
  cursor: [30, '参数无效'],
  rate: [199, '调用频率超过限制，请稍后再试'],
  quota: [199, '调用次数已用完'],
  busy: [500, '系统繁忙，请稍后再试'],
  gone: [404, '数据不存在'],
};

export function refuse({ kind, about }: Refusal): Reply {
  const [code, msg] = words[kind];
  return { status: 200, body: { code, issuccess: false, msg: about ? `${msg}（${about}）` : msg, data: null } };
}
