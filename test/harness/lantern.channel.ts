import * as v from 'valibot';
import type { Channel } from '../../connectors/channel.ts';

/** A channel that nobody has: one file, one line (addChannels here), one fixture (the webhook's sandbox speaks enough HTTP). */
export const lantern: Channel = {
  channel: 'lantern',
  title: 'Lantern signals',
  baseUrl: '',
  settings: { colour: { secret: false, about: 'colour of the lantern', default: 'green' } },
  auth: { kind: 'none' },
  limits: { connection: [{ requests: 200, perMs: 1_000 }] },
  inFlight: 4,
  address: { kind: 'openid', pattern: /^oWx_\d+$/ },
  template: v.strictObject({ signal: v.string() }),
  check: ({ signal }) => (String(signal).length > 30 ? 'too_long:signal' : null),
  transport: {
    kind: 'http',
    request: ({ signal }, { address, key }) => ({
      path: '/signal',
      body: JSON.stringify({ lamp: address, signal, key }),
    }),
    read: (status, body) => ({
      code: (body as { seen?: boolean } | undefined)?.seen === true ? 'seen' : String(status),
    }),
  },
  outcomes: [{ code: ['seen'], class: 'sent' }, { class: 'refused' }],
};
