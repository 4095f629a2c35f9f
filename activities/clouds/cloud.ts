/** What all APIs of one cloud share: keys, endpoints, signature. */
import type { AccessKeys, CredentialVariables } from '../credentials.js';

/** A request that lacks nothing but its signature. */
export interface UnsignedRequest {
  readonly method: string;
  /** `ges.cn-north-4.myhuaweicloud.com`, with the port where that is not the scheme's own. */
  readonly host: string;
  /** Encoded. */
  readonly path: string;
  /** Encoded and sorted, without `?`. */
  readonly query: string;
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string>>;
  /** Empty for none. */
  readonly body: string;
}

/** Base URL of a service in a region, or why there is none. */
export type Endpoint = { readonly url: string } | { readonly problem: string };

export interface Cloud {
  /** As written in the accounts file: `huawei`. */
  readonly name: string;
  readonly variables: CredentialVariables;
  /** Whether its paths carry a project id. */
  readonly hasProjects: boolean;
  /** First and longest pause after a throttled answer, in milliseconds. */
  readonly throttlePause: { readonly firstMs: number; readonly maxMs: number };
  endpoint(family: string, region: string): Endpoint;
  /** All headers to send, signature included. `now` is epoch ms. */
  sign(request: UnsignedRequest, keys: AccessKeys, now: number): Record<string, string>;
}
