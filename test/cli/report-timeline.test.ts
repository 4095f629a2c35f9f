/** When submits were allowed, as the report shows it: windows, blackouts, freezes, pauses and soaks. */
import { expect, it } from 'vitest';
import { rangeOf, recurrenceOf } from '../../calendar/forms.js';
import { calendarTimes } from '../../client/calendar-times.js';
import { renderHtmlReport } from '../../client/render/report-html.js';
import { renderReport } from '../../client/render/report.js';
import type { RolloutReport } from '../../client/views.js';
import type { Act } from '../../workflows/contracts/control.js';
import type { Calendar } from '../../workflows/contracts/calendar.js';
import { NOW, row, VIEW } from './fixtures.js';

const START = '2026-11-20T20:00:00.000Z';
const END = '2026-11-21T00:00:00.000Z';
const NIGHT: Calendar = {
  windows: [
    {
      name: 'night',
      recurrence: recurrenceOf({ days: ['fri'], start: '22:00', duration: '2h', timezone: 'Europe/Berlin' }),
    },
  ],
  blackouts: [{ name: 'closing <x>', recurrence: rangeOf('2026-11-20T22:00', '2026-11-21T00:00', 'UTC') }],
};

/** Of four hours, so that a quarter is an hour. */
function reportOf(calendars: readonly Calendar[], more: Partial<RolloutReport['view']> = {}): RolloutReport {
  const windows = {
    calendars,
    gates: calendars.map((_, calendar) => ({ calendar, needsMs: 0 })),
    since: START,
    missedWindow: 'next' as const,
  };
  return {
    view: { ...VIEW, state: 'Succeeded', startedAt: START, endedAt: END, ...more },
    rows: [row(1)],
    results: [],
    calls: [],
    freezes: [],
    windows: calendarTimes(windows, Date.parse(START), Date.parse(END)),
  };
}

const band = (kind: string, left: number, wide: number) =>
  `<i class="${kind}" style="left:${left.toFixed(3)}%;width:${wide.toFixed(3)}%"`;

it('shows each calendar in the rollout’s time, with its blackouts, and the only one behind each upgrade', () => {
  const html = renderHtmlReport(reportOf([NIGHT]), NOW);
  expect(html).toContain('<span class="lane" title="night">night</span><span class="versions">Europe/Berlin</span>');
  expect(html).toContain(
    `${band('window', 25, 25)} title="night: open from 2026-11-20 21:00:00 UTC until 2026-11-20 22:00:00 UTC">night</i>`,
  );
  expect(html).toContain(`${band('blackout', 50, 50)} title="closing &lt;x&gt;: blackout from`);
  expect(html).toContain('open 1 h 00 m');
  expect(html).toContain('were allowed while a window was open and nothing held them');
  expect(html).toContain('<i class="window"></i>window open</span><span><i class="blackout"></i>blackout</span>');
  expect(html).not.toContain('<i class="frozen"></i>');
  // Browsers print no backgrounds unless they are told to: nothing would be left of the bars.
  expect(html).toContain('@media print{*{print-color-adjust:exact}');
  expect(html).toContain('linear-gradient(90deg,#0000 25.000%,var(--shade) 25.000% 50.000%,#0000 50.000%)');
});

it('shows nothing of it for a rollout that may start at any time and was never held', () => {
  const report = reportOf([]);
  const html = renderHtmlReport(report, NOW);
  expect(html).not.toContain('<b>Submits</b>');
  expect(html).not.toContain('<i class="window"></i>');
  expect(html).not.toContain('style="--open-times');
  expect(renderReport(report, NOW)).not.toContain('Windows');
});

it('names five calendars and counts the others, also one that was not open', () => {
  const calendars = Array.from({ length: 7 }, (_, at): Calendar => {
    const recurrence = recurrenceOf({ days: ['mon'], start: '22:00', duration: '2h', timezone: 'UTC' });
    return { windows: [{ name: `monday-${at}`, recurrence }], blackouts: [] };
  });
  const report = reportOf(calendars);
  const html = renderHtmlReport(report, NOW);
  expect(html).toContain('monday-4');
  expect(html).not.toContain('monday-5');
  expect(html).toContain('<span class="soft">not open</span>');
  expect(html).toContain('and 2 more calendars');
  // Which of them holds for an upgrade is not told.
  expect(renderHtmlReport(reportOf([NIGHT, ...calendars]), NOW)).not.toContain('style="--open-times');
  expect(renderReport(report, NOW)).toContain('| monday-6 | UTC | not open |  |  |');
});

