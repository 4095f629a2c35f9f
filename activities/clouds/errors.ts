import type { ErrorClass } from './port.js';

/** What is known of a call that failed. Never holds headers, credentials or whole bodies. */
export interface CloudErrorFacts {
  readonly errorClass: ErrorClass;
  /** `GET /v2/p1/graphs/g1` */
  readonly call: string;
  /** HTTP status; `null` when no answer came. */
  readonly status: number | null;
  /** The cloud's error code; `null` when there was none. */
  readonly code: string | null;
  readonly requestId: string | null;
  /** `false` only when it is certain that not one byte of the request reached the cloud. */
  readonly sent: boolean;
}

/** A call to a cloud that gave no usable answer. Its message is one line: what, where, why. */
export class CloudError extends Error {
  override readonly name = 'CloudError';
  readonly errorClass: ErrorClass;
  readonly call: string;
  readonly status: number | null;
  readonly code: string | null;
  readonly requestId: string | null;
  readonly sent: boolean;

  constructor(message: string, facts: CloudErrorFacts) {
    super(message);
    this.errorClass = facts.errorClass;
    this.call = facts.call;
    this.status = facts.status;
    this.code = facts.code;
    this.requestId = facts.requestId;
    this.sent = facts.sent;
  }
}

/** Something an operator must mend: an unknown account, missing credentials, an endpoint that is refused. */
export class AccountError extends Error {
  override readonly name = 'AccountError';
}
