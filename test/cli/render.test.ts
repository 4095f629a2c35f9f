/** What people see, to the letter: rendering is pure, so width, height, clock and colours are given. */
import { describe, expect, it } from 'vitest';
import { percentBar, waveBar } from '../../client/render/bar.js';
import { renderDeployment } from '../../client/render/deployment.js';
import { renderFinding } from '../../client/render/doctor.js';
import { paintFor, plain } from '../../client/render/paint.js';
import { renderFoot, renderRollout, renderRows, type Screen } from '../../client/render/rollout.js';
import { renderTable } from '../../client/render/table.js';
import { cut, cutId, duration, fromToCut, moment, percentOf, widthOf, wrap } from '../../client/render/text.js';
import { type RolloutView, withRows } from '../../client/views.js';
import { NOW, row, ROWS, VIEW } from './fixtures.js';

const screen = (over: Partial<Screen> = {}): Screen => ({
  width: 80,
  height: Infinity,
  now: NOW,
  paint: plain,
  ...over,
});
const widest = (text: string) => Math.max(...text.split('\n').map(widthOf));

describe('a running rollout', () => {
  it('stands in 80 columns', () => {
    const text = renderRollout(VIEW, ROWS, screen());
    expect(widest(text)).toBe(80);
    expect(text).toMatchInlineSnapshot(`
      "spring-1a2b3c4d                                                         4 m 12 s
      Running    2 of 7 at target, 2 in flight, 1 failed (1 tolerated)
      Next       wave late starts when 3 more of wave main have ended
      Why        wave main is running

        canary  ████████████████████████████████████  2/2  done
        main    ▓▓▓▓▓▓▓▓▓▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒░░░░░░░░░  1/4  2 in flight, 1 failed
        late    ░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░  0/1  pending

      In flight (2)
        2b6a0d3f-1…f6f1f5d04  2.3.10 → 2.4.1        Await     job running (2 failed r…
        es-cn-n6w1…w001c5k2f  6.3.2 (apac… → 6.7.0  Await     █████░░░░░  54 %

      Failed (1)
        2b6a0d3f-1c52-4f0e-9d57-0a8f6f1f5d03  RolledBack  ges-v2, 2.3.10 → 2.4.1, main
          not at its target: version 2.3.10, status 200; the provider said: job faile…"
    `);
  });

  it('keeps within 60 columns', () => {
    const [canary, main, late] = VIEW.waves;
    const soak = { state: 'Waived', forMs: 60_000, progress: null, startedAt: null, endedAt: null } as const;
    const waves = [
      { ...canary!, name: 'the canaries of all', total: 3, counts: { Succeeded: 2, Failed: 1 }, soak },
      { ...main!, counts: { Succeeded: 1, Failed: 1, Skipped: 1, NotStarted: 1 } },
      late!,
    ];
    const text = renderRollout({ ...VIEW, waves }, ROWS, screen({ width: 60 }));
    expect(widest(text)).toBeLessThanOrEqual(60);
    expect(text).toMatchInlineSnapshot(`
      "spring-1a2b3c4d                                     4 m 12 s
      Running    2 of 7 at target, 2 in flight, 1 failed (1 toler…
      Next       wave late starts when 3 more of wave main have e…
      Why        wave main is running

        the cana… of all  ███▓  3/3  done, 1 failed, soak waived
        main              █▓▒▒  2/4  2 in flight, 1 failed, …
        late              ░░░░  0/1  pending

      In flight (2)
        2b6a0d3f-1…f6f1f5d04  2.3.10 → 2.4.1  Await     job runni…
        es-cn-n6w1…w001c5k2f  6.3.2… → 6.7.0  Await     ██░░  54 %

      Failed (1)
        2b6a0d3f-1c52-4f0e-9d57-0a8f6f1f5d03  RolledBack  ges-v2,…
          not at its target: version 2.3.10, status 200; the prov…"
    `);
    for (let width = 60; width <= 140; width += 1) {
      expect(widest(renderRollout({ ...VIEW, waves }, ROWS, screen({ width })))).toBeLessThanOrEqual(width);
    }
  });

  it('says more in 140 columns', () => {
    const text = renderRollout(VIEW, ROWS, screen({ width: 140 }));
    expect(widest(text)).toBe(140);
    expect(text).toMatchInlineSnapshot(`
      "spring-1a2b3c4d                                                                                                                     4 m 12 s
      Running    2 of 7 at target, 2 in flight, 1 failed (1 tolerated)
      Next       wave late starts when 3 more of wave main have ended
      Why        wave main is running

        canary  ████████████████████████████████████████████████  2/2  done
        main    ▓▓▓▓▓▓▓▓▓▓▓▓▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒░░░░░░░░░░░░  1/4  2 in flight, 1 failed
        late    ░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░  0/1  pending

      In flight (2)
        2b6a0d3f-1c52-4f0e-9d57-0a8f6f1f5d04  ges-v2         2.3.10 → 2.4.1               Await     job running (2 failed reads in a row)
        es-cn-n6w1o1x0w001c5k2f               elasticsearch  6.3.2 (apack 1.1.0) → 6.7.0  Await     █████████░░░░░░░  54 %  status activating, Up…

      Failed (1)
        2b6a0d3f-1c52-4f0e-9d57-0a8f6f1f5d03  RolledBack  ges-v2, 2.3.10 → 2.4.1, main
          not at its target: version 2.3.10, status 200; the provider said: job failed: not enough memory on two of three nodes"
    `);
  });

  it('never grows higher than the screen, and keeps its head', () => {
    const waves = Array.from({ length: 30 }, (_, at) =>
      VIEW.waves.map((wave) => ({ ...wave, name: `${wave.name} ${at}` })),
    );
    const many = { ...VIEW, waves: waves.flat() };
    const rows = Array.from({ length: 30 }, () => ROWS).flat();
    for (const height of [8, 12, 24, 50]) {
      const text = renderRollout(many, rows, screen({ height })).split('\n');
      expect(text.length).toBeLessThanOrEqual(height);
      expect(text[0]).toContain('spring-1a2b3c4d');
    }
    expect(renderRollout(many, rows, screen({ height: 24 }))).toMatchInlineSnapshot(`
      "spring-1a2b3c4d                                                         4 m 12 s
      Running    2 of 7 at target, 60 in flight, 1 failed (1 tolerated)
      Next       wave late starts when 3 more of wave main have ended
      Why        wave main is running

        canary 0   █████████████████████████████████  2/2  done
        main 0     ▓▓▓▓▓▓▓▓▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒  1/4  60 in flight, 1 failed
        late 0     ░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░  0/1  pending
        canary 1   █████████████████████████████████  2/2  done
        main 1     ▓▓▓▓▓▓▓▓░░░░░░░░░░░░░░░░░░░░░░░░░  1/4  1 failed
        late 1     ░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░  0/1  pending
        canary 2   █████████████████████████████████  2/2  done
        main 2     ▓▓▓▓▓▓▓▓░░░░░░░░░░░░░░░░░░░░░░░░░  1/4  1 failed
        … and 82 more waves

      In flight (60)
        2b6a0d3f-1…f6f1f5d04  2.3.10 → 2.4.1        Await     job running (2 failed r…
        es-cn-n6w1…w001c5k2f  6.3.2 (apac… → 6.7.0  Await     █████░░░░░  54 %
        … and 58 more

      Failed (30)
        … 29 earlier ones
        2b6a0d3f-1c52-4f0e-9d57-0a8f6f1f5d03  RolledBack  ges-v2, 2.3.10 → 2.4.1, main
          not at its target: version 2.3.10, status 200; the provider said: job faile…"
    `);
  });

  it('tells that no worker answers, and what to do', () => {
    const text = renderRollout({ ...VIEW, workerAnswers: false }, ROWS, screen());
    expect(text.split('\n')[3]).toBe('Why        no worker answers; start one with `uplift worker`');
  });

  it('blames no worker while the server is away', () => {
    const away = 'no Temporal server answers at 127.0.0.1:7233; trying again';
    const why = (over: Partial<RolloutView>) =>
      renderRollout({ ...VIEW, ...over }, ROWS, screen(), away).split('\n')[3];
    expect(why({ workerAnswers: false })).toBe(`Why        ${away}`);
    expect(why({ workerAnswers: false, state: 'Waiting' })).toBe(`Why        ${away}`);
    expect(why({})).toBe(`Why        ${away}`);
  });

  it('tells a spent budget at once, before the rollout itself does', () => {
    const more = [...ROWS, row(8, { wave: 'main', waveIndex: 2, outcome: 'Held', reason: 'unreadable' })];
    const text = renderRollout(withRows(VIEW, more), more, screen());
    expect(text.split('\n').slice(1, 4)).toEqual([
      'Running    2 of 7 at target, 2 in flight, 2 failed (1 tolerated)',
      'Next       it ends, once what was submitted in wave main has ended',
      'Why        failure budget of 1 exceeded: nothing more is started',
    ]);
  });

  it('shows every resource, each on one line of its own for a pipe', () => {
    expect(renderRows(ROWS, screen({ width: Infinity }))).toMatchInlineSnapshot(`
      "  wave    resource                              service        from → to                    state             %  reason
        canary  2b6a0d3f-1c52-4f0e-9d57-0a8f6f1f5d01  ges-v2         2.3.10 → 2.4.1               Succeeded
        canary  2b6a0d3f-1c52-4f0e-9d57-0a8f6f1f5d02  ges-v2         2.4.1 → 2.4.1                AlreadyAtTarget
        main    2b6a0d3f-1c52-4f0e-9d57-0a8f6f1f5d03  ges-v2         2.3.10 → 2.3.10              RolledBack           not at its target: version 2.3.10, status 200; the provider said: job failed: not enough memory on two of three nodes
        main    2b6a0d3f-1c52-4f0e-9d57-0a8f6f1f5d04  ges-v2         2.3.10 → 2.4.1               Await                job running
        main    es-cn-n6w1o1x0w001c5k2f               elasticsearch  6.3.2 (apack 1.1.0) → 6.7.0  Await            54  status activating, UpgradeEngineVersion running
        main    2b6a0d3f-1c52-4f0e-9d57-0a8f6f1f5d06  ges-v2         2.3.10 → 2.4.1               Pending
        late    2b6a0d3f-1c52-4f0e-9d57-0a8f6f1f5d07  ges-v2         2.3.10 → 2.4.1               Pending"
    `);
  });

  it('says of each resource when it is expected, where two services have one id', () => {
    const at = (p50: string) => ({ p50, p90: p50 });
    const ends = at('2026-11-21T06:00:00Z');
    const rows = ['ges', 'dcs'].map((family, n) =>
      row(n, { resourceId: 'one', workflowId: `upgrade/huawei/${family}/one` }),
    );
    const upgrades = rows.map(({ workflowId, resourceId: id }, n) => ({
      workflowId,
      id,
      starts: at(`2026-11-21T05:0${n}:00Z`),
      ends,
    }));
    const waves = [{ name: 'canary', starts: ends, ends, unfit: null, upgrades }];
    const forecast = { at: '', runs: 1, ends, waves, zone: 'UTC', learnedFrom: {}, without: [], locked: [] };
    const [, ...lines] = renderRows(rows, screen({ width: Infinity }), forecast).split('\n');
    expect(lines.map((line) => /05:0\d/.exec(line)?.[0])).toEqual(['05:00', '05:01']);
  });

  it('says how to leave', () => {
    expect(renderFoot(VIEW, screen())).toBe('Ctrl-C leaves; the rollout goes on');
    expect(renderFoot({ ...VIEW, state: 'Stopped' }, screen())).toBe('');
  });
});

