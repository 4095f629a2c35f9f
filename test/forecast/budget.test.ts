/** What a rollout's forecast makes of a wave's own failure budget. */
import { expect, it } from 'vitest';
import { forecastRollout, NOTHING_LEARNED } from '../../client/forecast.js';
import { usualOf } from '../../forecast/durations.js';
import { VIEW } from '../cli/fixtures.js';
import { rolloutInput } from '../workflows/scripted-steps.js';

const MINUTE = 60_000;
const NOW = Date.parse('2026-11-21T12:00:00Z');

/** How many of three start at once; the wave may have one failure, and so many were charged to it. */
function startAtOnce(charged: number) {
  const planned = rolloutInput('own', { ids: ['w1', 'w2', 'w3'], concurrency: 3 }, { max: 9, mode: 'strict' });
  const input = {
    ...planned,
    usual: { 'ges-v2': usualOf(30 * MINUTE, 30 * MINUTE) },
    waves: planned.waves.map((wave) => ({ ...wave, maxFailures: 1 })),
  };
  const wave = { name: 'one', workflowId: 'wave', state: 'Running', concurrency: 3, total: 5, counts: {} } as const;
  const view = { ...VIEW, state: 'Running' as const, budget: input.budget, charged, waves: [{ ...wave, charged }] };
  const lists = input.waves.map(({ upgrades = [] }) => upgrades);
  const told = forecastRollout(input, lists, { view, rows: [] }, NOTHING_LEARNED, NOW);
  return told?.waves[0]?.upgrades.filter(({ starts }) => Date.parse(starts.p50 ?? '') === NOW).length ?? null;
}

it('starts no more together than what is left of it tolerates', () => {
  expect(startAtOnce(0)).toBe(2);
  expect(startAtOnce(1)).toBe(1);
});

it('starts nothing more once it is exceeded', () => {
  expect(startAtOnce(2)).toBeNull();
});
