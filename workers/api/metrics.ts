import { Gauge, Registry } from 'prom-client';
import { gauges, readGauge } from '../../db/gauges.ts';
import { logsGlance } from '../../db/hubspot/report.ts';
import type { ApiPlugin } from '../api.ts';

/** `GET /metrics`: lag, doubts, withheld deletions and records that stand aside, as Prometheus reads them. */
export const metricsPlugin: ApiPlugin =
  ({ pool }) =>
  async (app) => {
    const registry = new Registry();
    const glance = logsGlance(pool);
    for (const [name, question] of Object.entries(gauges))
      new Gauge({
        name,
        help: question.help,
        labelNames: question.labels,
        registers: [registry],
        async collect() {
          const readings = await readGauge(pool, question, glance);
          // What is no longer there must not be shown with its last value.
          this.reset();
          for (const { labels, value } of readings) this.set(labels, value);
        },
      });
    const schema = {
      summary: 'Lag, doubts, withheld deletions and records that stand aside, for Prometheus',
      security: [{ token: [] }],
      produces: ['text/plain'],
      response: { 200: { description: 'Prometheus text format 0.0.4', type: 'string' } },
    };
    app.get('/metrics', { schema }, async (_request, reply) => {
      const text = await registry.metrics();
      return reply.type(registry.contentType).send(text);
    });
  };