describe('an ended rollout', () => {
  const ended: RolloutView = withRows(
    {
      ...VIEW,
      state: 'Failed',
      reason: 'failure budget of 0 exceeded: 1 of 3 at target, 1 failed',
      budget: { max: 0, mode: 'strict' },
      endedAt: '2026-11-21T07:20:00.000Z',
      counts: { Succeeded: 1, Refused: 1, NotStarted: 1 },
      total: 3,
      waves: [
        { name: 'canary', workflowId: 'wave/1', state: 'Stopped', total: 2, counts: {}, charged: 0, concurrency: 1 },
        { name: 'late', workflowId: 'wave/2', state: 'NotStarted', total: 1, counts: {}, charged: 0, concurrency: 1 },
      ],
    },
    [
      row(1),
      row(2, { outcome: 'Refused', reason: 'busy' }),
      row(3, { waveIndex: 2, outcome: 'NotStarted', runId: null }),
    ],
  );
  it('counts what was never started as not done', () => {
    expect(renderRollout(ended, [], screen())).toMatchInlineSnapshot(`
      "spring-1a2b3c4d                                                         2 h 00 m
      Failed     1 of 3 at target, 1 failed (0 tolerated)
      Next       nothing: this is the end
      Why        failure budget of 0 exceeded: 1 of 3 at target, 1 failed

        canary  ██████████████████▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓  2/2  stopped, 1 failed
        late    ░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░  0/1  not started"
    `);
  });
});

