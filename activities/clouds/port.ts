/**
 * The port that every cloud API is reached through. One API is one `CloudApi`; everything that is the same for all of
 * them (order of steps, exactly-once submit, polling, retries, limits) lives above it and knows none of them by name.
 */
import type { z } from 'zod';
import type { Finding, Operation } from '../../workflows/contracts/upgrade.js';
import type { CloudError } from './errors.js';

/** What an answer, an error or a broken connection means to the steps above. */
export type ErrorClass =
  /** The same call would fail the same way. */
  | 'permanent'
  | 'not-found'
  | 'denied'
  /** The resource is doing something else; later it will not. */
  | 'busy'
  /** The target is reached already: verify. */
  | 'already-done'
  | 'throttled'
  /** The token or signature must be made anew, once. */
  | 'token'
  /** Our clock and the cloud's differ too much. */
  | 'clock-skew'
  /** May go better next time; of a submit, the outcome is unknown. */
  | 'transient';

/** What a read found out about a resource, in words common to all clouds. */
export interface ResourceState {
  readonly id: string;
  readonly name: string;
  /** The provider's own word: `200`, `Available`, `active`. */
  readonly status: string;
  /** `ready`: takes an upgrade. `busy`: does something else and will end. `stopped`: by itself it stays so. */
  readonly condition: 'ready' | 'upgrading' | 'rolling-back' | 'busy' | 'stopped' | 'broken';
  /** The version as people read it; components joined as `engine 5.0.14, proxy 5.0.14.1`. */
  readonly version: string;
  readonly tags: Readonly<Record<string, string>>;
  /** How large it is, in the provider's words: `2C8G x 3`. Left out where the API does not say. */
  readonly size?: string;
  /** The account's region, or the one the cloud says. */
  readonly detail?: string;
  /** Where a version has parts, each by its name. */
  readonly components?: Readonly<Record<string, Component>>;
}

/** One part of a resource that has a version of its own. */
export interface Component {
  readonly version: string;
  /** The version that the cloud would upgrade it to now; `null` where it names none. */
  readonly offer: string | null;
}

/** A resource's version against a target. `partly`: some components are there and others are not. */
export type Standing = 'below' | 'partly' | 'at' | 'above' | 'not-comparable';

/** An upgrade that the cloud's job list, task list or action records know of. */
export interface OperationRecord {
  readonly operation: Operation;
  readonly state: 'running' | 'succeeded' | 'failed';
  readonly reason: string;
}

/** One look at a running operation. */
export interface Progress {
  readonly state: 'running' | 'succeeded' | 'failed' | 'rolled-back' | 'vanished';
  /** One line for a person: what the provider says it is doing, or why it failed. */
  readonly detail: string;
  /** 0..100; `null` where the API has none. */
  readonly percent: number | null;
  /** What the provider says is left, in milliseconds; `null` where it says nothing. */
  readonly remainingMs: number | null;
}

export interface Health {
  readonly healthy: boolean;
  /** The provider's word: `GREEN`, `status 200`. */
  readonly detail: string;
}

/** Exactly one of the seven classes of answers to a submit. */
export type SubmitAnswer =
  | { readonly kind: 'accepted'; readonly operationId: string | null }
  | {
      readonly kind: 'refused' | 'busy' | 'already-done' | 'throttled' | 'not-sent' | 'unknown';
      readonly reason: string;
    };

/** A mutating call, described and not sent: `plan` lists it, only the submit path sends it. */
export interface MutatingRequest {
  readonly method: 'POST' | 'PUT';
  /** Decoded path; the transport encodes each segment. */
  readonly path: readonly string[];
  readonly query?: Readonly<Record<string, string>>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body: Readonly<Record<string, unknown>>;
}

/** A read. A POST is let through only with `dryRun: 'true'` in its query: nothing else here may change anything. */
export interface ReadRequest {
  readonly method?: 'GET' | 'POST';
  readonly path: readonly string[];
  readonly query?: Readonly<Record<string, string | undefined>>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Readonly<Record<string, unknown>>;
  /** The answer's error fields are part of what was asked for: a job tells of its own failure in them. */
  readonly errorFieldsAreData?: boolean;
}

/** A whole answer, its body already parsed where it was JSON. */
export interface CloudResponse {
  readonly status: number;
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string>>;
  /** `undefined` when the body is no JSON. */
  readonly json: unknown;
  readonly text: string;
}

