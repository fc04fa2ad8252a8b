export { segmentSync } from './audience.segments.ts';
export { campaign, campaignTest } from './audience.ts';
export { hubspotSync } from './hubspot.ts';
export { orgSync } from './org.ts';
export { replayWindow } from './platform.replay.ts';
export { streamSync } from './platform.stream.ts';
export { platformSync } from './platform.ts';
export { stripeSync } from './stripe.ts';
export { verifyStripe } from './stripe.verify.ts';
