import { randomInt, randomUUID } from 'node:crypto';
import type { Reply } from './batches.ts';

const lifeSeconds = 1_800;

/** Tokens of the account: one that does not end, and those of apps, which live half an hour. */
export class Sessions {
  readonly key = `pat-eu1-${randomUUID()}`;
  /** The account's number. */
  readonly portalId = randomInt(1, 100_000_000);
  private readonly app = { clientId: randomUUID(), clientSecret: randomUUID() };
  private readonly refreshTokens = new Set<string>();
  private readonly access = new Map<string, number>();
  /** Tokens that were given. */
  given = 0;

  consent(): { clientId: string; clientSecret: string; refreshToken: string } {
    const refreshToken = randomUUID();
    this.refreshTokens.add(refreshToken);
    return { ...this.app, refreshToken };
  }

  knows(authorization: string | undefined): boolean {
    const token = authorization?.replace(/^Bearer /, '') ?? '';
    return token === this.key || (this.access.get(token) ?? 0) > Date.now();
  }

  expire(): void {
    this.access.clear();
  }

  /** The token endpoint: a refresh token stays the same. */
  answer(form: URLSearchParams): Reply {
    const known = form.get('client_id') === this.app.clientId && form.get('client_secret') === this.app.clientSecret;
    const refresh = form.get('refresh_token') ?? '';
    if (!known)
      return {
        status: 400,
        body: { status: 'BAD_CLIENT_SECRET', message: 'missing or invalid client secret', error: 'invalid_client' },
      };
    if (form.get('grant_type') !== 'refresh_token' || !this.refreshTokens.has(refresh))
      return {
        status: 400,
        body: { status: 'BAD_REFRESH_TOKEN', message: 'missing or invalid refresh token', error: 'invalid_grant' },
      };
    const token = randomUUID();
    this.given += 1;
    this.access.set(token, Date.now() + lifeSeconds * 1_000);
    return {
      status: 200,
      body: { token_type: 'bearer', access_token: token, refresh_token: refresh, expires_in: lifeSeconds },
    };
  }
}
