import { defineUpdate } from '@temporalio/workflow';

/** Stops before the next slice; `resume` goes on. Every workflow that a person starts takes both. */
export const pause = defineUpdate<string, []>('pause');
export const resume = defineUpdate<string, []>('resume');