describe('a wave of which something was left out', () => {
  const green = { ...plain, green: (text: unknown) => `<green>${String(text)}</green>` };
  const lines = (...counts: RolloutView['waves'][number]['counts'][]) => {
    const [wave] = VIEW.waves;
    const waves = counts.map((of) => ({ ...wave!, counts: of, state: 'Done' as const, total: 7 }));
    return renderRollout({ ...VIEW, waves }, [], screen({ paint: green }))
      .split('\n')
      .slice(5)
      .map((line) => line.replace(/^.*[█▓▒░](<.green>)?/, '').trim());
  };

  it('is not done where nothing was begun, and says how much was not', () => {
    expect(
      lines(
        { Succeeded: 7 },
        { Skipped: 7 },
        { Succeeded: 5, Skipped: 2 },
        { Succeeded: 5, NotStarted: 2 },
        { Failed: 1, Skipped: 6 },
      ),
    ).toEqual([
      '7/7  <green>done</green>',
      '0/7  7 skipped',
      '5/7  done, 2 skipped',
      '5/7  done, 2 not started',
      '1/7  done, 1 failed, 6 skipped',
    ]);
  });

  it('is told as skipped where a person left it out before it began', () => {
    const waves = [{ ...VIEW.waves[0]!, counts: { Skipped: 2 }, state: 'Skipped' as const }];
    expect(
      renderRollout({ ...VIEW, waves }, [], screen())
        .split('\n')
        .at(-1),
    ).toMatch(/ 0\/2 {2}skipped$/);
  });
});

