/** The report of a rollout as one HTML page that needs nothing else: outcome, timeline, failures, every mutating call. */
import type { Freeze } from '../../workflows/contracts/freezes.js';
import { upgradeWorkflowId } from '../../workflows/contracts/ids.js';
import type { Act } from '../../workflows/contracts/control.js';
import type { Outcome, Phase, UpgradeResult } from '../../workflows/contracts/upgrade.js';
import {
  goodIn,
  hasEnded,
  isFailed,
  isGood,
  lastEnd,
  type ResourceCall,
  type ResourceRow,
  type RolloutReport,
  type RolloutView,
  type WaveView,
} from '../views.js';
import {
  budgetUsed,
  DRIFTS_NOTE,
  driftsOf,
  earlierActsLabel,
  firstOf,
  frequent,
  type Group,
  leftOut,
  resourcesIn,
  soakLine,
} from './report.js';
import { CALLS_HEAD, NO_REQUEST_ID, reportedCalls } from './calls.js';
import { count, duration, fromTo, moment, oneLine, percentOf } from './text.js';

/** Ticks of the time axis, ends included. */
const TICKS = 6;
const DAY_MS = 86_400_000;

const PHASE_CLASS: Readonly<Record<Phase, string>> = {
  Precheck: 'check',
  Waiting: 'wait',
  Submit: 'submit',
  Await: 'run',
  Stuck: 'late',
  Overdue: 'late',
  Verify: 'verify',
  Held: 'held',
  Ended: 'end',
};
const LEGEND: readonly (readonly [name: string, label: string])[] = [
  ['check', 'precheck'],
  ['wait', 'waiting'],
  ['submit', 'submit'],
  ['run', 'running at the cloud'],
  ['late', 'stuck or overdue'],
  ['held', 'held'],
  ['verify', 'verify'],
];

/** Acts that begin or end something stand out. */
const ACT_TONE: Readonly<Partial<Record<Act['act'], string>>> = {
  approve: 'good',
  resume: 'good',
  reject: 'bad',
  stop: 'bad',
  pause: 'mixed',
  skip: 'mixed',
};

interface Span {
  readonly from: number;
  readonly to: number;
}

function frozen({ since, until, owner, reason, lifted }: Freeze): string {
  const ended = lifted === undefined ? moment(until) : `${moment(lifted.at)}, lifted by ${lifted.by}: ${lifted.reason}`;
  return `frozen by ${owner} (${reason}) from ${moment(since)} until ${ended}`;
}

