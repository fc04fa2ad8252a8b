import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { postgresAnswers } from '../db/org/report.ts';
import type { WorkerParts } from './worker.ts';

export interface Health {
  port: number;
  close(): Promise<void>;
}

/** A pool that gives no answer in this time counts as down; orchestrators ask every few seconds. */
const answerMs = 3_000;

/**
 * Serves `GET /healthz` on 127.0.0.1: 200 while the worker polls and Postgres answers, else 503; the JSON body says which
 * of both. Port 0 takes a free one. Throws when the port is taken.
 */
export async function serveHealth(
  port: number,
  { worker, pool }: Pick<WorkerParts, 'worker' | 'pool'>,
): Promise<Health> {
  const server = createServer(async (request, response) => {
    if (request.url !== '/healthz' || (request.method !== 'GET' && request.method !== 'HEAD')) {
      response.writeHead(404, { 'content-type': 'application/json' }).end('{"error":"only GET /healthz is served"}\n');
      return;
    }
    const health = await healthOf({ worker, pool });
    response.writeHead(health.healthy ? 200 : 503, { 'content-type': 'application/json', 'cache-control': 'no-store' });
    response.end(`${JSON.stringify(health)}\n`);
  });
  await listen(server, port);
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** Healthy: the worker polls and Postgres answers. */
export async function healthOf({ worker, pool }: Pick<WorkerParts, 'worker' | 'pool'>) {
  const state = worker.getState();
  const postgres = await answers(pool);
  return {
    healthy: state === 'RUNNING' && postgres,
    worker: state,
    postgres: postgres ? 'answers' : 'does not answer',
  };
}

async function answers(pool: WorkerParts['pool']): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), answerMs);
  });
  const result = await Promise.race([postgresAnswers(pool), late]);
  clearTimeout(timer);
  return result;
}

function listen(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause) =>
      reject(
        new Error(`SYNCLINE_HEALTH_PORT: port ${port} of 127.0.0.1 cannot be used; another one, or 0 for a free one`, {
          cause,
        }),
      ),
    );
    server.listen(port, '127.0.0.1', resolve);
  });
}