/** How an adapter reads: signed, paced by the account's read rate, parsed. Bound to one account and one API. */
export interface CloudReader {
  readonly region: string;
  /** Huawei's project; empty at clouds without one. */
  readonly projectId: string;
  now(): number;
  /**
   * @throws CloudError naming call and field: not reachable, not understood, or refused; `errorClass` says which.
   */
  read<T>(request: ReadRequest, schema: z.ZodType<T>): Promise<T>;
  /** As `read`, with the answer's headers: some lists have their total there. */
  readWithHeaders<T>(
    request: ReadRequest,
    schema: z.ZodType<T>,
  ): Promise<{ body: T; headers: CloudResponse['headers'] }>;
}

/** What the documents say of how long an upgrade takes, and how to look at it. All in milliseconds, at scale 1. */
export interface Pace {
  /** Ordinary duration of an upgrade. */
  readonly expectedMs: number;
  /** Past it an operation is overdue: still followed, more slowly. */
  readonly deadlineMs: number;
  readonly pollMinMs: number;
  readonly pollMaxMs: number;
  /** Good reads in a row before the end counts as verified, and the time between them. */
  readonly stableReads: number;
  readonly stableEveryMs: number;
  /**
   * How long an accepted submit may stay invisible in every read: after it, absence of evidence is proof, and before it
   * a bad end or a missing record may be what was before. The steps wait for it, since they know the scale: an adapter
   * says what it reads. The submit path adds its own bounds on top.
   */
  readonly visibilityLagMs: number;
}

export interface ResourcePage {
  readonly resources: readonly ResourceState[];
  /** The argument for the following page; `null` after the last one. */
  readonly next: number | null;
  /** How many there are in all, as this page says; left out where the API does not, or the page is all of them. */
  readonly total?: number;
}

/** One API: what a new service brings. */
export interface CloudApi<Target = unknown> {
  readonly cloud: string;
  /** As written in the plan: `ges-v1`. */
  readonly service: string;
  /** Without the API's version: `ges`. Names the endpoint and the lease. */
  readonly family: string;
  readonly pace: Pace;
  /** What a resource id looks like, and how to say so. */
  readonly id: { readonly pattern: RegExp; readonly hint: string };
  /** The target's fields in the plan: an object schema, strict. */
  readonly target: z.ZodObject;

  /** The target as people read it. */
  label(target: Target): string;
  /** Why this target cannot be asked for at all, seen without any call; `null` when it can. */
  objection(target: Target): string | null;

  describe(reader: CloudReader, id: string): Promise<ResourceState>;
  /** One page of the account's resources, from page 0 on. */
  list(reader: CloudReader, page: number): Promise<ResourcePage>;
  /** The state's version against the target: pure. */
  standing(state: ResourceState, target: Target): Standing;
  /**
   * The target with what it leaves to the moment (`latest`) fixed to what the cloud offers now, so that a plan says
   * where it leads: pure. Left out by an API whose targets leave nothing open.
   */
  pin?(state: ResourceState, target: Target): Target;
  /** Why a pinned target is not what the cloud would do any more; `null` while it is: pure. */
  drift?(state: ResourceState, target: Target): string | null;
  /** What of the target the resource still lacks, where asking for what it has would be refused: pure. */
  remaining?(state: ResourceState, target: Target): Target;
  /** The provider's own dry run and offers: one finding a check, none where the API has none. Changes nothing. */
  precheck(reader: CloudReader, id: string, target: Target, token: string): Promise<Finding[]>;

  /** The one mutating call: pure, so that the plan can show it. `token` is ASCII, at most 64 characters. */
  submission(scope: { projectId: string }, id: string, target: Target, token: string): MutatingRequest;
  /** What a 2xx answer to `submission` means: `accepted`, or `unknown` when it is not what the document promises. */
  accepted(response: CloudResponse, id: string): SubmitAnswer;

  /**
   * Upgrades of this resource that the cloud's records know of and that began at `since` (epoch ms, our clock) or
   * later, allowing for the cloud's clock to be off; newest first.
   */
  operations(reader: CloudReader, id: string, since: number): Promise<OperationRecord[]>;
  /** One poll. A record that is gone, or not there yet, is `vanished`: should it stay so, the resource decides. */
  poll(reader: CloudReader, id: string, target: Target, operation: Operation): Promise<Progress>;
  health(reader: CloudReader, id: string, state: ResourceState): Promise<Health>;

  /** The class of an error answer, from the service's table. */
  classify(error: Pick<CloudError, 'status' | 'code' | 'message'>): ErrorClass;
}
