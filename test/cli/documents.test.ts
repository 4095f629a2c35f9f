/** The plan's and the report's text, the event stream and the exit codes: all pure. */
import { NamespaceNotFoundError } from '@temporalio/common';
import { describe, expect, it } from 'vitest';
import { errorLines, exitCodeOfError } from '../../client/errors.js';
import { changesSince } from '../../client/events.js';
import { exitCodeOf } from '../../client/exit-codes.js';
import type { Act } from '../../workflows/contracts/control.js';
import type { PreparedPlan, PreparedTarget } from '../../activities/planner.js';
import { planJson, renderPlan } from '../../client/render/plan.js';
import { plain } from '../../client/render/paint.js';
import { renderHtmlReport } from '../../client/render/report-html.js';
import { renderReport } from '../../client/render/report.js';
import { ConflictError } from '../../client/rollouts.js';
import { type RolloutView, withRows } from '../../client/views.js';
import { InputError } from '../../plan/errors.js';
import { upgradeWorkflowId } from '../../workflows/contracts/ids.js';
import type { UpgradeResult } from '../../workflows/contracts/upgrade.js';
import { NOW, row, ROWS, VIEW } from './fixtures.js';

const GRAPH = '2b6a0d3f-1c52-4f0e-9d57-0a8f6f1f5d01';
const CLUSTER = 'es-cn-n6w1o1x0w001c5k2f';

function target(over: Partial<PreparedTarget> = {}): PreparedTarget {
  return {
    place: { file: 'plan.yaml', line: 7, path: 'spec.targets[0]' },
    resource: {
      account: 'graphs-prod',
      cloud: 'huawei',
      service: 'ges-v2',
      family: 'ges',
      region: 'cn-north-4',
      id: GRAPH,
    },
    name: 'fraud_graph',
    status: '200',
    from: '2.3.10',
    snapshot: null,
    tags: {},
    standing: 'below',
    target: { version: '2.4.1' },
    to: '2.4.1',
    findings: [],
    verdict: 'upgrade',
    reason: 'version 2.3.10, status 200',
    remedy: null,
    call: { method: 'POST', path: `/v2/p1/graphs/${GRAPH}/upgrade`, body: { upgrade_version: '2.4.1' } },
    ...over,
  };
}

const PREPARED: PreparedPlan = {
  digest: '1a2b3c4d5e6f',
  plan: {
    file: 'plan.yaml',
    name: 'spring',
    digest: '1a2b3c4d5e6f',
    rollout: 'spring-1a2b3c4d',
    waves: [],
    budget: { max: 1, mode: 'strict' },
    budgetShown: '34 % of 3 = 1',
    quarantineAfter: 3,
    minSuccess: { count: 2, shown: '50 % of 3 = 2' },
    approval: null,
    accountLimits: { 'graphs-prod': 2 },
    accountQueues: {},
    drift: {},
    onLocked: 'skip',
    onOtherTarget: 'fail',
    windows: null,
    durations: { services: {}, marginMs: 0, onlyIfFits: true },
    notify: [],
    timeScale: 1,
    notes: [],
  },
  waves: [
    {
      name: 'canary',
      entry: 0,
      concurrency: 5,
      shown: null,
      effective: { concurrency: 2, cause: 'because strict with max 1', takesMs: 3_600_000, askedMs: 1_800_000 },
      limits: {},
      maxFailures: null,
      approval: null,
      soak: null,
      targets: [target(), target({ verdict: 'no-change', from: '2.4.1', reason: 'is at its target', call: null })],
    },
    {
      name: 'rest',
      entry: 1,
      concurrency: 1,
      shown: '33 % of 3 = 1',
      effective: { concurrency: 1, cause: null, takesMs: 3_600_000, askedMs: 3_600_000 },
      limits: {},
      maxFailures: null,
      approval: null,
      soak: null,
      targets: [
        target({
          resource: {
            ...target().resource,
            account: 'search',
            cloud: 'alibaba',
            service: 'elasticsearch',
            family: 'elasticsearch',
            id: CLUSTER,
          },
          name: 'logs',
          status: 'active',
          from: '6.3.2',
          to: '6.7.0',
          verdict: 'blocked',
          reason: 'precheck failed: checkClusterSnapshot failed',
          remedy: 'mend what the checks name, then plan again',
          findings: [
            { check: 'checkClusterHealth', status: 'success', problems: [] },
            {
              check: 'checkClusterSnapshot',
              status: 'failed',
              problems: [
                {
                  type: 'clusterSnapshot',
                  code: 'ClusterSnapshotNotAvaild',
                  message: 'no snapshot within the last hour',
                },
              ],
            },
          ],
        }),
      ],
    },
  ],
  counts: { upgrade: 1, 'no-change': 1, running: 0, busy: 0, blocked: 1, error: 0 },
};

