/**
 * Finds a chain that bites its tail without keeping the whole chain: each link is compared with the first one, the one
 * before, and one that is kept and replaced after 1, 2, 4, 8 … links, so that a circle of any length is met within three
 * rounds (Brent). Links are digests.
 */
export interface Trail {
  first: string;
  last: string;
  kept: string;
  steps: number;
  until: number;
}

export const noTrail: Trail = { first: '', last: '', kept: '', steps: 0, until: 1 };

/** Whether this link came before. '' never did. */
export function cameBefore(trail: Trail, link: string): boolean {
  return link !== '' && (link === trail.last || link === trail.first || link === trail.kept);
}

/** The trail behind this link. */
export function goOn(trail: Trail, link: string): Trail {
  if (link === '') return trail;
  const first = trail.first || link;
  if (trail.steps + 1 < trail.until) return { ...trail, first, last: link, steps: trail.steps + 1 };
  return { first, last: link, kept: link, steps: 0, until: trail.until * 2 };
}
