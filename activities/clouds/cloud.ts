/** What all APIs of one cloud share: keys, endpoints, signature. */
import type { AccessKeys, CredentialVariables, Login } from '../credentials.js';
import type { CloudApi, CloudReader, CloudResponse, ReadRequest } from './port.js';

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
  /** The service that gives out tokens and knows the projects; left out where every account has keys and no project. */
  readonly identity?: Identity;
  /** Codes after which a read is signed anew, with another date and nonce, and sent once more; a submit never is. */
  readonly signedAnew?: readonly string[];
  /** First and longest pause after a throttled answer, in milliseconds. */
  readonly throttlePause: { readonly firstMs: number; readonly maxMs: number };
  endpoint(family: string, region: string): Endpoint;
  /** All headers to send, signature included. `now` is epoch ms. */
  sign(request: UnsignedRequest, keys: AccessKeys, now: number): Record<string, string>;
}

/** A token as its cloud gave it out. */
export interface Issued {
  readonly token: string;
  readonly lifetimeMs: number;
}

/** What is particular about a cloud's identity service; when it is asked is decided in `authenticator.ts`. */
export interface Identity {
  /** Names its endpoint: `iam`. */
  readonly family: string;
  classify: CloudApi['classify'];
  /** All headers to send with a token in place of a signature. */
  withToken(request: UnsignedRequest, token: string): Record<string, string>;
  /** What to POST for a token of a project; by its region where the id is empty. */
  login(
    login: Login,
    scope: { readonly projectId: string; readonly region: string },
  ): Required<Pick<ReadRequest, 'path' | 'query' | 'body'>>;
  /** The token in an answer to `login`; `null` when that is not what the document promises. */
  issued(response: CloudResponse): Issued | null;
  /** Ids of the projects of a region's name. */
  projectsNamed(read: CloudReader['read'], region: string): Promise<readonly string[]>;
}
