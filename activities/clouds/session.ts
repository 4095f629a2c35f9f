/** Sessions: an account's credentials, endpoint, limits and signature, joined to one API. */
import type { CloudApi, CloudReader, CloudResponse, MutatingRequest } from './port.js';

/** How a send ended, before anybody judged the answer. */
export type Sent =
  /** A whole answer of any HTTP status came. */
  | { readonly kind: 'answered'; readonly at: number; readonly response: CloudResponse }
  /** Not one byte of the request left: refused connection, no slot in time, past `sendBy`, no credentials. */
  | { readonly kind: 'not-sent'; readonly reason: string; readonly retryInMs: number }
  /** The request, or a part of it, may have arrived; no whole answer came back. */
  | { readonly kind: 'unanswered'; readonly at: number; readonly reason: string };

/** The only thing that can change something at a cloud. `activities/submit.ts` alone may hold one (lint enforces it). */
export interface CloudSender {
  /** Sends once; never throws for anything the network or the cloud does. */
  send(request: MutatingRequest, bounds: SendBounds): Promise<Sent>;
}

export interface SendBounds {
  /** Epoch ms: checked right before the socket write; past it the answer is `not-sent`. */
  readonly sendBy: number;
  /** From the socket write to the whole answer; past it the answer is `unanswered`. */
  readonly timeoutMs: number;
}

export interface Sessions {
  /** @throws AccountError for an account or credentials that cannot be used. */
  reader(api: CloudApi, account: string, signal?: AbortSignal): CloudReader;
  /** @throws AccountError */
  sender(api: CloudApi, account: string): CloudSender;
}