/** @param now milliseconds since the epoch, for what still runs */
export function renderHtmlReport(report: RolloutReport, now: number): string {
  const { view, rows, results, calls, freezes } = report;
  const byUpgrade = new Map(results.map((result) => [upgradeWorkflowId(result.resource), result]));
  const resultOf = (row: ResourceRow) => byUpgrade.get(row.workflowId) ?? null;
  const startedAt = Date.parse(view.startedAt);
  const endedAt = view.endedAt === null ? now : Date.parse(view.endedAt);
  const span = { from: startedAt, to: lastEnd(report, now) };
  const good = goodIn(view.counts);
  const failed = rows.filter(({ outcome }) => isFailed(outcome));
  const facts: readonly (readonly [string, string])[] = [
    ['at target', `${good} of ${view.total}`],
    ['failed', String(view.failures)],
    ['failure budget', budgetUsed(view)],
    ...(view.minSuccess === null ? [] : [['had to succeed', `${view.minSuccess} of ${view.total}`] as const]),
    ['took', duration(endedAt - startedAt)],
    ['started', `${moment(view.startedAt)} by ${view.startedBy}`],
    ['ended', view.endedAt === null ? 'not yet' : moment(view.endedAt)],
    ['plan', view.planDigest.slice(0, 12)],
    ...(view.retryOf === null ? [] : [['retry of', `${view.retryOf.rollout}: ${view.retryOf.reason}`] as const]),
    ...freezes.map((freeze) => [freeze.id, frozen(freeze)] as const),
  ];
  return page(`Rollout ${view.rollout}: ${view.state}`, [
    `<header class="${toneOf(view.state)}">`,
    `<p class="kind">Rollout</p><h1>${text(view.rollout)}</h1>`,
    `<p class="state">${text(view.state)}</p><p class="why">${text(view.reason)}</p>`,
    ...(hasEnded(view) ? [] : ['<p class="note">It has not ended: this report is of now.</p>']),
    ...(view.workerAnswers ? [] : ['<p class="note">No worker answered: this is what the server alone knows.</p>']),
    `</header>`,
    `<dl class="facts">${facts.map(([name, value]) => `<div><dt>${name}</dt><dd>${text(value)}</dd></div>`).join('')}</dl>`,
    outcomes(view.counts, view.total),
    '<h2>Timeline</h2>',
    `<p class="legend">${LEGEND.map(([name, label]) => `<span><i class="${name}"></i>${label}</span>`).join('')}</p>`,
    ...view.waves.map((wave, at) =>
      waveSection(
        wave,
        rows.filter(({ waveIndex }) => waveIndex === at + 1),
        resultOf,
        span,
        now,
      ),
    ),
    ...(failed.length === 0
      ? []
      : [`<h2>Failures (${failed.length})</h2>`, ...failed.map((row) => failure(row, resultOf(row)))]),
    groupSection('Left out', leftOut(rows, resultOf)),
    groupSection('Not as planned', driftsOf(results), `<p>${DRIFTS_NOTE}:</p>`),
    acts(view),
    callSection(calls),
    `<footer>Temporal run ${text(view.runId)}. All times UTC.</footer>`,
  ]);
}

/** The outcomes as one bar, each as wide as its share. */
function outcomes(counts: RolloutReport['view']['counts'], total: number): string {
  const entries = Object.entries(counts) as [Outcome, number][];
  const ended = entries.reduce((sum, [, n]) => sum + n, 0);
  const parts = entries.map(
    ([outcome, n]) =>
      `<span class="${outcomeClass(outcome)}" style="flex:${n}" title="${text(outcome)}: ${n}">${n} ${text(outcome)}</span>`,
  );
  const open = total - ended;
  if (open > 0) parts.push(`<span class="open" style="flex:${open}">${open} open</span>`);
  return `<div class="outcomes">${parts.join('')}</div>`;
}

function waveSection(
  wave: WaveView,
  rows: readonly ResourceRow[],
  resultOf: (row: ResourceRow) => UpgradeResult | null,
  span: Span,
  now: number,
): string {
  const good = goodIn(wave.counts);
  const title = `<summary><b>${text(wave.name)}</b> ${good} of ${wave.total} at target (${percentOf(good, wave.total)}), up to ${wave.concurrency} at a time</summary>`;
  const lines = rows.map((row) => {
    const result = resultOf(row);
    const end = row.outcome ?? row.phase;
    const label = `<span class="id" title="${text(`${row.service} in ${row.account}, ${row.region}`)}">${text(row.resourceId)}</span>`;
    const led = text(fromTo(row.from, row.to ?? row.target));
    const versions = `<span class="versions" title="${led}">${led}</span>`;
    return `<li>${label}${versions}<span class="track">${result === null ? openBar(row, span, now) : bars(result, span)}</span><span class="end ${outcomeClass(row.outcome)}">${text(end)}</span></li>`;
  });
  const soak = wave.soak === undefined ? '' : `<p class="note">${text(soakLine(wave.soak))}</p>`;
  return `<details class="wave" open>${title}${axis(span)}<ol>${lines.join('\n')}</ol>${soak}</details>`;
}

/** An upgrade's phases, each where it was in the rollout's time. */
function bars(result: UpgradeResult, span: Span): string {
  const end = Date.parse(result.endedAt);
  const phases = result.phases ?? [{ phase: 'Await' as const, at: result.startedAt }];
  return phases
    .map(({ phase, at }, index) => {
      const from = Date.parse(at);
      const to = Date.parse(phases[index + 1]?.at ?? result.endedAt);
      const title = `${phase}: ${duration(to - from)} from ${moment(at)}`;
      return bar(phase, from, Math.min(to, end), span, title);
    })
    .join('');
}