it('shows freezes, pauses, a stop and soaks, with who and why', () => {
  const act = (one: Act['act'], at: string): Act => ({
    requestId: null,
    act: one,
    what: 'the rollout',
    actor: 'ana',
    reason: `to ${one}`,
    at: `2026-11-20T${at}:00.000Z`,
  });
  const acts = [
    act('resume', '20:10'),
    act('pause', '21:00'),
    act('pause', '21:30'),
    act('resume', '22:00'),
    act('pause', '22:30'),
    act('stop', '23:00'),
  ];
  const [canary] = VIEW.waves;
  const soak = {
    forMs: 1_800_000,
    state: 'Done',
    progress: null,
    startedAt: '2026-11-20T21:00:00.000Z',
    endedAt: '2026-11-20T23:00:00.000Z',
  } as const;
  const waves = canary === undefined ? [] : [{ ...canary, soak }];
  const freeze = {
    id: 'freeze-1a2b3c4d',
    scope: [{ account: ['graphs-prod'] }],
    except: [],
    since: '2026-11-19T00:00:00.000Z',
    until: '2026-11-22T00:00:00.000Z',
    owner: 'ana',
    reason: 'audit',
    lifted: { by: 'ben', reason: 'it is over', at: '2026-11-20T21:00:00.000Z' },
  };
  const html = renderHtmlReport({ ...reportOf([], { acts, waves }), freezes: [freeze] }, NOW);
  expect(html).toContain('were allowed whenever nothing held them');
  const frozen =
    'account=graphs-prod frozen by ana (audit) from 2026-11-19 00:00:00 UTC until 2026-11-20 21:00:00 UTC, lifted by ben: it is over (freeze-1a2b3c4d)';
  expect(html).toContain(`${band('frozen', 0, 25)} title="${frozen}">audit</i>`);
  expect(html).toContain(`<h2 id="freezes">Freezes (1)</h2><ul class="told"><li>${frozen}</li></ul>`);
  expect(html).toContain(
    `${band('paused', 25, 25)} title="paused by ana at 2026-11-20T21:00:00.000Z: to pause">to pause</i>`,
  );
  expect(html).toContain(`${band('paused', 62.5, 12.5)} title="paused by ana at 2026-11-20T22:30:00.000Z`);
  expect(html).toContain(
    `${band('paused', 75, 25)} title="stopped by ana at 2026-11-20T23:00:00.000Z: to stop">to stop</i>`,
  );
  expect(html.match(/<i class="paused" style/g)).toHaveLength(3);
  expect(html).toContain(`${band('soak', 25, 50)} title="canary: Soak Done from`);
  expect(html).not.toContain('<i class="window"></i>');
});

it('tells the same in Markdown, at most twenty times of it', () => {
  expect(renderReport(reportOf([NIGHT]), NOW)).toContain(`
## Windows

| windows | zone | what | from | until |
|---|---|---|---|---|
| night | Europe/Berlin | open: night | 2026-11-20 21:00:00 UTC | 2026-11-20 22:00:00 UTC |
| night | Europe/Berlin | blackout: closing &lt;x> | 2026-11-20 22:00:00 UTC | 2026-11-21 00:00:00 UTC |
`);
  const often: Calendar = {
    windows: [
      {
        name: 'often',
        recurrence: recurrenceOf({
          rrule: 'FREQ=MINUTELY;INTERVAL=10',
          start: '2026-11-20T20:00',
          duration: '5m',
          timezone: 'UTC',
        }),
      },
    ],
    blackouts: [],
  };
  const markdown = renderReport(reportOf([often]), NOW);
  expect(markdown.match(/open: often/g)).toHaveLength(20);
  expect(markdown).toContain('And 4 more: the JSON report has all.');
});

it('shows pauses of people whose clocks are behind neither backwards nor before the rollout', () => {
  const act = (one: Act['act'], at: string, saidAt: string): Act => ({
    requestId: null,
    act: one,
    what: 'the rollout',
    actor: 'ana',
    reason: `to ${one}`,
    at: `2026-11-20T${at}:00.000Z`,
    saidAt: `2026-11-20T${saidAt}:00.000Z`,
  });
  const pausedBy = (...acts: readonly Act[]) => renderHtmlReport(reportOf([], { acts }), NOW);
  // Of the four hours from 20:00.
  expect(pausedBy(act('pause', '21:00', '20:48'), act('resume', '22:00', '20:30'))).toContain(band('paused', 20, 30));
  expect(pausedBy(act('pause', '21:00', '19:00'), act('resume', '22:00', '21:30'))).toContain(band('paused', 25, 12.5));
});
