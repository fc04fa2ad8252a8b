const text = (description: string) => ({ type: 'string', description });
const refusal = { type: 'object', properties: { error: { type: 'string' } } };
const told = (description: string) => ({ description, ...refusal });

/** How `GET /wait/:connection` is described. */
export const waitSchema = {
  summary: 'Answers when the copy of a Stripe account holds what you want to read',
  security: [{ token: [] }],
  params: { type: 'object', properties: { connection: text('Name of the connection') } },
  querystring: {
    type: 'object',
    properties: {
      object: text('Id of an object: it is read at Stripe and landed before the answer'),
      request: text("Request id or idempotency key of a call of yours: waits for that call's events"),
      settled: text('1: waits until late events can no longer appear, about 95 s'),
      timeout: text('Seconds, 0.1 to 120; default 10, with settled=1 120'),
    },
  },
  response: {
    200: {
      description: 'Met: `object`, `request`, `seen` or `settled` says which guarantee',
      type: 'object',
      properties: {
        met: { type: 'string' },
        object: { type: 'string' },
        deleted: { type: 'boolean' },
        readAt: { type: 'string' },
        seenAt: { type: 'string' },
        settledAt: { type: 'string' },
      },
    },
    400: told('Something is typed wrong'),
    401: told('No or another bearer token'),
    404: told('No such connection, or no such object'),
    409: told('No copy was begun'),
    429: told('Limits used up; Retry-After says when'),
    502: told('Stripe refuses'),
    503: told('Stripe is away'),
    504: told('Not met in time'),
  },
};
