import type { CampaignDefinition } from '../../connectors/campaign.ts';
import type { OutcomeRule } from '../../connectors/channel.ts';
import type { Outcome } from '../../db/audience/outcomes.ts';
import type { Sent } from './transport.ts';

/** Why a sender ended before its shard did. */
export type Ending =
  | { kind: 'time' }
  | { kind: 'deadline' }
  | { kind: 'wait'; waitMs: number; why: 'account' | 'quiet' }
  /** `own`: our own check says so, before anything was sent. */
  | { kind: 'stop'; code: string; hint: string | undefined; own?: true }
  | { kind: 'away'; message: string };

interface Tried {
  no: number;
  attempt: number;
}

type Answer = Extract<Sent, { code: string }>;

const defaultRetryMs = 2_000;
const longestRetryMs = 3_600_000;
const unknownRetryMs = 5_000;
const longestWaitMs = 24 * 3_600_000;
const beijingMs = 8 * 3_600_000;
const dayMs = 24 * 3_600_000;
/** Waits of the account after which one who met it comes again: somebody whom the receiver always puts off held up all others. */
const behindOthers = 3;
/** So many of the first recipients with the same refusal, and nobody reached: the fault is not theirs. */
export const alikeMost = 50;

/** What an answer means for a recipient, by the channel's table and the campaign's policy. */
export class Settlement {
  private readonly policy: CampaignDefinition['policy'];
  private readonly attempts: number;
  /** Somebody of the campaign was reached. */
  reached: boolean;
  private alike = { code: '', count: 0 };
  /** Messages without a known end since the last one that had one. A receiver that is broken makes every message such a one. */
  unknowns = 0;
  /** A message had an end that is certain: the receiver works. */
  heard = false;

  constructor({ policy, attempts }: Pick<CampaignDefinition, 'policy' | 'attempts'>, reached: boolean) {
    this.reached = reached;
    this.policy = policy;
    this.attempts = attempts;
  }

  /** Certainly nothing left: as if it had never been tried. */
  unsent(no: number): Outcome {
    return { no, state: 'planned', reason: null, counts: false, dueMs: null, providerId: null, grant: 'kept' };
  }

  /** Nobody can tell. Only at-least-once dares another try. */
  unknown({ no, attempt }: Tried, reason: string): Outcome {
    this.unknowns++;
    const again = this.policy === 'at-least-once' && attempt + 1 < this.attempts;
    const dueMs = again ? Date.now() + backoff(unknownRetryMs, attempt) : null;
    return { no, state: again ? 'planned' : 'unknown', reason, counts: true, dueMs, providerId: null, grant: 'kept' };
  }

  answer(one: Tried, answer: Answer, rule: OutcomeRule): { outcome: Outcome; ending: Ending | null } {
    const { no, attempt } = one;
    const { code } = answer;
    const outcome = (state: Outcome['state'], more: Partial<Outcome> = {}): Outcome => ({
      ...{ no, state, reason: code, counts: true, dueMs: null, providerId: answer.providerId ?? null, grant: 'back' },
      ...more,
    });
    const only = (made: Outcome) => ({ outcome: made, ending: null });
    switch (rule.class) {
      case 'sent':
        this.reached = true;
        this.hear();
        return only(outcome('sent', { reason: null, grant: 'used' }));
      case 'retry': {
        if (attempt + 1 >= this.attempts) return only(outcome('failed'));
        const dueMs = Date.now() + backoff(answer.retryAfterMs ?? rule.waitMs ?? defaultRetryMs, attempt);
        return only(outcome('planned', { dueMs, grant: 'kept' }));
      }
      case 'refused': {
        this.hear();
        const refused = outcome('refused', { grant: rule.emptiesGrants ? 'none-left' : 'back' });
        return { outcome: refused, ending: rule.allAlike ? this.countAlike(code, rule) : null };
      }
      case 'unknown':
        return only(this.unknown(one, code));
      case 'wait': {
        const now = Date.now();
        const told = answer.retryAfterMs ?? rule.waitMs ?? defaultRetryMs;
        const waitMs = Math.min(rule.until === 'midnight' ? toMidnight(now) : told, longestWaitMs);
        const dueMs = now + (rule.until === 'midnight' ? waitMs : behindOthers * waitMs);
        return { outcome: { ...this.unsent(no), dueMs }, ending: { kind: 'wait', waitMs, why: 'account' } };
      }
      default:
        // `stop`, and a token that was refused twice.
        return {
          outcome: this.unsent(no),
          ending: { kind: 'stop', code, hint: rule.hint ?? 'the account gives tokens that it does not take' },
        };
    }
  }

  private hear(): void {
    this.unknowns = 0;
    this.heard = true;
  }

  private countAlike(code: string, { hint }: OutcomeRule): Ending | null {
    if (this.reached) return null;
    this.alike = { code, count: this.alike.code === code ? this.alike.count + 1 : 1 };
    return this.alike.count >= alikeMost ? { kind: 'stop', code, hint } : null;
  }
}

function backoff(firstMs: number, attempt: number): number {
  return Math.min(longestRetryMs, firstMs * 2 ** attempt);
}

/** Quotas of the platforms of China fill at midnight in Beijing. */
function toMidnight(nowMs: number): number {
  return dayMs - ((nowMs + beijingMs) % dayMs);
}
