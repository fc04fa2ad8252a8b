/** What came in since the start. */
export interface Requests {
  /** Every request, also refused ones and calls for tokens. */
  total: number;
  /** Refused by a rate limit. */
  refused: number;
  /** Refused for what they were: wrong signature, ended token, window too wide. Faults are not counted here. */
  wrong: number;
  /** The sandbox itself failed; more than 0 is a defect of a fixture. */
  failed: number;
  /** Data calls with the same API and business parameters as an earlier one of the account. */
  repeated: number;
  /** Most requests open at the same time. */
  peak: number;
  byApi: Record<string, ApiRequests>;
  byAccount: Record<string, { total: number; refused: number }>;
}

export interface ApiRequests {
  total: number;
  refused: number;
  wrong: number;
  /** Records sent. */
  rows: number;
}

export function noRequests(): Requests {
  return { total: 0, refused: 0, wrong: 0, failed: 0, repeated: 0, peak: 0, byApi: {}, byAccount: {} };
}

export function ofApi(requests: Requests, api: string): ApiRequests {
  requests.byApi[api] ??= { total: 0, refused: 0, wrong: 0, rows: 0 };
  return requests.byApi[api];
}

export function ofAccount(requests: Requests, account: string): { total: number; refused: number } {
  requests.byAccount[account] ??= { total: 0, refused: 0 };
  return requests.byAccount[account];
}
