/**
 * What to do about a submit, from evidence alone. No Huawei call takes a client token, so a second send is prevented
 * by looking: this function is the only place where "send" is said.
 */
import type { Operation } from '../workflows/contracts/upgrade.js';
import type { OperationRecord, ResourceState, Standing } from './clouds/port.js';
import { NOT_AS_PLANNED } from './drift.js';

/** What was read about one resource just now. */
export interface Evidence {
  readonly state: ResourceState;
  readonly standing: Standing;
  /** Operations that began since the upgrade did and were not known before it; newest first. */
  readonly operations: readonly OperationRecord[];
  /** The version that the precheck read; `null` when it read none. */
  readonly expectedVersion: string | null;
  /** A send of ours may be out: this attempt's own with an unknown answer, or one of an attempt before it. */
  readonly mayHaveSent: boolean;
  /** Nothing sent earlier can still arrive or still be invisible: absence of evidence is now proof. */
  readonly settled: boolean;
  /** ISO 8601 of this look. */
  readonly seenAt: string;
}

export type Decision =
  | { readonly do: 'send' }
  | { readonly do: 'follow'; readonly operation: Operation; readonly own: boolean; readonly reason: string }
  | { readonly do: 'done'; readonly own: boolean; readonly reason: string }
  /** `unwell`: as it is now the resource serves nobody. */
  | { readonly do: 'wait' | 'refuse'; readonly reason: string; readonly unwell?: true }
  | { readonly do: 'look-again'; readonly reason: string }
  /** `anew`: its version is another one, by nothing that was sent here, so that a new precheck may judge it. */
  | { readonly do: 'drifted'; readonly reason: string; readonly anew?: true };

/** Evidence in, verdict out. Says `send` only when no earlier send can be alive and the resource is as planned. */
export function decide(evidence: Evidence): Decision {
  const { state, standing, mayHaveSent } = evidence;
  const inStatus = `${state.version}, status ${state.status}`;
  const newest = evidence.operations[0];

  // What may be our own is verified next. What is not is taken at its word, so it has to be well.
  const isThere = mayHaveSent
    ? state.condition !== 'upgrading' && state.condition !== 'rolling-back'
    : state.condition === 'ready';
  if (standing === 'at' && isThere) {
    return { do: 'done', own: mayHaveSent, reason: `is at its target: ${inStatus}` };
  }
  if (state.condition === 'upgrading' || newest?.state === 'running') {
    const operation = newest?.state === 'running' ? newest.operation : { id: null, since: evidence.seenAt };
    return { do: 'follow', operation, own: mayHaveSent, reason: `an upgrade is running: ${inStatus}` };
  }
  if (mayHaveSent && newest !== undefined) {
    // It began after this upgrade did and has ended already: what it came to is for await and verify to read.
    return { do: 'follow', operation: newest.operation, own: true, reason: `the upgrade ended meanwhile: ${inStatus}` };
  }
  if (mayHaveSent && state.condition === 'rolling-back') {
    return {
      do: 'follow',
      operation: { id: null, since: evidence.seenAt },
      own: true,
      reason: `rolls back: ${inStatus}`,
    };
  }
  if (mayHaveSent && !evidence.settled) {
    return { do: 'look-again', reason: `no trace of the submit yet: ${inStatus}` };
  }
  switch (state.condition) {
    case 'busy':
    case 'rolling-back':
      return { do: 'wait', reason: `busy: ${inStatus}` };
    case 'stopped':
    case 'broken':
      return { do: 'refuse', reason: `takes no upgrade: ${inStatus}`, unwell: true };
    case 'ready':
      break;
  }
  if (newest?.state === 'failed') {
    // Perhaps ours, sent by a run that a restored backup knows nothing of; in any case not what the precheck saw.
    const reason = `${NOT_AS_PLANNED}: an upgrade has begun and failed since (${newest.reason}), ${inStatus}`;
    return { do: 'drifted', reason };
  }
  if (standing === 'above') return { do: 'refuse', reason: `is above its target already: ${inStatus}` };
  if (standing === 'not-comparable') {
    return { do: 'refuse', reason: `cannot be compared with its target, so no end could be verified: ${inStatus}` };
  }
  if (evidence.expectedVersion !== null && evidence.expectedVersion !== state.version) {
    return {
      do: 'drifted',
      reason: `${NOT_AS_PLANNED}: version ${evidence.expectedVersion} then, ${state.version} now`,
      ...(mayHaveSent ? {} : { anew: true }),
    };
  }
  return { do: 'send' };
}