describe('a plan', () => {
  it('shows each resource, each check, each call, concurrency with its cause and the budget both ways', () => {
    expect(renderPlan(PREPARED, 120, plain)).toMatchInlineSnapshot(`
      "spring-1a2b3c4d  plan.yaml
      1 to upgrade, 1 at target, 1 blocked.
      Failure budget: 1 of 3 may fail (33 %, given as 34 % of 3 = 1), strict; failure 2 stops the rollout.
      Least success: 2 of 3 have to reach their targets (67 %, given as 50 % of 3 = 2), or the rollout has failed.

      Wave canary  2 resources, 2 at a time instead of 5: because strict with max 1, about 1 h instead of 30 min
        resource                              name         service        from → to       verdict    reason
        2b6a0d3f-1c52-4f0e-9d57-0a8f6f1f5d01  fraud_graph  ges-v2         2.3.10 → 2.4.1  upgrade    status 200
        2b6a0d3f-1c52-4f0e-9d57-0a8f6f1f5d01  fraud_graph  ges-v2         2.4.1 → 2.4.1   no-change  is at its target

      Wave rest  1 resource (33 % of 3 = 1), 1 at a time
        resource                              name         service        from → to       verdict    reason
        es-cn-n6w1o1x0w001c5k2f               logs         elasticsearch  6.3.2 → 6.7.0   blocked    precheck failed:
                                                                                                     checkClusterSnapshot
                                                                                                     failed

      Checks: the dry run, and what else the provider offers
        resource            status   validateType          errorType        errorCode                 errorMsg
        es-cn-n6w…001c5k2f  failed   checkClusterSnapshot  clusterSnapshot  ClusterSnapshotNotAvaild  no snapshot within the
                                                                                                      last hour
        es-cn-n6w…001c5k2f  success  checkClusterHealth

      Mutating calls that would follow (1)
        POST /v2/p1/graphs/2b6a0d3f-1c52-4f0e-9d57-0a8f6f1f5d01/upgrade  {"upgrade_version":"2.4.1"}

      1 target cannot be upgraded as planned: nothing can be applied."
    `);
  });

  it('says that there is nothing to do', () => {
    const counts = { ...PREPARED.counts, upgrade: 0, blocked: 0, 'no-change': 1 };
    const [first] = PREPARED.waves;
    const waves = first === undefined ? [] : [{ ...first, targets: first.targets.slice(1) }];
    const text = renderPlan({ ...PREPARED, counts, waves }, 120, plain);
    expect(text.split('\n').slice(-4)).toEqual([
      'Mutating calls that would follow (0)',
      '  none',
      '',
      'Every resource is at its target: nothing to do.',
    ]);
  });

  it('can be applied although what is in quarantine is blocked', () => {
    const blocked = PREPARED.waves[1]?.targets[0];
    if (blocked === undefined) throw new Error('nothing is blocked');
    const last = { rollout: 'autumn-1a2b3c4d', reason: 'no snapshot', at: '2026-11-20T12:00:00.000Z' };
    const failing = { failures: 3, since: last.at, last };
    const workflowId = upgradeWorkflowId(blocked.resource);
    const kept = { freezes: [], quarantined: [{ resource: blocked.resource.id, workflowId, failing }] };
    const text = renderPlan(PREPARED, 120, plain, null, kept);
    expect(text).toContain(`Left out: ${blocked.resource.id}, in quarantine after 3 failures`);
    expect(text).toContain('`uplift apply plan.yaml --digest');
  });

  it('has the same in JSON', () => {
    expect(planJson(PREPARED)).toMatchObject({
      version: 1,
      rollout: 'spring-1a2b3c4d',
      changes: true,
      budget: { max: 1, mode: 'strict', shown: '34 % of 3 = 1', percent: 100 / 3 },
      waves: [{ name: 'canary', effective: { concurrency: 2 } }, { targets: [{ verdict: 'blocked' }] }],
    });
  });

  it('tells in JSON too who has to approve what, and which share a wave takes', () => {
    const begin = { quorum: 2, approvers: ['ana', 'ben'], roles: { dba: ['ana', 'ben'] }, expiresAfterMs: 86_400_000 };
    const own = { quorum: 1, approvers: ['carol'], expiresAfterMs: 3_600_000 };
    const waves = PREPARED.waves.map((wave, at) => (at === 1 ? { ...wave, approval: own } : wave));
    const approved = { ...PREPARED, plan: { ...PREPARED.plan, approval: begin }, waves };
    expect(planJson(approved)).toMatchObject({
      approval: begin,
      waves: [
        { approval: null, shown: null },
        { approval: own, shown: '33 % of 3 = 1' },
      ],
    });
    expect(planJson(PREPARED)).toMatchObject({ approval: null });
  });
});