/** What is in flight has told no phases yet but the one that it is in: that stands for all of its time. */
function openBar({ phase, outcome, startedAt }: ResourceRow, span: Span, now: number): string {
  if (outcome !== null || startedAt === null || phase === 'Pending') return '';
  const from = Date.parse(startedAt);
  const title = `${phase} now, ${duration(now - from)} after its start at ${moment(startedAt)}`;
  return bar(phase, from, now, span, title);
}

function bar(phase: Phase, from: number, to: number, span: Span, title: string): string {
  return `<i class="${PHASE_CLASS[phase]}" style="left:${share(from, span)}%;width:${width(from, to, span)}%" title="${text(title)}"></i>`;
}

/** A time alone says where in a rollout it is only while no time of day comes twice. */
function axis(span: Span): string {
  const isDated = span.to - span.from > DAY_MS;
  const label = isDated ? dayAndTime : (iso: string) => iso.slice(11, 19);
  const ticks = Array.from({ length: TICKS }, (_, index) => {
    const at = new Date(span.from + ((span.to - span.from) * index) / (TICKS - 1)).toISOString();
    return `<span style="left:${((100 * index) / (TICKS - 1)).toFixed(2)}%">${label(at)}</span>`;
  });
  return `<div class="axis${isDated ? ' dated' : ''}"><span class="track">${ticks.join('')}</span></div>`;
}

/** `20 Nov` over `21:00`: on one line, ticks would run into each other. */
function dayAndTime(iso: string): string {
  const [, day = '', month = ''] = new Date(iso).toUTCString().split(' ');
  return `${day} ${month}<br>${iso.slice(11, 16)}`;
}

function failure(row: ResourceRow, result: UpgradeResult | null): string {
  const operation = result?.operation ?? null;
  const findings = (result?.findings ?? []).flatMap(({ check, status, problems }) =>
    problems.map(({ type, code, message }) => `${check} ${status}: ${[type, code, message].filter(Boolean).join(' ')}`),
  );
  const facts = [
    `${row.service}, account ${row.account}, ${row.region}, wave ${row.wave}, ${fromTo(row.from, row.target)}`,
    ...(operation === null
      ? []
      : [
          `operation ${operation.id ?? 'without an id'} since ${moment(operation.since)}, polled ${count(result?.polls ?? 0, 'time')}`,
        ]),
    ...findings,
  ];
  return `<section class="failure"><h3>${text(row.resourceId)}<span class="end bad">${text(row.outcome ?? row.phase)}</span></h3><p>${text(result?.reason ?? row.reason)}</p><ul>${facts.map((fact) => `<li>${text(fact)}</li>`).join('')}</ul></section>`;
}

function groupSection(title: string, groups: readonly Group[], note = ''): string {
  if (groups.length === 0) return '';
  const { shown, more } = frequent(groups);
  const items = shown.map(({ outcome, reason, ids }) => {
    const first = firstOf(ids);
    return `<li><b>${outcome === null ? count(ids.length, 'resource') : `${ids.length} ${outcome}`}</b>: ${text(reason)}<br><span class="ids">${text(first.shown.join(', '))}${first.more}</span></li>`;
  });
  const rest = more === '' ? '' : `<p>${more}</p>`;
  return `<h2>${title} (${resourcesIn(groups)})</h2>${note}<ul class="told">${items.join('\n')}</ul>${rest}`;
}

/** What people did to the rollout: each with who, when and why. */
function acts({ acts: done, actsLeftOut = 0 }: RolloutView): string {
  if (done.length === 0) return '';
  const items = done.map(
    ({ at, act, what, actor, reason }) =>
      `<li><time>${moment(at)}</time><b>${text(actor)}</b><span class="act ${ACT_TONE[act] ?? ''}">${act}</span><span>${text(what)}</span><q>${text(reason)}</q></li>`,
  );
  const rest = actsLeftOut === 0 ? '' : `<p>${text(earlierActsLabel(actsLeftOut))}</p>`;
  return `<h2>What people did (${done.length + actsLeftOut})</h2><ol class="acts">${items.join('\n')}</ol>${rest}`;
}

