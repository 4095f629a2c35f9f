/** Step 1: read the resource, compare versions, ask the provider's own dry run. Changes nothing. */
import { Context } from '@temporalio/activity';
import { upgradeWorkflowId } from '../workflows/contracts/ids.js';
import type { PrecheckResult, StepInput } from '../workflows/contracts/steps.js';
import type { Finding } from '../workflows/contracts/upgrade.js';
import { submitBounds } from './bounds.js';
import { iso } from './clock.js';
import { closureFor } from './closure.js';
import type { CloudApi, ResourceState } from './clouds/port.js';
import { driftFinding, driftFrom, NOT_AS_PLANNED } from './drift.js';
import { describeState, whyUnwell } from './health.js';
import { apiAndTarget, asFailure, beating, holdReason, nameOf, type StepDeps } from './step.js';
import { clientToken } from './token.js';

const BEAT_MS = 5_000;
/** Operations this old are history to everyone. */
const KNOWN_OPERATIONS_MS = 24 * 3_600_000;

export async function precheck(deps: StepDeps, input: StepInput): Promise<PrecheckResult> {
  const checked = await check(deps, input);
  if (checked.verdict !== 'busy') return checked;
  const held = await holdReason(deps, input);
  if (held !== null) return { ...checked, held };
  // What serves nobody keeps its place in its groups: only in flight it does.
  const closure = checked.unwell === true ? null : await closureFor(deps, input);
  return closure === null ? checked : { ...checked, closure };
}

async function check(deps: StepDeps, input: StepInput): Promise<PrecheckResult> {
  const { resource, targetLabel } = input.spec;
  try {
    const { api, target } = apiAndTarget(deps, input);
    const signal = Context.current().cancellationSignal;
    let seen = 'reading the resource';
    return await beating(
      BEAT_MS * input.timing.scale,
      () => seen,
      async () => {
        const terminated = wasTerminated(deps, api, input);
        const reader = await deps.sessions.reader(api, resource.account, { signal });
        const state = await api.describe(reader, resource.id);
        const known = await api.operations(reader, resource.id, deps.clock.now() - KNOWN_OPERATIONS_MS);
        const read = {
          version: state.version,
          status: state.status,
          findings: [],
          knownOperations: known.map(({ operation }) => nameOf(operation)),
          unresolvedSince: (await terminated) ? iso(deps.clock.now()) : null,
        };
        const byState = verdictOf(api, state, target, input.spec.reachedBefore);
        if (byState?.verdict === 'already-at-target' && input.spec.failedBefore === true) {
          // As `verify` does, it gives health time to come back.
          const unwell = await whyUnwell(api, reader, state);
          if (unwell !== null) return { ...read, verdict: 'busy', reason: unwell, unwell: true };
        }
        if (byState !== null) return { ...read, ...byState };

        const drift = driftFrom(input.spec, state);
        if (drift?.rule === 'fail') return { ...read, verdict: 'refused', reason: `${NOT_AS_PLANNED}: ${drift.shown}` };
        if (drift?.rule === 'hold') return { ...read, verdict: 'busy', reason: `${NOT_AS_PLANNED}: ${drift.shown}` };
        const differs: Finding[] = drift === null ? [] : [driftFinding(drift)];

        const token = clientToken({ rolloutRun: input.rolloutRun, resource, targetLabel, submission: 'dry-run' });
        const findings = [...differs, ...(await api.precheck(reader, resource.id, target, token))];
        const blocking = findings.filter((finding) => finding.status !== 'success');
        if (blocking.length > 0) {
          const reason = `precheck failed: ${blocking.map(findingLine).join('; ')}`;
          return { ...read, findings, verdict: 'refused', reason };
        }
        // Waiting for the account's rate here costs nothing; in the submit it would use up its send window.
        const waiting = (reason: string) => {
          seen = reason;
        };
        await deps.sessions.admit(api, resource.account, { signal, waiting });
        return { ...read, findings, verdict: 'clear', reason: `${state.version}, status ${state.status}` };
      },
    );
  } catch (error) {
    throw asFailure(error, true, input.timing.scale);
  }
}

/**
 * Whether a run of this upgrade was terminated so lately that what it sent may still be invisible. A server that cannot
 * tell leaves it open, and then it has to be supposed.
 */
async function wasTerminated({ terminations }: StepDeps, api: CloudApi, { spec, timing }: StepInput): Promise<boolean> {
  if (terminations === undefined) return false;
  const { settlingMs } = submitBounds(api.pace, timing.scale);
  try {
    return await terminations.recently(upgradeWorkflowId(spec.resource), settlingMs);
  } catch {
    return true;
  }
}

/**
 * What the resource's state alone decides; `null` when the provider's own checks have the next word.
 *
 * @param reachedBefore it was brought to its target before: what has led it further since is no regression, as in a soak
 */
export function verdictOf(
  api: CloudApi,
  state: ResourceState,
  target: unknown,
  reachedBefore = false,
): Pick<PrecheckResult, 'verdict' | 'reason' | 'unwell'> | null {
  const is = describeState(state);
  const standing = api.standing(state, target);
  switch (state.condition) {
    case 'upgrading':
      return { verdict: 'upgrading', reason: `an upgrade is running: ${is}` };
    case 'busy':
    case 'rolling-back':
      return { verdict: 'busy', reason: `busy: ${is}` };
    case 'stopped':
    case 'broken':
      return { verdict: 'refused', reason: `takes no upgrade: ${is}`, unwell: true };
    case 'ready':
      break;
  }
  if (standing === 'at') return { verdict: 'already-at-target', reason: `is at its target: ${is}` };
  if (standing === 'above' && reachedBefore) {
    return { verdict: 'already-at-target', reason: `had reached its target, and is above it now: ${is}` };
  }
  if (standing === 'above') {
    return { verdict: 'refused', reason: `target ${api.label(target)} is not above the current version: ${is}` };
  }
  if (standing === 'not-comparable') {
    return {
      verdict: 'refused',
      reason: `target ${api.label(target)} cannot be compared with the current version, so no end could be verified: ${is}`,
    };
  }
  return null;
}

/** One finding as one line: `checkClusterHealth failed: clusterStatus ClusterStatusNotHealth …`. */
export function findingLine(finding: Finding): string {
  const problems = finding.problems.map(({ type, code, message }) =>
    [type, code, message === code ? '' : message].filter((part) => part !== '').join(' '),
  );
  return `${finding.check} ${finding.status}${problems.length > 0 ? `: ${problems.join(', ')}` : ''}`;
}
