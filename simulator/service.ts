/**
 * What one service's half of the simulator is: its routes, and its own words for the state machine of `model.ts`. A
 * test file can supply one as well as a file of this folder.
 */
import type { Json } from '../workflows/contracts/json.js';
import type { Call } from './faults.js';
import type { Cloud, SimulatedResource } from './model.js';
import type { World } from './world.js';

export interface SimulatedRequest {
  readonly method: string;
  /** Path parameters, decoded: `{ owner, id }`. */
  readonly params: Readonly<Record<string, string>>;
  readonly query: Readonly<Record<string, string>>;
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Readonly<Record<string, unknown>>;
}

export interface Reply {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body: Readonly<Record<string, Json>>;
}

export interface Route {
  readonly method: 'GET' | 'POST' | 'PUT';
  /**
   * `/v2/{owner}/graphs/{id}`: `{owner}` must be the key's own (Huawei's project), `{id}` is the resource that counts
   * and faults go by. The first route that fits is taken.
   */
  readonly path: string;
  /** Query parameters that choose this route. */
  readonly query?: Readonly<Record<string, string>>;
  /** Alibaba's name of the operation: the header `x-acs-action` must say the same. */
  readonly action?: string;
  readonly call: Call | ((request: SimulatedRequest) => Call);
  /** The answer's field that a submit is known by afterwards: what `missing-field` drops when it names none. */
  readonly answerId?: string;
  /** The fields that its body may have. */
  readonly fields?: readonly string[];
  handle(request: SimulatedRequest, world: World): Reply;
}

export interface SimulatedService {
  /** `ges`, `elasticsearch`: names resources, endpoints and counts. */
  readonly family: string;
  /** Decides signature, gateway errors and request ids. */
  readonly cloud: Cloud;
  readonly routes: readonly Route[];
  /** Status and version as its reads show them now. */
  describe(resource: SimulatedResource, world: World): { status: string; version: string };
}
