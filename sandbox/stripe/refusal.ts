/** An answer that refuses, as Stripe writes it. */
export class Refusal extends Error {
  readonly status: number;
  readonly code: string | undefined;
  readonly headers: Record<string, string>;

  constructor(status: number, code: string | undefined, message: string, headers: Record<string, string> = {}) {
    super(message);
    this.status = status;
    this.code = code;
    this.headers = headers;
  }

  get body(): object {
    const type = this.status >= 500 ? 'api_error' : 'invalid_request_error';
    return { error: { type, ...(this.code !== undefined && { code: this.code }), message: this.message } };
  }
}

export const missing = (what: string) => new Refusal(404, 'resource_missing', `No such ${what}`);
