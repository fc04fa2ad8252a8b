import type { IncomingMessage } from 'node:http';
import type { Reply } from './batches.ts';
import type { HubspotFault } from './faults.ts';
import { rateRefusal } from './limits.ts';

export const batchPath = /^\/crm\/objects\/(\d{4}-\d{2}|v3)\/contacts\/batch\/(upsert|create|update|archive|read)$/;

/** What a call is counted as. */
export function nameOf(path: string): string {
  if (path.startsWith('/oauth/')) return 'token';
  if (path.startsWith('/account-info/')) return 'account';
  return batchPath.exec(path)?.[2] ?? 'properties';
}

/** Answers that need nothing of the call. */
export function faulty(fault: HubspotFault | undefined): Reply | undefined {
  switch (fault?.type) {
    case 'status':
      return {
        status: fault.status,
        body: fault.body ?? { status: 'error', message: 'fault', category: 'FAULT' },
        headers: fault.headers,
      };
    case 'rate':
      return {
        ...rateRefusal(fault.policy),
        ...(fault.retryAfter !== undefined && { headers: { 'retry-after': String(fault.retryAfter) } }),
      };
    case 'empty':
      return { status: 200, body: { status: 'COMPLETE', results: [] } };
    case 'html':
      return { status: 200, body: '<!doctype html><title>Sign in</title>', headers: { 'content-type': 'text/html' } };
    default:
      return undefined;
  }
}

/** JSON, or undefined. */
export function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

export async function read(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
}
