import { fileURLToPath } from 'node:url';
import { resources } from '../../connectors/stripe/catalog.ts';
import { stripeOptionTable } from './readme-options.ts';
import { table } from './table.ts';

export const stripeFile = fileURLToPath(new URL('../../docs/stripe.md', import.meta.url));

/** What of docs/stripe.md follows from the code. */
export const stripeRegions: Record<string, () => Promise<string[]>> = {
  'resources of stripe': async () =>
    table(
      ['resource', 'kind', 'lists'],
      resources.map(({ key, kind, nested }) => [
        `\`${key}\``,
        kind,
        nested
          .map(({ field, usual, mode }) => {
            const name = `${field}${mode === 'ask' ? '°' : ''}`;
            return usual ? name : `(${name})`;
          })
          .join(', '),
      ]),
    ),
  'options of stripe': async () => stripeOptionTable(),
};
