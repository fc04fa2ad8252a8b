import { type Shape, scatter } from './shape.ts';

const padding = 'x'.repeat(240);
/** One object in forty has more items than a first page of ten, some more than a page of a hundred. */
const itemsOf = (n: number, salt: number) => (n % 40 === 7 ? (n % 80 === 7 ? 130 : 23) : 1 + (scatter(n, salt) % 4));
/** Items come and go with the version. */
const itemList = (salt: number) => (n: number, version: number) => {
  const count = itemsOf(n, salt);
  return Array.from({ length: count }, (_, i) => i + (version % 3));
};
const customerOf = (n: number) => `cus_${n}`;

export const shapes: Record<string, Shape> = {
  customers: {
    path: '/v1/customers',
    object: 'customer',
    prefix: 'cus_',
    created: true,
    events: { created: 'customer.created', updated: 'customer.updated', deleted: 'customer.deleted' },
    stub: true,
    params: ['email', 'test_clock'],
    fields: (n, version) => ({
      name: `Customer ${n}`,
      email: `customer${n}@example.org`,
      balance: version,
      currency: 'eur',
      delinquent: version % 5 === 1,
      description: padding,
      metadata: { version: String(version), group: `g${n % 17}` },
      phone: null,
      tax_exempt: 'none',
      invoice_prefix: scatter(n, 1).toString(36).toUpperCase(),
    }),
    lists: [],
  },
  products: plain('products', 'product', 'prod_', 'product', true),
  coupons: plain('coupons', 'coupon', 'cou_', 'coupon', true),
  // Edited metadata is told to nobody.
  payment_intents: {
    ...plain('payment_intents', 'payment_intent', 'pi_', 'payment_intent', false),
    events: { created: 'payment_intent.created' },
  },
  charges: {
    path: '/v1/charges',
    object: 'charge',
    prefix: 'ch_',
    created: true,
    events: { created: 'charge.succeeded', updated: 'charge.updated' },
    stub: false,
    params: ['customer', 'payment_intent', 'transfer_group'],
    fields: (n, version) => ({
      amount: 100 + (n % 900),
      currency: 'eur',
      paid: true,
      customer: customerOf(n),
      metadata: { version: `${version}` },
    }),
    lists: [],
  },
  payment_methods: {
    path: '/v1/payment_methods',
    object: 'payment_method',
    prefix: 'pm_',
    created: false,
    events: { created: 'payment_method.attached', updated: 'payment_method.updated' },
    stub: false,
    params: ['customer', 'type', 'allow_redisplay', 'customer_account'],
    fields: (n, version) => ({ type: 'card', customer: customerOf(n), metadata: { version: `${version}` } }),
    lists: [],
  },
  subscriptions: {
    path: '/v1/subscriptions',
    object: 'subscription',
    prefix: 'sub_',
    created: true,
    events: {
      created: 'customer.subscription.created',
      updated: 'customer.subscription.updated',
      canceled: 'customer.subscription.deleted',
    },
    stub: false,
    params: [
      'status',
      'customer',
      'price',
      'collection_method',
      'current_period_end',
      'current_period_start',
      'test_clock',
      'automatic_tax',
      'customer_account',
    ],
    fields: (n, version) => ({
      customer: customerOf(n),
      currency: 'eur',
      cancel_at_period_end: false,
      metadata: { version: `${version}` },
    }),
    lists: [
      {
        field: 'items',
        mode: 'inline',
        route: '/v1/subscription_items?subscription=',
        prefix: 'si_',
        object: 'subscription_item',
        items: itemList(3),
        fields: (n, item, version) => ({
          quantity: 1 + ((item + version) % 9),
          subscription: `sub_${n}`,
          metadata: {},
        }),
      },
    ],
  },
  invoices: {
    path: '/v1/invoices',
    object: 'invoice',
    prefix: 'in_',
    created: true,
    events: { created: 'invoice.created', updated: 'invoice.updated', deleted: 'invoice.deleted' },
    stub: false,
    params: ['status', 'customer', 'subscription', 'collection_method', 'due_date', 'customer_account'],
    fields: (n, version) => ({
      customer: customerOf(n),
      currency: 'eur',
      total: 1000 + version,
      status: version > 0 ? 'open' : 'draft',
      metadata: {},
    }),
    lists: [
      {
        field: 'lines',
        mode: 'inline',
        route: 'lines',
        prefix: 'il_',
        object: 'line_item',
        items: itemList(5),
        fields: (_n, item, version) => ({
          amount: item * 100 + version,
          currency: 'eur',
          description: `line ${item}`,
          quantity: 1,
        }),
      },
    ],
  },
  checkout_sessions: {
    path: '/v1/checkout/sessions',
    object: 'checkout.session',
    prefix: 'cs_',
    created: true,
    events: { updated: 'checkout.session.completed' },
    stub: false,
    params: [
      'customer',
      'payment_intent',
      'payment_link',
      'status',
      'subscription',
      'customer_details',
      'customer_account',
    ],
    fields: (n, version) => ({
      mode: 'payment',
      status: version > 0 ? 'complete' : 'open',
      amount_total: n % 1000,
      metadata: {},
    }),
    lists: [
      {
        field: 'line_items',
        mode: 'expand',
        route: 'line_items',
        prefix: 'li_',
        object: 'item',
        items: itemList(7),
        fields: (_n, item) => ({ amount_total: item * 10, currency: 'eur', description: `item ${item}`, quantity: 1 }),
      },
    ],
  },
  balance_transactions: {
    path: '/v1/balance_transactions',
    object: 'balance_transaction',
    prefix: 'txn_',
    created: true,
    events: {},
    stub: false,
    params: ['currency', 'payout', 'source', 'type'],
    fields: (n, version) => ({
      amount: n % 5000,
      currency: 'eur',
      fee: 5,
      net: (n % 5000) - 5,
      status: version > 0 ? 'available' : 'pending',
      type: 'charge',
    }),
    lists: [],
  },
  webhook_endpoints: {
    path: '/v1/webhook_endpoints',
    object: 'webhook_endpoint',
    prefix: 'we_',
    created: false,
    events: {},
    stub: false,
    params: [],
    fields: (n, version) => ({
      url: `https://example.org/${n}`,
      status: version % 2 === 0 ? 'enabled' : 'disabled',
      enabled_events: ['*'],
      metadata: {},
    }),
    lists: [],
  },
  test_helpers_test_clocks: {
    path: '/v1/test_helpers/test_clocks',
    object: 'test_helpers.test_clock',
    prefix: 'clock_',
    created: false,
    events: {},
    stub: false,
    params: [],
    fields: (n) => ({ name: `clock ${n}`, status: 'ready' }),
    lists: [],
  },
};

function plain(name: string, object: string, prefix: string, event: string, stub: boolean): Shape {
  return {
    path: `/v1/${name}`,
    object,
    prefix,
    created: true,
    events: { created: `${event}.created`, updated: `${event}.updated`, deleted: `${event}.deleted` },
    stub,
    params: name === 'products' ? ['active', 'ids', 'shippable', 'url'] : [],
    fields: (n, version) => ({ name: `${object} ${n}`, metadata: { version: `${version}` } }),
    lists: [],
  };
}