describe('a report', () => {
  const failed: UpgradeResult = {
    resource: target().resource,
    targetLabel: '2.4.1',
    outcome: 'RolledBack',
    reason: 'not at its target: version 2.3.10 | <b>',
    fromVersion: '2.3.10',
    toVersion: '2.3.10',
    operation: { id: 'job-1', since: '2026-11-21T05:20:05.000Z' },
    findings: [{ check: 'graphVersion', status: 'success', problems: [] }],
    calls: [
      {
        at: '2026-11-21T05:20:04.000Z',
        method: 'POST',
        path: '/v2/p1/graphs/g1/upgrade',
        answer: 'unknown',
        status: null,
        requestId: null,
      },
      {
        at: '2026-11-21T05:20:09.000Z',
        method: 'POST',
        path: '/v2/p1/graphs/g1/upgrade',
        answer: 'accepted',
        status: 200,
        requestId: 'req-1',
      },
    ],
    polls: 1,
    startedAt: '2026-11-21T05:20:00.000Z',
    endedAt: '2026-11-21T05:21:05.000Z',
  };
  const calls = failed.calls.map((call) => ({ ...call, resourceId: failed.resource.id }));
  const rows = [
    row(1, { outcome: 'RolledBack', to: '2.3.10', reason: 'cut' }),
    row(2, { phase: 'Pending', outcome: null, to: null, runId: null }),
  ];
  const [canary] = VIEW.waves;
  const view = withRows({ ...VIEW, total: 2, waves: canary === undefined ? [] : [canary] }, rows);

  it('is a page of its own, with a timeline in the rollout’s time, and breaks on no text of a cloud', () => {
    const phases = [
      { phase: 'Precheck', at: '2026-11-21T05:20:00.000Z' },
      { phase: 'Await', at: '2026-11-21T05:21:03.000Z' },
      { phase: 'Ended', at: '2026-11-21T05:22:06.000Z' },
    ] as const;
    const result = { ...failed, phases, endedAt: '2026-11-21T05:22:06.000Z', reason: '</style><script>alert("x")' };
    const html = renderHtmlReport({ view, rows, results: [result], calls, freezes: [], windows: [] }, NOW);
    // From 05:20:00 until now, 252 s.
    expect(html).toContain('<i class="check" style="left:0.000%;width:25.000%" title="Precheck: 1 m 03 s');
    expect(html).toContain('<i class="run" style="left:25.000%;width:25.000%" title="Await: 1 m 03 s');
    expect(html).toContain('&lt;/style&gt;&lt;script&gt;alert(&quot;x&quot;)');
    expect(html).not.toContain('<script');
    expect(html).not.toMatch(/src=|href=(?!"#)|https?:|@import|url\(/);
    for (const { resourceId } of rows) expect(html).toContain(resourceId);
    for (const { requestId } of failed.calls) expect(html).toContain(requestId ?? 'none read');
    expect(html).toContain('It has not ended: this report is of now.');
    expect(html).toContain('Mutating calls (2)');
  });

  it('has round times on its axis, with dates where the rollout lasts for more than a day', () => {
    const ticks = (startedAt: string, endedAt: string) => {
      const html = renderHtmlReport(
        { view: { ...view, startedAt, endedAt }, rows: [], results: [], calls: [], freezes: [], windows: [] },
        NOW,
      );
      return [...html.matchAll(/<span style="left:[\d.]+%">(.*?)<\/span>/g)].map(([, tick]) => tick);
    };
    expect(ticks('2026-11-20T21:00:00.000Z', '2026-11-27T23:00:00.000Z')).toEqual([
      '21 Nov<br>00:00',
      '23 Nov<br>00:00',
      '25 Nov<br>00:00',
      '27 Nov<br>00:00',
    ]);
    expect(ticks('2026-11-20T21:07:41.000Z', '2026-11-21T02:03:09.000Z')).toEqual([
      '22:00',
      '23:00',
      '00:00',
      '01:00',
      '02:00',
    ]);
    expect(ticks('2026-11-20T21:07:41.300Z', '2026-11-20T21:08:12.000Z')).toEqual(['21:07:50', '21:08:00', '21:08:10']);
  });

  it('shows upgrades in flight on the timeline, and those that outlast their rollout', () => {
    const open = { outcome: null, to: null } as const;
    const inFlight = row(2, { ...open, phase: 'Overdue', startedAt: '2026-11-21T05:22:06.000Z' });
    const pending = row(3, { ...open, phase: 'Pending', runId: null });
    const page = (endedAt: string | null, of: typeof rows, results: UpgradeResult[] = []) =>
      renderHtmlReport({ view: { ...view, endedAt }, rows: of, results, calls: [], freezes: [], windows: [] }, NOW);
    const late = '<i class="late" style="left:50.000%;width:50.000%" title="Overdue now, 2 m 06 s after its start at';
    // From 05:20:00 until now, 252 s.
    const running = page(null, [inFlight, pending]);
    expect(running).toContain(late);
    expect(running.match(/<i class="\w+" style/g)).toHaveLength(1);

    const terminated = page('2026-11-21T05:22:06.000Z', [inFlight]);
    expect(terminated).toContain(late);
    expect(terminated).toContain('<dt>took</dt><dd>2 m 06 s</dd>');

    const phases = [{ phase: 'Await', at: '2026-11-21T05:21:00.000Z' }] as const;
    const result = { ...failed, phases, endedAt: '2026-11-21T05:22:00.000Z' };
    expect(page('2026-11-21T05:20:59.000Z', rows, [result])).toContain(
      '<i class="run" style="left:50.000%;width:50.000%"',
    );
    expect(page('2026-11-21T05:24:00.000Z', rows, [result])).toContain(
      '<i class="run" style="left:25.000%;width:25.000%"',
    );
  });

  it('shows each outcome as wide as its share, and its number where there is room for it', () => {
    const counts = { RolledBack: 1, Succeeded: 997 };
    const told = { ...view, total: 1_000, counts };
    const html = renderHtmlReport({ view: told, rows, results: [], calls: [], freezes: [], windows: [] }, NOW);
    expect(html).toContain(
      '<div class="outcomes"><span class="good" style="flex:997" title="997 Succeeded"></span><span class="bad" style="flex:1" title="1 RolledBack"></span><span class="open" style="flex:2" title="2 open"></span></div>',
    );
    expect(html).toContain('<span class="good">997 Succeeded</span><span class="bad">1 RolledBack</span>');
    expect(html).toMatch(/\.counts,nav\{[^}]*flex-wrap:wrap/);
  });

  it('leads from its top to each part below the timeline, which may be far down', () => {
    const html = renderHtmlReport({ view, rows, results: [failed], calls, freezes: [], windows: [] }, NOW);
    expect(html).toContain('<nav><a href="#failures">Failures (1)</a><a href="#calls">Mutating calls (2)</a></nav>');
    expect(html).toContain('<h2 id="failures">Failures (1)</h2>');
    expect(html).toContain('<h2 id="calls">Mutating calls (2)</h2>');
  });

  it('tells what people did, and which failures were not charged', () => {
    const act = (one: Act['act'], what: string, actor: string, reason: string): Act => ({
      requestId: null,
      act: one,
      what,
      actor,
      reason,
      at: '2026-11-21T05:20:30.000Z',
    });
    const acts = [
      act('approve', 'wave canary is approved', 'ben', 'looked at <it>'),
      { ...act('pause', 'the rollout', 'ana', 'a customer | complained'), saidAt: '2026-11-21T02:10:00.000Z' },
    ];
    const told = {
      ...view,
      acts,
      failures: 3,
      charged: 1,
      budget: { max: 2, mode: 'loose', counts: ['upgrade'] } as const,
    };
    const html = renderHtmlReport({ view: told, rows, results: [], calls: [], freezes: [], windows: [] }, NOW);
    expect(html).toContain('What people did (2)');
    const left = "7 earlier acts are left out; the rollout's history has all of them.";
    const of = { view: { ...told, actsLeftOut: 7 }, rows, results: [], calls: [], freezes: [], windows: [] };
    expect(renderReport(of, NOW)).toContain(left);
    expect(renderHtmlReport(of, NOW)).toContain('What people did (9)');
    expect(html).toContain(
      '<time>2026-11-21 05:20:30 UTC</time><b>ben</b><span class="act good">approve</span><span>wave canary is approved</span><q>looked at &lt;it&gt;</q>',
    );
    const uncharged = '1 of 2 charged, loose; 2 more failed and were not charged: it counts upgrade';
    expect(html).toContain(`<dt>failure budget</dt><dd>${uncharged}</dd>`);
    const markdown = renderReport({ view: told, rows, results: [], calls: [], freezes: [], windows: [] }, NOW);
    expect(markdown).toContain(`| Failure budget | ${uncharged} |`);
    const when = '2026-11-21 02:10:00 UTC (heard at 2026-11-21 05:20:30 UTC)';
    expect(markdown).toContain(`| ${when} | pause | the rollout | ana | a customer \\| complained |`);
    expect(html).toContain(
      '<time>2026-11-21 02:10:00 UTC<small>heard at 2026-11-21 05:20:30 UTC</small></time><b>ana</b>',
    );
  });

  it('has every resource, failure and call, and breaks on no text of a cloud', () => {
    expect(renderReport({ view, rows, results: [failed], calls, freezes: [], windows: [] }, NOW))
      .toMatchInlineSnapshot(`
      "# Rollout spring-1a2b3c4d: Running

      **0 of 2 at target (0 %), 1 failed.** Wave main is running.

      > It has not ended: this report is of now.

      |  |  |
      |---|---|
      | Started | 2026-11-21 05:20:00 UTC by ana@ops |
      | Ended | not yet |
      | Took | 4 m 12 s |
      | Failure budget | 1 of 1 charged, strict |
      | Outcomes | 1 RolledBack |
      | Plan | digest \`1a2b3c4d5e6f\` |
      | Temporal run | \`01a1fcc3-3733-7d84-9a86-d33224d975d5\` |

      ## Wave canary: 0 of 2 at target

      | resource | service | account | region | from | target | read back | outcome | took |
      |---|---|---|---|---|---|---|---|---|
      | \`2b6a0d3f-1c52-4f0e-9d57-0a8f6f1f5d01\` | ges-v2 | graphs-prod | cn-north-4 | 2.3.10 | 2.4.1 | 2.3.10 | **RolledBack** | 1 m 05 s |
      | \`2b6a0d3f-1c52-4f0e-9d57-0a8f6f1f5d02\` | ges-v2 | graphs-prod | cn-north-4 | 2.3.10 | 2.4.1 |  | *Pending* |  |

      ## Failures

      ### 2b6a0d3f-1c52-4f0e-9d57-0a8f6f1f5d01: RolledBack

      Not at its target: version 2.3.10 \\| &lt;b>.

      Operation \`job-1\` since 2026-11-21 05:20:05 UTC, polled 1 time.

      Prechecks had passed: graphVersion.

      ## Mutating calls (2)

      | sent | resource | call | answer | HTTP | cloud's request id |
      |---|---|---|---|---|---|
      | 2026-11-21T05:20:04.000Z | \`2b6a0d3f-1c52-4f0e-9d57-0a8f6f1f5d01\` | \`POST /v2/p1/graphs/g1/upgrade\` | unknown | no answer | none read |
      | 2026-11-21T05:20:09.000Z | \`2b6a0d3f-1c52-4f0e-9d57-0a8f6f1f5d01\` | \`POST /v2/p1/graphs/g1/upgrade\` | accepted | 200 | \`req-1\` |
      "
    `);
  });

  it('keeps text as text in Markdown, wherever it stands', () => {
    const acts = [
      {
        requestId: null,
        act: 'stop',
        what: 'the rollout',
        actor: '_ana_',
        reason: String.raw`\\srv\| ![x](https://x/q.png) **now**`,
        at: '2026-11-21T05:20:30.000Z',
      } as const,
    ];
    const told = {
      ...view,
      state: 'Terminated' as const,
      endedAt: '2026-11-21T05:24:00.000Z',
      reason: '<img src=x> [here](https://x) `and` &lt; there | ~~gone~~',
      acts,
      retryOf: { rollout: 'spring', reason: '*again*' } as RolloutView['retryOf'],
    };
    const odd = row(3, { resourceId: 'a`b|c', outcome: 'Failed', reason: '# 5_node_set at ali7.10.0-x_ *' });
    const markdown = renderReport({ view: told, rows: [odd], results: [], calls: [], freezes: [], windows: [] }, NOW);
    const lines = markdown.split('\n');
    expect(lines[2]).toContain(String.raw`&lt;img src=x> \[here\](https://x) \`and\` &amp;lt; there \| \~\~gone\~\~.`);
    expect(markdown).toContain(String.raw`| \_ana\_ | \\\\srv\\\| !\[x\](https://x/q.png) \*\*now\*\* |`);
    expect(markdown).toContain(String.raw`| Retry of | ${'`spring`'}: \*again\* |`);
    expect(markdown).toContain(String.raw`| a\`b\|c | ges-v2 | graphs-prod | cn-north-4 | 2.3.10 | 2.4.1 |`);
    expect(lines).toContain(String.raw`\# 5_node_set at ali7.10.0-x\_ \*.`);
  });

  it('tells what was left out, and why', () => {
    const skipped = { outcome: 'Skipped', to: null, runId: null, reason: 'skipped by ben: next | month' } as const;
    const many = Array.from({ length: 7 }, (_, at) => row(at, { ...skipped, resourceId: `late-${at}` }));
    const frozen = row(8, { outcome: 'NotStarted', to: null, resourceId: 'frozen-1', reason: 'froz…' });
    const result: UpgradeResult = {
      ...failed,
      resource: { ...failed.resource, id: 'frozen-1' },
      outcome: 'NotStarted',
      reason: 'frozen by <ana>',
    };
    const report = { view, rows: [row(9), ...many, frozen], results: [result], calls: [], freezes: [], windows: [] };
    expect(renderReport(report, NOW)).toContain(`
## Left out

| outcome | reason | how many | resources |
|---|---|---|---|
| Skipped | skipped by ben: next \\| month | 7 | \`late-0\`, \`late-1\`, \`late-2\`, \`late-3\`, \`late-4\` and 2 more |
| NotStarted | frozen by &lt;ana> | 1 | \`frozen-1\` |
`);
    const html = renderHtmlReport(report, NOW);
    expect(html).toContain('<h2 id="left-out">Left out (8)</h2>');
    expect(html).toContain('<b>7 Skipped</b>: skipped by ben: next | month<br>');
    expect(html).toContain('late-0, late-1, late-2, late-3, late-4 and 2 more</span>');
    expect(html).toContain('<b>1 NotStarted</b>: frozen by &lt;ana&gt;<br>');
    expect(renderReport({ ...report, rows }, NOW)).not.toContain('Left out');
    expect(renderHtmlReport({ ...report, rows }, NOW)).not.toContain('Left out');
  });

  it('tells what went on although it was not as planned', () => {
    const drift = { type: 'drift', code: 'Proceed', message: 'size 2C8G then, 4C16G <now>' };
    const remark = { type: 'engine', code: 'RetryTakesNoVersion', message: 'a remark of the cloud' };
    const findings = [
      { check: 'asPlanned', status: 'success', problems: [drift] },
      { check: 'latestVersion', status: 'success', problems: [remark] },
    ];
    const report = { view, rows, results: [{ ...failed, findings }], calls: [], freezes: [], windows: [] };
    const markdown = renderReport(report, NOW);
    expect(markdown).toContain(`
## Not as planned

The plan lets these differences pass:

| difference | how many | resources |
|---|---|---|
| size 2C8G then, 4C16G &lt;now> | 1 | \`${failed.resource.id}\` |

## Mutating calls`);
    expect(markdown).not.toContain('Prechecks had passed');
    expect(markdown).toContain('| asPlanned | success | drift | Proceed | size 2C8G then, 4C16G &lt;now> |');
    expect(renderHtmlReport(report, NOW)).toContain(
      `<h2 id="drifts">Not as planned (1)</h2><p>The plan lets these differences pass:</p><ul class="told"><li><b>1 resource</b>: size 2C8G then, 4C16G &lt;now&gt;<br><span class="ids">${failed.resource.id}</span></li></ul>`,
    );
    const asPlanned = { ...report, results: [failed] };
    expect(renderReport(asPlanned, NOW)).not.toContain('Not as planned');
    expect(renderHtmlReport(asPlanned, NOW)).not.toContain('Not as planned');
  });

  it('tells the ten most frequent reasons and differences, and how many more there are', () => {
    const skipped = { outcome: 'Skipped', to: null, runId: null } as const;
    const own = Array.from({ length: 12 }, (_, at) =>
      row(at, { ...skipped, resourceId: `own-${at}`, reason: `group-${at} has none left` }),
    );
    const often = [1, 2].map((at) => row(at, { ...skipped, resourceId: `often-${at}`, reason: 'next month' }));
    const differing = Array.from({ length: 11 }, (_, at): UpgradeResult => {
      const drift = { type: 'drift', code: 'Proceed', message: `${at} nodes now` };
      const findings = [{ check: 'asPlanned', status: 'success', problems: [drift] }];
      return { ...failed, resource: { ...failed.resource, id: `differs-${at}` }, findings };
    });
    const report = { view, rows: [...own, ...often], results: differing, calls: [], freezes: [], windows: [] };
    const markdown = renderReport(report, NOW);
    const html = renderHtmlReport(report, NOW);
    const reasons = 'And 3 more reasons, of 3 resources: the JSON report has all.';
    const differences = 'And 1 more reason, of 1 resource: the JSON report has all.';
    for (const text of [markdown, html]) {
      expect(text).toContain('group-8 has none left');
      expect(text).not.toContain('group-9 has none left');
      expect(text).toContain('9 nodes now');
      expect(text).not.toContain('10 nodes now');
      expect(text).toContain(reasons);
      expect(text).toContain(differences);
    }
    expect(html).toContain('Left out (14)');
    expect(html).toContain('Not as planned (11)');
    expect(markdown).toContain(`
| outcome | reason | how many | resources |
|---|---|---|---|
| Skipped | next month | 2 | \`often-1\`, \`often-2\` |
| Skipped | group-0 has none left | 1 | \`own-0\` |`);
  });

  it('shows the checks of a refused upgrade', () => {
    const findings = PREPARED.waves[1]?.targets[0]?.findings ?? [];
    const text = renderReport(
      { view, rows, results: [{ ...failed, findings }], calls: [], freezes: [], windows: [] },
      NOW,
    );
    expect(text).toContain('| checkClusterHealth | success |  |  |  |');
    expect(text).toContain(
      '| checkClusterSnapshot | failed | clusterSnapshot | ClusterSnapshotNotAvaild | no snapshot within the last hour |',
    );
    expect(text).toContain('## Mutating calls (0)\n\nNone was sent.');
  });
});

describe('events', () => {
  it('tell everything at first, but for what has not begun', () => {
    const events = changesSince(null, { view: VIEW, rows: ROWS });
    expect(events.map(({ type }) => type)).toEqual(['rollout', ...Array<string>(5).fill('resource')]);
  });

  it('tell what changed, and nothing else', () => {
    const before = { view: VIEW, rows: ROWS };
    expect(changesSince(before, structuredClone(before))).toEqual([]);
    const rows = ROWS.map((one) => (one.percent === 54 ? { ...one, percent: 60 } : one));
    expect(changesSince(before, { view: VIEW, rows })).toEqual([{ type: 'resource', resource: rows[4] }]);
    const begun = ROWS.map((one, at) => (at === 5 ? { ...one, phase: 'Precheck' as const } : one));
    expect(changesSince(before, { view: VIEW, rows: begun })).toEqual([{ type: 'resource', resource: begun[5] }]);
    const view = { ...VIEW, reason: 'another' };
    expect(changesSince(before, { view, rows: ROWS })).toEqual([{ type: 'rollout', rollout: view }]);
  });
});

describe('exit codes', () => {
  const budget = { max: 1, mode: 'strict' } as const;
  it.each<[RolloutView['state'], number, number]>([
    ['Succeeded', 0, 0],
    ['SucceededWithFailures', 1, 3],
    ['Failed', 2, 4],
    ['Failed', 1, 1],
    ['Running', 0, 5],
    ['Stopping', 0, 5],
    ['Paused', 0, 5],
    ['Stopped', 0, 7],
    ['Terminated', 0, 7],
  ])('%s with %d failed of 1 tolerated is %d', (state, charged, code) => {
    expect(exitCodeOf({ state, charged, budget, reason: '' })).toBe(code);
  });

  it('tell a conflict from an error', () => {
    expect(exitCodeOfError(new ConflictError('r', 'ana', '2026-11-21T05:20:00.000Z'))).toBe(6);
    expect(exitCodeOfError(new Error('x'))).toBe(1);
  });
});

it('errors are one line each', () => {
  const problem = { file: 'plan.yaml', line: 3, path: 'spec', message: 'is wrong', remedy: 'mend it' };
  expect(errorLines(new InputError([problem, { ...problem, line: 4 }]))).toEqual([
    'plan.yaml:3: spec: is wrong (mend it)',
    'plan.yaml:4: spec: is wrong (mend it)',
  ]);
  expect(errorLines(new Error('two\n  lines'))).toEqual(['uplift: two lines']);
  const structure = (code: string, message: string) =>
    `It failed: Status { code: ${code}, message: "${message}", details: b"\\x08", metadata: MetadataMap { headers: {"a": "b"} }, source: None }`;
  expect(errorLines(new Error(structure('NotFound', 'Namespace \\"nix\\" is not found.')))).toEqual([
    'uplift: Temporal answers: Namespace "nix" is not found. (check --namespace, or run `uplift doctor --fix`)',
  ]);
  expect(errorLines(new NamespaceNotFoundError('nix'))).toEqual([
    "uplift: Temporal answers: Namespace not found: 'nix' (check --namespace, or run `uplift doctor --fix`)",
  ]);
  expect(errorLines(new Error(structure('Unavailable', 'no route')))).toEqual([
    'uplift: Temporal does not answer: no route (check that it runs, and --address; `uplift doctor` looks closer)',
  ]);
  expect(errorLines(new ConflictError('r', 'ana', '2026-11-21T05:20:00.000Z'))).toEqual([
    'uplift: rollout r is running already: started by ana at 2026-11-21T05:20:00.000Z (follow it by `uplift watch r`)',
  ]);
});