function callSection(calls: readonly ResourceCall[]): string {
  const rows = reportedCalls(calls).map(({ at, resourceId, call, answer, http, requestId }) => [
    at,
    resourceId,
    call,
    answer,
    http,
    requestId ?? NO_REQUEST_ID,
  ]);
  const cells = (of: readonly string[], tag: string) => of.map((cell) => `<${tag}>${text(cell)}</${tag}>`).join('');
  const table =
    rows.length === 0
      ? '<p>None was sent.</p>'
      : `<div class="scroll"><table><thead><tr>${cells(CALLS_HEAD, 'th')}</tr></thead><tbody>${rows.map((row) => `<tr>${cells(row, 'td')}</tr>`).join('\n')}</tbody></table></div>`;
  return `<h2>Mutating calls (${rows.length})</h2>${table}`;
}

function toneOf(state: string): string {
  if (state === 'Succeeded') return 'good';
  if (state === 'Failed' || state === 'Terminated') return 'bad';
  return state === 'Running' ? 'open' : 'mixed';
}

function outcomeClass(outcome: Outcome | null): string {
  if (outcome === null) return 'open';
  if (isGood(outcome)) return 'good';
  return isFailed(outcome) ? 'bad' : 'mixed';
}

/** Where an instant is in the rollout's time, in percent. */
function share(at: number, { from, to }: Span): string {
  return ((100 * Math.min(Math.max(at - from, 0), to - from)) / Math.max(to - from, 1)).toFixed(3);
}

function width(from: number, to: number, span: Span): string {
  return Math.max(Number(share(to, span)) - Number(share(from, span)), 0.05).toFixed(3);
}

