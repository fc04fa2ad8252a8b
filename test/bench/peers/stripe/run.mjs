// Copies all customers of a simulated account with another engine: node run.mjs <engine> <database> <source> <key>.
// Prints {"seconds"} and ends. The engines know Stripe's own address alone: their requests are led to the source.
import http from 'node:http';
import https from 'node:https';
import { createRequire, syncBuiltinESMExports } from 'node:module';

const require = createRequire(import.meta.url);

const [engine, databaseUrl, source, key] = process.argv.slice(2);
const { hostname, port } = new URL(source);
const agent = new http.Agent({ keepAlive: true, maxSockets: 64 });
https.request = (options, heard) => {
  const request = http.request(
    { ...options, host: hostname, hostname, port, agent, protocol: 'http:', ciphers: undefined },
    heard,
  );
  // Their client sends when the connection is secure.
  request.once('socket', (socket) => {
    if (socket.connecting) socket.once('connect', () => socket.emit('secureConnect'));
  });
  return request;
};
syncBuiltinESMExports();

const engines = {
  async supabase() {
    // Their ESM build does not find its own migrations.
    const { StripeSync, runMigrations } = require('@supabase/stripe-sync-engine');
    await runMigrations({ databaseUrl, schema: 'stripe' });
    const sync = new StripeSync({
      poolConfig: { connectionString: databaseUrl, max: 10 },
      stripeSecretKey: key,
      stripeWebhookSecret: 'whsec_none',
      backfillRelatedEntities: false,
    });
    return () => sync.syncCustomers();
  },
  async stripe() {
    const { StripeSync, runMigrations } = await import('@stripe/sync-engine');
    await runMigrations({ databaseUrl, openApiSpecPath: process.env.STRIPE_OPENAPI_SPEC });
    const sync = await StripeSync.create({
      poolConfig: { connectionString: databaseUrl, max: 20 },
      stripeSecretKey: key,
      backfillRelatedEntities: false,
    });
    return () => sync.fullSync(['customer'], true, 50, 50, false);
  },
};

const work = await engines[engine]();
const began = performance.now();
await work();
process.stdout.write(`${JSON.stringify({ seconds: (performance.now() - began) / 1000 })}\n`);
process.exit(0);
