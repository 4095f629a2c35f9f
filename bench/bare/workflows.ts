/**
 * The bare skeleton: a child workflow per upgrade, four activities that make the same calls, and nothing else. No lease,
 * no budget, no words to people, no care for what goes wrong.
 */
import { ApplicationFailure, executeChild, proxyActivities, sleep } from '@temporalio/workflow';
import type { ReadSteps, StepInput, SubmitInput, SubmitSteps, WaitSteps } from '../../workflows/contracts/steps.js';
import type { Timing, UpgradeSpec } from '../../workflows/contracts/upgrade.js';

export interface BareInput {
  readonly name: string;
  readonly specs: readonly UpgradeSpec[];
  readonly concurrency: number;
  readonly timing: Timing;
  readonly within: Within;
}

/** How long an attempt may take, in milliseconds: on a busy machine a task may get lost, and nothing beats here. */
export interface Within {
  readonly step: number;
  readonly wait: number;
}

export interface BareResult {
  readonly resource: string;
  readonly verdict: string;
  readonly polls: number;
  /** Epoch ms. */
  readonly endedAt: number;
}

const RETRY_MS = 1_000;
const AGAIN: readonly string[] = ['deferred', 'busy', 'unknown'];

export async function bareRollout({ name, specs, concurrency, timing, within }: BareInput): Promise<BareResult[]> {
  const results: BareResult[] = [];
  const queue = specs.values();
  const lane = async (): Promise<void> => {
    for (const spec of queue) {
      const step: StepInput = { rollout: name, rolloutRun: name, spec, timing };
      const workflowId = `${name}/${spec.resource.id}`;
      results.push(await executeChild(bareUpgrade, { workflowId, args: [step, within] }));
    }
  };
  await Promise.all(Array.from({ length: concurrency }, lane));
  return results;
}

export async function bareUpgrade(step: StepInput, within: Within): Promise<BareResult> {
  const steps = proxyActivities<ReadSteps & SubmitSteps & Pick<WaitSteps, 'verify'>>({
    startToCloseTimeout: within.step,
  });
  const waits = proxyActivities<Pick<WaitSteps, 'awaitOperation'>>({ startToCloseTimeout: within.wait });
  const startedAt = new Date().toISOString();
  const { version, knownOperations } = await steps.precheck(step);
  let input: SubmitInput = {
    ...step,
    expectedVersion: version,
    submission: 1,
    unresolvedSince: null,
    knownOperations,
    startedAt,
  };
  let submitted = await steps.submit(input);
  // On a busy machine a send may miss its window, or its answer be late.
  while (submitted.operation === null) {
    const { verdict, reason } = submitted;
    // The answer was late, and the operation had ended when somebody looked.
    if (verdict === 'already-at-target')
      return { resource: step.spec.resource.id, verdict, polls: 0, endedAt: Date.now() };
    if (!AGAIN.includes(verdict)) throw ApplicationFailure.nonRetryable(`${verdict}: ${reason}`);
    await sleep(RETRY_MS);
    input = { ...input, submission: submitted.submission, unresolvedSince: submitted.unresolvedSince };
    submitted = await steps.submit(input);
  }
  const { operation } = submitted;
  // Nobody is to be told that it takes long.
  const ended = await waits.awaitOperation({ ...step, operation, stuck: true, overdue: false });
  const { verdict } = await steps.verify({ ...step, operation });
  return { resource: step.spec.resource.id, verdict, polls: ended.polls, endedAt: Date.now() };
}