/** A cloud's text can hold anything: it renders as text only. */
function text(raw: string): string {
  const entities: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
  return oneLine(raw).replaceAll(/[&<>"]/g, (sign) => entities[sign] ?? sign);
}

function page(title: string, body: readonly string[]): string {
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>${text(title)}</title><style>${STYLE}</style></head>
<body><main>
${body.join('\n')}
</main></body></html>
`;
}

const STYLE = `
:root{color-scheme:light dark;--bg:#f6f7f9;--card:#fff;--ink:#1b1f27;--soft:#5b6475;--line:#dfe3ea;
--good:#1f9d61;--bad:#d23f3f;--mixed:#c98a12;--open:#8a93a5;
--check:#9db4d6;--wait:#d5dae3;--submit:#7a5cd6;--run:#3f7fe0;--late:#e08a1e;--held:#d23f3f;--verify:#23b5a0}
@media(prefers-color-scheme:dark){:root{--bg:#12151b;--card:#1b2029;--ink:#e8ebf1;--soft:#9aa4b6;--line:#2c3442;
--wait:#3a4353;--check:#5f779c}}
*{box-sizing:border-box}body{margin:0;background:var(--bg);color:var(--ink);font:14px/1.45 system-ui,sans-serif}
main{max-width:1200px;margin:0 auto;padding:28px 20px 60px}
header{background:var(--card);border:1px solid var(--line);border-left:8px solid var(--tone);border-radius:10px;padding:18px 22px}
.good{--tone:var(--good)}.bad{--tone:var(--bad)}.mixed{--tone:var(--mixed)}.open{--tone:var(--open)}
.kind{margin:0;color:var(--soft)}h1{margin:0;font-size:26px;word-break:break-all}
.state{display:inline-block;margin:10px 0 0;padding:2px 12px;border-radius:99px;background:var(--tone);color:#fff;font-weight:600}
.why{margin:8px 0 0}.note{margin:8px 0 0;color:var(--mixed);font-weight:600}
.facts{display:flex;flex-wrap:wrap;gap:10px;margin:14px 0}
.facts div{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:8px 14px;flex:1 1 auto;max-width:380px}
dt{color:var(--soft);font-size:12px}dd{margin:0;font-weight:600;font-variant-numeric:tabular-nums}
.outcomes{display:flex;flex-wrap:wrap;gap:2px;border-radius:8px;overflow:hidden;margin:6px 0 26px}
.outcomes span{background:var(--tone);color:#fff;padding:5px 10px;min-width:max-content;font-weight:600}
h2{font-size:17px;margin:28px 0 10px}.legend{display:flex;flex-wrap:wrap;gap:14px;color:var(--soft);margin:0 0 10px}
.legend i{display:inline-block;width:12px;height:12px;border-radius:3px;margin-right:5px;vertical-align:-1px}
.wave{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:10px 16px;margin:0 0 12px}
summary{cursor:pointer;color:var(--soft)}summary b{color:var(--ink);font-size:15px;margin-right:6px}
ol,.wave li{list-style:none;margin:0;padding:0}
.wave li{display:grid;grid-template-columns:minmax(150px,25%) minmax(110px,17%) 1fr 118px;gap:10px;align-items:center;padding:3px 0;border-top:1px solid var(--line)}
.id,.versions{overflow:hidden;text-overflow:ellipsis;white-space:nowrap}.id{font-family:ui-monospace,monospace;font-size:12px}
.versions{color:var(--soft);font-size:12px}.track{position:relative;display:block;height:14px}
.track i{position:absolute;top:0;height:14px;border-radius:2px}
${LEGEND.map(([name]) => `i.${name}{background:var(--${name})}`).join('')}i.end{display:none}
.end{color:var(--tone);font-weight:600;font-size:12px}
.axis{display:grid;grid-template-columns:minmax(150px,25%) minmax(110px,17%) 1fr 118px;gap:10px;color:var(--soft);font-size:11px;margin:8px 0 2px}
.axis .track{grid-column:3}.axis.dated .track{height:32px}.axis .track span{position:absolute;white-space:nowrap;transform:translateX(-50%);font-variant-numeric:tabular-nums}
.axis .track span:first-child{transform:none}.axis .track span:last-child{transform:translateX(-100%)}
.failure{background:var(--card);border:1px solid var(--line);border-left:5px solid var(--bad);border-radius:8px;padding:8px 16px;margin:0 0 10px}
.failure h3{margin:0;font:600 14px ui-monospace,monospace}.failure .end{margin-left:12px}.failure p{margin:6px 0}
.failure ul{margin:0;padding-left:18px;color:var(--soft)}
.told{background:var(--card);border:1px solid var(--line);border-radius:10px;margin:0;padding:8px 16px 8px 34px;overflow-wrap:anywhere}
.told li{padding:3px 0}.ids{color:var(--soft);font:12px ui-monospace,monospace}
.acts{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:4px 16px}
.acts li{display:grid;grid-template-columns:175px 110px 100px minmax(140px,28%) 1fr;gap:12px;padding:6px 0;border-top:1px solid var(--line);align-items:baseline}
.acts li:first-child{border-top:0}.acts time{color:var(--soft);white-space:nowrap;font-variant-numeric:tabular-nums}.acts q{color:var(--soft)}
.act{--tone:var(--open);justify-self:start;padding:0 9px;border-radius:99px;background:var(--tone);color:#fff;font-size:12px;font-weight:600}
.act.good{--tone:var(--good)}.act.bad{--tone:var(--bad)}.act.mixed{--tone:var(--mixed)}
.scroll{overflow-x:auto}table{border-collapse:collapse;width:100%;background:var(--card);font-size:12px}
th,td{border:1px solid var(--line);padding:4px 8px;text-align:left;white-space:nowrap}th{color:var(--soft)}
footer{margin-top:30px;color:var(--soft)}
@media(max-width:700px){.acts li{grid-template-columns:1fr auto}.wave li,.axis{grid-template-columns:1fr 90px}.versions,.axis{display:none}.wave .track{grid-column:1/-1;grid-row:2}}
`;
