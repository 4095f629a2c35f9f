/** A rollout in the middle of its second wave, with one of everything that a screen has to show. */
import type { ResourceRow, RolloutView } from '../../client/views.js';
import { withRows } from '../../client/views.js';

export const NOW = Date.parse('2026-11-21T05:24:12Z');

const graph = (n: number) => `2b6a0d3f-1c52-4f0e-9d57-0a8f6f1f5d${String(n).padStart(2, '0')}`;

export function row(n: number, over: Partial<ResourceRow> = {}): ResourceRow {
  const resourceId = over.resourceId ?? graph(n);
  return {
    wave: 'canary',
    waveIndex: 1,
    resourceId,
    account: 'graphs-prod',
    cloud: 'huawei',
    service: 'ges-v2',
    region: 'cn-north-4',
    workflowId: `upgrade/huawei/ges/cn-north-4/${resourceId}`,
    runId: `run-${n}`,
    startedAt: null,
    phase: 'Ended',
    outcome: 'Succeeded',
    reason: 'version 2.4.1, status 200',
    from: '2.3.10',
    to: '2.4.1',
    target: '2.4.1',
    percent: null,
    await: null,
    nextAt: null,
    ...over,
  };
}

const open = { outcome: null, to: null, reason: '' } as const;
const second = { wave: 'main', waveIndex: 2 } as const;

export const ROWS: readonly ResourceRow[] = [
  row(1),
  row(2, { outcome: 'AlreadyAtTarget', from: '2.4.1' }),
  row(3, {
    ...second,
    outcome: 'RolledBack',
    to: '2.3.10',
    reason:
      'not at its target: version 2.3.10, status 200; the provider said: job failed: not enough memory on two of three nodes',
  }),
  row(4, {
    ...second,
    ...open,
    phase: 'Await',
    reason: 'job running',
    await: { state: 'job running', percent: null, polls: 7, failedReads: 2, lastPolledAt: '2026-11-21T05:24:00Z' },
  }),
  row(5, {
    ...second,
    ...open,
    resourceId: 'es-cn-n6w1o1x0w001c5k2f',
    service: 'elasticsearch',
    from: '6.3.2 (apack 1.1.0)',
    target: '6.7.0',
    phase: 'Await',
    percent: 54,
    reason: 'status activating, UpgradeEngineVersion running',
    await: { state: 'status activating', percent: 54, polls: 9, failedReads: 0, lastPolledAt: '2026-11-21T05:24:00Z' },
  }),
  row(6, { ...second, ...open, runId: null, phase: 'Pending' }),
  row(7, { ...second, ...open, runId: null, phase: 'Pending', wave: 'late', waveIndex: 3 }),
];

const BARE: RolloutView = {
  rollout: 'spring-1a2b3c4d',
  runId: '01a1fcc3-3733-7d84-9a86-d33224d975d5',
  state: 'Running',
  reason: 'wave main is running',
  next: '',
  workerAnswers: true,
  planDigest: '1a2b3c4d5e6f',
  startedBy: 'ana@ops',
  startedAt: '2026-11-21T05:20:00.000Z',
  endedAt: null,
  minSuccess: null,
  budget: { max: 1, mode: 'strict' },
  failures: 0,
  charged: 0,
  approval: null,
  acts: [],
  retryOf: null,
  total: 7,
  counts: {},
  waves: [
    { name: 'canary', workflowId: 'wave/1', state: 'Done', total: 2, counts: {}, charged: 0, concurrency: 2 },
    { name: 'main', workflowId: 'wave/2', state: 'Running', total: 4, counts: {}, charged: 0, concurrency: 3 },
    { name: 'late', workflowId: 'wave/3', state: 'Pending', total: 1, counts: {}, charged: 0, concurrency: 1 },
  ],
};

export const VIEW: RolloutView = withRows(BARE, ROWS);