describe('bars', () => {
  it('show each part by its own shade, however small it is', () => {
    expect(waveBar({ good: 1, failed: 1, inFlight: 1, total: 1000 }, 10, plain)).toBe('█▓▒░░░░░░░');
    expect(waveBar({ good: 0, failed: 0, inFlight: 0, total: 5 }, 10, plain)).toBe('░░░░░░░░░░');
    expect(waveBar({ good: 3, failed: 0, inFlight: 0, total: 3 }, 10, plain)).toBe('██████████');
    expect(waveBar({ good: 2, failed: 1, inFlight: 0, total: 3 }, 10, plain)).toBe('███████▓▓▓');
  });

  it('are full only when nothing is left', () => {
    expect(waveBar({ good: 999, failed: 0, inFlight: 0, total: 1000 }, 10, plain)).toBe('█████████░');
    expect(waveBar({ good: 998, failed: 1, inFlight: 0, total: 1000 }, 10, plain)).toBe('████████▓░');
    expect(percentBar(99.6, 10, plain)).toBe('█████████░');
    expect(percentBar(100, 10, plain)).toBe('██████████');
    expect(percentBar(0, 10, plain)).toBe('░░░░░░░░░░');
  });

  it('hold any numbers without breaking', () => {
    for (let total = 1; total <= 12; total += 1) {
      for (let good = 0; good <= total; good += 1) {
        for (let failed = 0; good + failed <= total; failed += 1) {
          for (let inFlight = 0; good + failed + inFlight <= total; inFlight += 1) {
            expect(waveBar({ good, failed, inFlight, total }, 10, plain)).toHaveLength(10);
          }
        }
      }
    }
  });
});

