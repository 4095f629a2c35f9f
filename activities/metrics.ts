/** What the steps measure; nothing outside a worker that exports metrics. */
import { Context } from '@temporalio/activity';
import { METRICS } from '../workflows/contracts/metrics.js';
import type { ResourceRef } from '../workflows/contracts/upgrade.js';
import type { SubmitAnswer } from './clouds/port.js';

export function measureAnswer({ service, account }: ResourceRef, answer: SubmitAnswer['kind']): void {
  const { name, about } = METRICS.submitAnswers;
  Context.current().metricMeter.createCounter(name, undefined, about).add(1, { service, account, answer });
}

/** `ms` from the last look that saw the operation run to the one that saw it ended. */
export function measureDetection({ service }: ResourceRef, ms: number): void {
  const { name, about } = METRICS.detectionDelay;
  Context.current()
    .metricMeter.createHistogram(name, 'float', undefined, about)
    .record(ms / 1000, { service });
}
