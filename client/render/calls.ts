/** Every call that may have changed something, as reports list them: whatever became of its upgrade, in order of time. */
import type { ResourceCall } from '../views.js';

export const CALLS_HEAD: readonly string[] = ['sent', 'resource', 'call', 'answer', 'HTTP', "cloud's request id"];

export interface ReportedCall {
  /** ISO 8601, UTC. */
  readonly at: string;
  readonly resourceId: string;
  /** `POST /v2/…` */
  readonly call: string;
  readonly answer: string;
  /** The status, or that there was none. */
  readonly http: string;
  /** `null` when no answer was read. */
  readonly requestId: string | null;
}

export const NO_REQUEST_ID = 'none read';

export function reportedCalls(calls: readonly ResourceCall[]): ReportedCall[] {
  return calls.map(({ at, resourceId, method, path, answer, status, requestId }) => ({
    at,
    resourceId,
    call: `${method} ${path}`,
    answer,
    http: status === null ? 'no answer' : String(status),
    requestId,
  }));
}