describe('text', () => {
  it.each([
    [0, '0 s'],
    [41_400, '41 s'],
    [252_000, '4 m 12 s'],
    [3_600_000, '1 h 00 m'],
    [47 * 3_600_000, '47 h 00 m'],
    [76 * 3_600_000, '3 d 4 h'],
  ])('%d ms is %s', (ms, text) => {
    expect(duration(ms)).toBe(text);
  });

  it('is cut where it matters least', () => {
    expect(cut('one\n  two', 20)).toBe('one two');
    expect(cut('abcdef', 4)).toBe('abc…');
    expect(cutId('abcdefghij', 7)).toBe('abc…hij');
    expect(cutId('abc', 7)).toBe('abc');
    expect(fromToCut('5.6.16 (apack 1.1.0)', '6.3.2', 16)).toBe('5.6.16… → 6.3.2');
    expect(fromToCut(null, '6.3.2', 16)).toBe('? → 6.3.2');
    expect(wrap('one two three', 7)).toEqual(['one two', 'three']);
    expect(wrap('one two three four', 7, 1)).toEqual(['one tw…']);
    expect(wrap('abcdefghij', 4)).toEqual(['abcd', 'efgh', 'ij']);
    expect(moment('2026-11-21T05:20:19.123Z')).toBe('2026-11-21 05:20:19 UTC');
  });

  it('is measured as a terminal shows it', () => {
    expect(cut('日本語の理由', 8)).toBe('日本語…');
    expect(cut('a👩‍👩‍👧bcd', 4)).toBe('a👩‍👩‍👧…');
    expect(cutId('日本語の資源', 7)).toBe('日…源');
    expect(wrap('日本語の 理由', 9)).toEqual(['日本語の', '理由']);
    expect(wrap('日本語の理由', 5)).toEqual(['日本', '語の', '理由']);
    expect(wrap('日本', 1)).toEqual(['日', '本']);
    expect(wrap('ก็ที่นี่', 3)).toEqual(['ก็ที่นี่']);
    expect(fromToCut('日本語版', '二', 9)).toBe('日… → 二');
  });

  it('is 100 % only when it is whole', () => {
    expect(percentOf(999, 1000)).toBe('99 %');
    expect(percentOf(1000, 1000)).toBe('100 %');
    expect(percentOf(1, 3)).toBe('33 %');
    expect(percentOf(0, 0)).toBe('0 %');
  });
});

describe('tables', () => {
  const columns = [
    { head: 'id', id: true },
    { head: 'n', align: 'right' as const },
    { head: 'why', wraps: true },
  ];
  const rows = [['2b6a0d3f-1c52-4f0e-9d57-0a8f6f1f5d04', '7', 'a reason of quite some length that has to go on']];

  it('wrap prose first, then cut ids in the middle', () => {
    expect(renderTable(columns, rows, 50, plain)).toBe(
      [
        '  id                   n  why',
        '  2b6a0d3f-…f6f1f5d04  7  a reason of quite some',
        '                          length that has to go on',
      ].join('\n'),
    );
  });

  it('lose nothing of wide characters, and stay aligned', () => {
    const wide = [
      ['データベース一', '7', '保守のため停止する'],
      ['b', '10', 'ปิดเพื่อบำรุงรักษา ที่นี่'],
      ['c', '1', '🫠 x'],
    ];
    expect(renderTable(columns, wide, Infinity, plain)).toBe(
      [
        '  id               n  why',
        '  データベース一   7  保守のため停止する',
        '  b               10  ปิดเพื่อบำรุงรักษา ที่นี่',
        '  c                1  🫠 x',
      ].join('\n'),
    );
  });

  it('keep a row on one line for a pipe', () => {
    expect(renderTable(columns, rows, Infinity, plain)).toBe(
      [
        '  id                                    n  why',
        '  2b6a0d3f-1c52-4f0e-9d57-0a8f6f1f5d04  7  a reason of quite some length that has to go on',
      ].join('\n'),
    );
  });
});

describe('colours', () => {
  const tty = { isTTY: true };
  it('are for terminals, and for nobody who says NO_COLOR', () => {
    expect(paintFor(tty, {}).red('x')).toBe('\u001b[31mx\u001b[39m');
    expect(paintFor({}, {}).red('x')).toBe('x');
    expect(paintFor(tty, { NO_COLOR: '1' }).red('x')).toBe('x');
    expect(paintFor(tty, { NO_COLOR: '1', FORCE_COLOR: '1' }).red('x')).toBe('x');
    expect(paintFor(tty, { TERM: 'dumb' }).red('x')).toBe('x');
    expect(paintFor({}, { FORCE_COLOR: '1' }).red('x')).toBe('\u001b[31mx\u001b[39m');
  });
});

it("doctor's findings carry their remedy", () => {
  expect(renderFinding({ level: 'ok', what: 'It is so', remedy: '' }, plain)).toBe('ok       It is so');
  expect(renderFinding({ level: 'problem', what: 'It is not', remedy: 'do this' }, plain)).toBe(
    'problem  It is not\n         → do this',
  );
});

describe('a worker deployment', () => {
  it('says who gets tasks while no build of it is current, as after versioning was turned off', () => {
    const old = { buildId: 'b1', state: 'draining', upgrades: 0, workers: ['v1'], unserved: [] } as const;
    const text = renderDeployment({ name: 'uplift', current: null, versions: [old] }, 80, plain);
    expect(text.split('\n')[0]).toBe(
      'uplift: no build is current: tasks go only to workers without a deployment (uplift worker promote gives them to a build)',
    );
  });
});
