/** Lists on terminals of every width: nothing runs over, and what a command takes can be copied from them. */
import { describe, expect, it } from 'vitest';
import { renderCauses } from '../../client/render/causes.js';
import { renderFreezes } from '../../client/render/freezes.js';
import { plain } from '../../client/render/paint.js';
import { renderQuarantine } from '../../client/render/quarantine.js';
import { renderRows } from '../../client/render/rollout.js';
import { renderRollouts } from '../../client/render/rollouts.js';
import { renderSchedules } from '../../client/render/schedule.js';
import { momentAhead, momentIn, widthOf } from '../../client/render/text.js';
import { NOW, ROWS } from './fixtures.js';

const at = (seconds: number) => new Date(NOW + seconds * 1_000).toISOString();
const UUID = '2b6a0d3f-1c52-4f0e-9d57-0a8f6f1f5d04';
const REASON = 'the shop has its busiest days, and nobody of the team is there to look after it';

const CAUSES = [
  {
    who: 'spring-1a2b3c4d',
    what: 'Waiting: outside every window',
    nextAt: at(125),
    changes: 'the opening of its window',
  },
  { who: `${UUID} and 3 more`, what: REASON, nextAt: at(90_000), changes: 'the end of what it waits for' },
  { who: 'worker', what: 'no worker is there', nextAt: null, changes: 'start one: uplift worker' },
];
const FREEZE = {
  id: 'freeze-8ad284de',
  scope: [{ account: ['graphs-prod'], service: ['elasticsearch'] }],
  except: [],
  until: at(7_500),
  reason: REASON,
  owner: 'ana@ops',
  since: at(-60),
};
const LIFTED = { ...FREEZE, id: 'freeze-0c0ffee0', lifted: { by: 'ben@ops', reason: REASON, at: at(-10) } };
const FAILING = {
  workflowId: `upgrade/huawei/ges/cn-north-4/${UUID}`,
  failures: 2,
  since: at(-200_000),
  last: { rollout: 'spring-1a2b3c4d', reason: REASON, at: at(-100) },
};
const ROLLOUTS = ['spring-1a2b3c4d', 'patching-databases-2026-11-14'].map((rollout) => ({
  rollout,
  runId: '01a20a76-08c5-7a6d-9294-f462289298d0',
  state: 'SucceededWithFailures',
  startedAt: at(-90_000),
  endedAt: at(-600),
}));
const SCHEDULE = {
  name: 'patching',
  plan: 'patching.yaml',
  startedBy: 'ana@ops',
  windows: ['nights'],
  paused: false,
  note: null,
  leadMs: 0,
  jitterMs: 0,
  catchUpMs: 0,
  pauseOnFailure: false,
  missedStarts: 0,
  agrees: true,
  next: [
    {
      name: '2026-11-22',
      opens: at(90_000),
      closes: at(97_200),
      zone: 'Europe/Berlin',
      windows: ['nights'],
      rollout: 'patching-2026-11-22',
      at: at(90_000),
    },
  ],
  runs: [],
};

const LISTS: readonly [string, readonly string[], (width: number) => string][] = [
  ['explain', ['spring-1a2b3c4d', UUID], (width) => renderCauses(CAUSES, width, NOW, plain)],
  ['freeze list', [FREEZE.id, LIFTED.id], (width) => renderFreezes([FREEZE, LIFTED], width, NOW, plain)],
  ['quarantine list', [UUID], (width) => renderQuarantine([FAILING], width, NOW, plain)],
  ['schedule list', [SCHEDULE.name, SCHEDULE.next[0]!.rollout], (width) => renderSchedules([SCHEDULE], width, plain)],
  ['status', ROLLOUTS.map(({ rollout }) => rollout), (width) => renderRollouts(ROLLOUTS, width, NOW, plain)],
  [
    'status --all',
    ROWS.map(({ resourceId }) => resourceId),
    (width) => renderRows(ROWS, { width, height: Infinity, now: NOW, paint: plain }),
  ],
];

describe.each(LISTS)('%s', (_, keys, render) => {
  it.each([72, 80, 100, 120, 200])('fits into %d columns, with whole ids', (width) => {
    const text = render(width);
    expect(Math.max(...text.split('\n').map(widthOf))).toBeLessThanOrEqual(width);
    for (const key of keys) expect(text).toContain(key);
  });
});

it('a list stays a table while its columns have room', () => {
  expect(renderCauses([CAUSES[0]!, CAUSES[2]!], 80, NOW, plain)).toMatchInlineSnapshot(`
    "  who              why                      changes by         at
      spring-1a2b3c4d  Waiting: outside every   the opening of     05:26:17Z, in 2 m
                       window                   its window
      worker           no worker is there       start one: uplift
                                                worker"
  `);
  expect(renderRollouts([ROLLOUTS[0]!], 80, NOW, plain)).toMatchInlineSnapshot(`
    "  rollout          state                  started            ended      run
      spring-1a2b3c4d  SucceededWithFailures  2026-11-20 04:24Z  05:14:12Z  289298d0"
  `);
  expect(renderSchedules([SCHEDULE], 80, plain)).toMatchInlineSnapshot(`
    "  schedule  state   opens next                its rollout          last run
      patching  active  Sun 2026-11-22 07:24 CET  patching-2026-11-22  none yet"
  `);
});

it('a list has a record for each row where they have not', () => {
  expect(renderFreezes([FREEZE, LIFTED], 80, NOW, plain)).toMatchInlineSnapshot(`
    "  freeze-8ad284de
        what    account=graphs-prod, service=elasticsearch
        until   07:29:12Z
        by      ana@ops
        reason  the shop has its busiest days, and nobody of the team is there to
                look after it
        state   holds, for 2 h 05 m more
      freeze-0c0ffee0
        what    account=graphs-prod, service=elasticsearch
        until   07:29:12Z
        by      ana@ops
        reason  the shop has its busiest days, and nobody of the team is there to
                look after it
        state   lifted 05:24:02Z by ben@ops: the shop has its busiest days, and
                nobody of the team is there to look after it"
  `);
  expect(renderQuarantine([FAILING], 80, NOW, plain)).toMatchInlineSnapshot(`
    "  upgrade/huawei/ges/cn-north-4/2b6a0d3f-1c52-4f0e-9d57-0a8f6f1f5d04
        failures in a row  2
        since              2026-11-18 21:50Z
        latest             spring-1a2b3c4d: the shop has its busiest days, and
                           nobody of the team is there to look after it"
  `);
});

it('a list breaks no id in its prose, either', () => {
  const resume = 'uplift resume patching-databases-2026-11-14';
  const cause = { who: 'patching-databases-2026-11-14', what: 'paused by ana', nextAt: null, changes: resume };
  for (const width of [60, 80, 120]) {
    expect(renderCauses([cause], width, NOW, plain).split('patching-databases-2026-11-14')).toHaveLength(3);
  }
});

it('moments are short where there is little room, and whole in a pipe', () => {
  expect(momentIn(80, at(-60), NOW)).toBe('05:23:12Z');
  expect(momentIn(80, at(-86_400), NOW)).toBe('2026-11-20 05:24Z');
  expect(momentIn(110, at(-60), NOW)).toBe('2026-11-21 05:23:12 UTC');
  expect(momentAhead(80, at(125), NOW)).toBe('05:26:17Z, in 2 m');
  expect(momentAhead(Infinity, at(125), NOW)).toBe('2026-11-21 05:26:17 UTC (in 2 m 05 s)');
});
