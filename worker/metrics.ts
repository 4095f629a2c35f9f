/** The SDK's metrics and ours, on one endpoint for Prometheus. */
import type { Client } from '@temporalio/client';
import type { MetricMeter } from '@temporalio/common';
import type { TelemetryOptions } from '@temporalio/worker';
import type { Clock } from '../activities/clock.js';
import { Gates } from '../calendar/gate.js';
import { lineOf } from '../temporal/errors.js';
import { inputOf, mapAtOnce } from '../temporal/reads.js';
import { rolloutWorkflowId } from '../workflows/contracts/ids.js';
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

/** How long the server, or a rollout's worker, may take for its part of a look. */
const WITHIN_MS = 5_000;

/**
 * What is so now, of all rollouts, read from the server: it is the same on every worker, and a restart forgets nothing.
 * What cannot be read keeps its last value and takes nothing from the rest.
 *
 * @param warn is told of it, once until it can be read again
 * @param signal ends it at once, also amid a look
 */
export async function watchState(
  client: Client,
  meter: MetricMeter,
  clock: Clock,
  warn: (line: string) => void,
  signal: AbortSignal,
): Promise<void> {
  const gauge = ({ name, about }: Metric) => meter.createGauge(name, 'int', undefined, about);
  const [upgradesIn, running, waiting, budget, overruns] = [
    gauge(METRICS.upgradesIn),
    gauge(METRICS.rolloutsRunning),
    gauge(METRICS.rolloutsWaiting),
    gauge(METRICS.budgetLeft),
    gauge(METRICS.windowOverruns),
  ];
  let known = new Set<string>();
  const unread = new Set<string>();
  const windowsOf = new WindowsOfRollouts(client);

  const read = async <T>(what: string, how: () => Promise<T>): Promise<T | null> => {
    if (signal.aborted) return null;
    try {
      const value = await client.withDeadline(Date.now() + WITHIN_MS, how);
      unread.delete(what);
      return value;
    } catch (error) {
      if (!unread.has(what) && !signal.aborted) warn(`metrics: ${what} cannot be read: ${lineOf(error)}`);
      unread.add(what);
      return null;
    }
  };
  const look = async () => {
    await read('upgrades by phase', async () => {
      for (const phase of WATCHED) {
        const query = `${ATTRIBUTES.phase.name} = '${phase}' AND ExecutionStatus = 'Running'`;
        upgradesIn.set((await client.workflow.count(query)).count, { phase });
      }
    });
    const runs = await read('the list of rollouts', () => runningRollouts(client));
    if (runs === null) return;
    const now = new Set(runs.map(({ rollout }) => rollout));
    windowsOf.keep(new Set(runs.map(({ runId }) => runId)));
    await mapAtOnce(runs, async ({ rollout, workflowId, runId }) => {
      running.set(1, { rollout });
      await read(rollout, async () => {
        const handle = client.workflow.getHandle(workflowId, runId);
        const status = await handle.query<RolloutStatus>(MESSAGES.rolloutStatus);
        waiting.set(status.approval == null ? 0 : 1, { rollout });
        budget.set(status.budget.max - status.failures, { rollout });
        const isShut = await windowsOf.areShut(workflowId, runId, clock.now());
        overruns.set(isShut ? await underWay(client, rollout) : 0, { rollout });
      });
    });
    for (const rollout of known) {
      if (now.has(rollout)) continue;
      unread.delete(rollout);
      running.set(0, { rollout });
      waiting.set(0, { rollout });
      overruns.set(0, { rollout });
    }
    known = now;
  };

  const aborted = new Promise<void>((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
  while (!signal.aborted) {
    await Promise.race([look(), aborted]);
    await clock.sleep(LOOK_EVERY_MS, signal).catch(() => {});
  }
}

interface RolloutRun {
  readonly rollout: string;
  readonly workflowId: string;
  readonly runId: string;
}

/** All of them: the oldest, which have waited longest, need people most. */
async function runningRollouts(client: Client): Promise<RolloutRun[]> {
  const runs: RolloutRun[] = [];
  const rollouts = client.workflow.list({ query: `WorkflowType = 'rollout' AND ExecutionStatus = 'Running'` });
  for await (const { workflowId, runId } of rollouts) {
    runs.push({ rollout: workflowId.slice(rolloutWorkflowId('').length), workflowId, runId });
  }
  return runs;
}

async function underWay(client: Client, rollout: string): Promise<number> {
  const phases = UNDER_WAY.map((phase) => `'${phase}'`).join(', ');
  const query = `${ATTRIBUTES.rollout.name} = '${rollout}' AND ${ATTRIBUTES.phase.name} IN (${phases}) AND ExecutionStatus = 'Running'`;
  return (await client.workflow.count(query)).count;
}

/** They stand in a rollout's input and never change, so each is read once. */
class WindowsOfRollouts {
  private readonly client: Client;
  /** Of what runs, by run; `null` for one without windows. */
  private readonly known = new Map<string, Gates | null>();

  constructor(client: Client) {
    this.client = client;
  }

  /** Forgets those of all other runs. */
  keep(runs: ReadonlySet<string>): void {
    for (const runId of this.known.keys()) if (!runs.has(runId)) this.known.delete(runId);
  }

  /** Whether not one of them is open. @param at epoch milliseconds */
  async areShut(workflowId: string, runId: string, at: number): Promise<boolean> {
    let gates = this.known.get(runId);
    if (gates === undefined) {
      const { windows } = await inputOf<RolloutInput>(this.client, workflowId, runId);
      gates = windows === undefined ? null : new Gates(windows);
      this.known.set(runId, gates);
    }
    return gates?.areShut(at) ?? false;
  }
}
