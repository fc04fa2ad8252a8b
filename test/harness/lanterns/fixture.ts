import type { Call, Fixture, Incoming, Reply } from '../../../sandbox/platform/fixture.ts';
import type { Refusal } from '../../../sandbox/platform/refusal.ts';
import type { TokenDesk } from '../../../sandbox/platform/tokens.ts';

const day = 86_400_000;
const codes: Partial<Record<Refusal['kind'], string>> = {
  rate: 'slow_down',
  quota: 'slow_down',
  token: 'key',
  expired: 'key',
  consent: 'key',
  permission: 'not_yours',
  window: 'too_long',
  old: 'too_long',
  gone: 'lost',
  busy: 'dark',
  api: 'no_such_thing',
};

function read({ path, query, headers }: Incoming, tokens: TokenDesk): Call {
  const token = String(headers['x-lantern-key'] ?? '');
  return { api: path.replace('/v1/', ''), account: tokens.account(token), params: query, token };
}

/** HTTP 200 whatever happened. */
function refuse({ kind }: Refusal): Reply {
  return { status: 200, body: { status: 'failed', code: codes[kind] ?? 'parameter' } };
}

/** The platform of connector.ts, as its documentation would describe it. */
export const lanterns: Fixture = {
  platform: 'lanterns',
  resolutionMs: 1_000,
  lists: {
    lamps: {
      id: (serial) => `L${String(serial).padStart(6, '0')}`,
      statuses: ['lit', 'out'],
      removed: { status: 'scrapped' },
      render: (row) => ({ no: row.id, state: row.status, lumens: row.serial * 10, changed: row.updated / 1_000 }),
    },
    streets: {
      rows: (rows) => Math.ceil(rows / 2),
      id: (serial) => `Lane ${serial}`,
      removed: 'leaves',
      render: (row) => ({ name: row.id, length: `${row.serial}.5` }),
    },
  },
  streams: { lamps: { api: 'lamps' }, lamp_details: { api: 'lamp' }, streets: { api: 'streets' } },
  apis: {
    lamps: {
      list: 'lamps',
      windows: [{ from: 'from', to: 'until', clock: 'updated', format: 's', capMs: 10 * day, keepMs: 60 * day }],
      windowNeeded: true,
      paging: [{ kind: 'cursor', param: 'after', size: { param: 'count', default: 20, max: 50 } }],
      answer: ({ rows, next }) => ({ lamps: rows, after: next }),
    },
    lamp: {
      list: 'lamps',
      paging: [{ kind: 'one', param: 'no' }],
      render: (row, lists) => ({ ...lists.lamps!.render(row), wicks: [{ mm: 12 }] }),
      answer: ({ rows: [lamp] }) => lamp,
    },
    streets: {
      list: 'streets',
      paging: [{ kind: 'page', param: 'page', first: 1, size: { param: 'count', default: 20, max: 40 } }],
      answer: ({ rows, total }) => ({ streets: rows, total }),
    },
  },
  tokens: { lifeMs: 365 * day },
  limits: { connection: [{ requests: 100, perMs: 1_000 }] },
  connect: (account, tokens) => ({ credential: { key: tokens.issue(account).access }, options: {} }),
  read,
  write: (content) => ({ status: 'ok', content }),
  refuse,
};
