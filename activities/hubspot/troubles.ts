import type { BatchVerdict } from '../../connectors/hubspot/answers.ts';
import { SyncError } from '../errors.ts';

/** Trouble of the account or the mapping: it would hit every row, so nothing is halved and nobody is parked. */
export function accountFailure(verdict: BatchVerdict, place: string, connection: string): SyncError {
  const connect = `npx syncline connect ${connection} --credential-env VARIABLE`;
  switch (verdict.kind) {
    case 'token':
      return new SyncError('Unauthorized', `${place} refused the credential (401). Give a valid one: ${connect}`);
    case 'forbidden': {
      const scopes = verdict.scopes.length > 0 ? `: it lacks ${verdict.scopes.join(', ')}` : '';
      return new SyncError(
        'Forbidden',
        `${place}: the credential may not do this (403)${scopes}. Add the scopes crm.objects.contacts.read and crm.objects.contacts.write to it at HubSpot, for hubspot check --create also crm.schemas.contacts.write`,
      );
    }
    case 'config': {
      const property = verdict.property === null ? '' : ` "${verdict.property}"`;
      return new SyncError(
        'InvalidInput',
        `${place} refused the mapping${property} (${verdict.code}), which would refuse every row; nobody was parked. Compare it with the account: npx syncline hubspot check --connection ${connection}`,
      );
    }
    default:
      return new SyncError('BadAnswer', `${place} answered with something that is not known here (${verdict.kind})`);
  }
}

/** Calls were refused without a word about a row, and none was taken behind them: which of all rows should be the bad one? */
export const nothingTaken = (code: string, connection: string) =>
  new SyncError(
    'NothingTaken',
    `HubSpot refused rows (${code}), named neither a row nor a property, and took no other row behind them: that is trouble of the account, and they are not set aside. Look at the account and at status.hubspot.com, then start again. Where the rows themselves are bad, have them set aside: npx syncline start hubspotSync ${connection} --accept-rejects`,
  );

export const strangeAnswer = (place: string, status: number) =>
  new SyncError('BadAnswer', `${place} answered ${status} with something that is no answer of HubSpot`);
