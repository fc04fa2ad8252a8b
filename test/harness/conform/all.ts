import { openTokens } from '../../../activities/http/auth.ts';
import { openThrottle } from '../../../activities/http/throttle.ts';
import type { World } from '../world.ts';
import { moving, replayed, resting } from './checks.ts';
import type { ReaderTools } from './reader.ts';
import type { Check } from './trial.ts';
import { troubles } from './troubles.ts';

/** The conformance list: what every connector must get right. */
export const checksOf = ({ pool }: World): Check[] => [...resting, ...moving, ...troubles, replayed(pool)];

/** Tokens and throttle on the world's Postgres, closed with it. */
export function openTools({ pool, key, onClose }: World): ReaderTools {
  const tools = { throttle: openThrottle(pool), tokens: openTokens({ pool, key }) };
  onClose(() => tools.throttle.close());
  onClose(() => tools.tokens.close());
  return tools;
}
