/** The SDK's metrics and ours, on one endpoint for Prometheus. */
import type { Client } from '@temporalio/client';
import type { MetricMeter } from '@temporalio/common';
import type { TelemetryOptions } from '@temporalio/worker';
import type { Clock } from '../activities/clock.js';
import { Gates } from '../calendar/gate.js';
import { inputOf } from '../temporal/reads.js';
import { ATTRIBUTES } from '../workflows/contracts/search-attributes.js';
import { MESSAGES } from '../workflows/contracts/messages.js';
import { METRICS, type Metric } from '../workflows/contracts/metrics.js';
import type { RolloutInput, RolloutStatus } from '../workflows/contracts/rollout.js';
import type { Phase } from '../workflows/contracts/upgrade.js';
import type { ListenAddress } from './settings.js';

/** Options for the SDK's runtime; without an address nothing is exported. */
export function telemetry(address: ListenAddress | undefined): Pick<TelemetryOptions, 'metrics'> {
  if (address === undefined) return {};
  const histograms = Object.values<Metric>(METRICS).filter(({ buckets }) => buckets !== undefined);
  return {
    metrics: {
      prometheus: {
        bindAddress: `${address.host.includes(':') ? `[${address.host}]` : address.host}:${address.port}`,
        countersTotalSuffix: true,
        unitSuffix: true,
        useSecondsForDurations: true,
        histogramBucketOverrides: Object.fromEntries(
          histograms.map(({ name, buckets }) => [name, [...(buckets ?? [])]]),
        ),
      },
    },
  };
}

/** Phases that last and that people watch. */
const WATCHED: readonly Phase[] = ['Waiting', 'Await', 'Stuck', 'Overdue', 'Held'];
/** Phases of what a cloud works at, or may. */
const UNDER_WAY: readonly Phase[] = ['Await', 'Verify', 'Stuck', 'Overdue', 'Held'];
const LOOK_EVERY_MS = 15_000;
/** Rollouts asked for their state at each look; of more, the newest. */
const MOST_ROLLOUTS = 50;

/**
 * What is so now, of all rollouts, read from the server: it is the same on every worker, and a restart forgets nothing.
 * Ends when `signal` is aborted; a look that fails is skipped, since the SDK's own metrics tell of a server that is away.
 */
export async function watchState(client: Client, meter: MetricMeter, clock: Clock, signal: AbortSignal): Promise<void> {
  const gauge = ({ name, about }: Metric) => meter.createGauge(name, 'int', undefined, about);
  const [upgradesIn, running, waiting, budget, overruns] = [
    gauge(METRICS.upgradesIn),
    gauge(METRICS.rolloutsRunning),
    gauge(METRICS.rolloutsWaiting),
    gauge(METRICS.budgetLeft),
    gauge(METRICS.windowOverruns),
  ];
  let known = new Set<string>();
  const windowsOf = new WindowsOfRollouts(client);

  const look = async () => {
    for (const phase of WATCHED) {
      const query = `${ATTRIBUTES.phase.name} = '${phase}' AND ExecutionStatus = 'Running'`;
      upgradesIn.set((await client.workflow.count(query)).count, { phase });
    }
    const now = new Set<string>();
    const rollouts = client.workflow.list({ query: `WorkflowType = 'rollout' AND ExecutionStatus = 'Running'` });
    for await (const { workflowId, runId } of rollouts) {
      if (now.size === MOST_ROLLOUTS) break;
      const { rollout, ...status } = await client.workflow
        .getHandle(workflowId, runId)
        .query<RolloutStatus>(MESSAGES.rolloutStatus);
      now.add(rollout);
      running.set(1, { rollout });
      waiting.set(status.approval == null ? 0 : 1, { rollout });
      budget.set(status.budget.max - status.failures, { rollout });
      const isShut = await windowsOf.areShut(workflowId, runId, clock.now());
      overruns.set(isShut ? await underWay(client, rollout) : 0, { rollout });
    }
    for (const rollout of known) {
      if (now.has(rollout)) continue;
      running.set(0, { rollout });
      waiting.set(0, { rollout });
      overruns.set(0, { rollout });
    }
    known = now;
  };

  while (!signal.aborted) {
    await look().catch(() => {});
    await clock.sleep(LOOK_EVERY_MS, signal).catch(() => {});
  }
}

async function underWay(client: Client, rollout: string): Promise<number> {
  const phases = UNDER_WAY.map((phase) => `'${phase}'`).join(', ');
  const query = `${ATTRIBUTES.rollout.name} = '${rollout}' AND ${ATTRIBUTES.phase.name} IN (${phases}) AND ExecutionStatus = 'Running'`;
  return (await client.workflow.count(query)).count;
}

/** They stand in a rollout's input and never change, so each is read once. */
class WindowsOfRollouts {
  private readonly client: Client;
  /** By run; `null` for one without windows. */
  private readonly known = new Map<string, Gates | null>();

  constructor(client: Client) {
    this.client = client;
  }

  /** Whether not one of them is open. @param at epoch milliseconds */
  async areShut(workflowId: string, runId: string, at: number): Promise<boolean> {
    let gates = this.known.get(runId);
    if (gates === undefined) {
      const { windows } = await inputOf<RolloutInput>(this.client, workflowId, runId);
      gates = windows === undefined ? null : new Gates(windows);
      const [oldest] = this.known.keys();
      if (this.known.size >= MOST_ROLLOUTS && oldest !== undefined) this.known.delete(oldest);
      this.known.set(runId, gates);
    }
    return gates?.areShut(at) ?? false;
  }
}
