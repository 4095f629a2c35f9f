/** What a workflow measures. Nothing is emitted while a history is replayed. */
import { metricMeter } from '@temporalio/workflow';
import { METRICS } from './contracts/metrics.js';
import type { Outcome, Phase } from './contracts/upgrade.js';

export function measureEnd(service: string, outcome: Outcome, polls: number): void {
  const { upgradesEnded, polls: perUpgrade } = METRICS;
  metricMeter.createCounter(upgradesEnded.name, undefined, upgradesEnded.about).add(1, { service, outcome });
  if (polls === 0) return;
  metricMeter.createHistogram(perUpgrade.name, 'int', undefined, perUpgrade.about).record(polls, { service });
}

export function measurePhase(service: string, phase: Phase): void {
  const { phasesBegun } = METRICS;
  metricMeter.createCounter(phasesBegun.name, undefined, phasesBegun.about).add(1, { service, phase });
}
