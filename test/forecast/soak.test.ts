/** What a rollout's forecast makes of soaks. */
import { expect, it } from 'vitest';
import { forecastRollout, NOTHING_LEARNED } from '../../client/forecast.js';
import type { RolloutView } from '../../client/views.js';
import type { SoakStatus } from '../../workflows/contracts/soak.js';
import { VIEW } from '../cli/fixtures.js';
import { rolloutInput } from '../workflows/scripted-steps.js';

const HOUR = 3_600_000;
const NOW = Date.parse('2026-11-21T12:00:00Z');
const FOR: Pick<SoakStatus, 'forMs' | 'startedAt' | 'endedAt'> = { forMs: 6 * HOUR, startedAt: null, endedAt: null };

const planned = rolloutInput('soaks', { ids: ['w1'], concurrency: 1 }, { max: 0, mode: 'strict' });
const [only] = planned.waves;
if (only === undefined) throw new Error('no wave');
const [spec] = only.upgrades ?? [];
if (spec === undefined) throw new Error('no upgrade');
const input = {
  ...planned,
  waves: [
    { ...only, soak: { forMs: FOR.forMs, everyMs: 60_000 } },
    { ...only, name: 'rest' },
  ],
};

/** Hours until the second wave starts; the first one's upgrades have ended, and only its soak is left. */
function startsIn(soak: SoakStatus): number {
  const view: RolloutView = {
    ...VIEW,
    state: 'Waiting',
    waves: [
      {
        name: only?.name ?? '',
        workflowId: 'wave',
        state: 'Done',
        concurrency: 1,
        total: 1,
        counts: {},
        charged: 0,
        soak,
      },
      { name: 'rest', workflowId: 'wave-2', state: 'Pending', concurrency: 1, total: 1, counts: {}, charged: 0 },
    ],
  };
  const lists = [[], spec === undefined ? [] : [spec]];
  const told = forecastRollout(input, lists, { view, rows: [] }, NOTHING_LEARNED, NOW);
  return (Date.parse(told?.waves[1]?.starts.p90 ?? '') - NOW) / HOUR;
}

it('holds the next wave back for what is left of a soak', () => {
  const progress = {
    wave: 1,
    healthyMs: 2 * HOUR,
    verdict: 'passing' as const,
    reason: 'healthy',
    restarts: 0,
    lastRestart: null,
    rounds: 120,
    probedAt: new Date(NOW).toISOString(),
    next: 0,
    suspects: [],
  };
  expect(startsIn({ ...FOR, state: 'Pending', progress: null })).toBe(6);
  expect(startsIn({ ...FOR, state: 'Running', progress })).toBe(4);
  expect(startsIn({ ...FOR, state: 'Waived', progress })).toBe(0);
  expect(startsIn({ ...FOR, state: 'Done', progress: { ...progress, healthyMs: 6 * HOUR } })).toBe(0);
});
