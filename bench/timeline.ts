/** Where an upgrade's time goes: by its own phases and the simulator's clock, which are one machine's. */
import type { Client } from '@temporalio/client';
import type { Planned } from './fleet.js';
import type { Truth } from '../simulator/truth.js';
import { mapAtOnce } from '../temporal/reads.js';
import { upgradeWorkflowId } from '../workflows/contracts/ids.js';
import type { Phase, UpgradeResult } from '../workflows/contracts/upgrade.js';
import { quantile } from './usage.js';

/** Milliseconds, but for `polls`. */
export interface Timeline {
  readonly service: string;
  /** From the start of its workflow to the cloud's acceptance. */
  readonly toSubmit: number;
  /** From the end of the operation to the begin of verifying. */
  readonly toDetect: number;
  /** From then to the end of its workflow. */
  readonly toVerify: number;
  /** From the end of the operation to the end of its workflow. */
  readonly delay: number;
  readonly polls: number;
  readonly startedAt: number;
  readonly endedAt: number;
}

export async function timelines(client: Client, planned: readonly Planned[], truth: Truth): Promise<Timeline[]> {
  const acceptedAt = new Map(truth.submits.map(({ resource, at }) => [resource, at]));
  return mapAtOnce(planned, async ({ spec, resource }) => {
    const result = (await client.workflow.getHandle(upgradeWorkflowId(spec.resource)).result()) as UpgradeResult;
    const began = (phase: Phase) => Date.parse(result.phases?.find((one) => one.phase === phase)?.at ?? '');
    const accepted = acceptedAt.get(resource.id) ?? Number.NaN;
    const doneAt = accepted + resource.durationMs;
    const [startedAt, endedAt] = [Date.parse(result.startedAt), Date.parse(result.endedAt)];
    return {
      service: spec.resource.service,
      toSubmit: accepted - startedAt,
      toDetect: began('Verify') - doneAt,
      toVerify: endedAt - began('Verify'),
      delay: endedAt - doneAt,
      polls: result.polls,
      startedAt,
      endedAt,
    };
  });
}

/** The middle and the 95th of a hundred. */
export function spread(values: readonly number[]): { readonly median: number; readonly p95: number } {
  return { median: quantile(values, 0.5), p95: quantile(values, 0.95) };
}
