/** The report of a rollout as one HTML page that needs nothing else: outcome, timeline, failures, every mutating call. */
import { upgradeWorkflowId } from '../../workflows/contracts/ids.js';
import type { Act } from '../../workflows/contracts/control.js';
import type { Outcome, UpgradeResult } from '../../workflows/contracts/upgrade.js';
import {
  endedIn,
  goodIn,
  hasEnded,
  isFailed,
  type ResourceCall,
  type ResourceRow,
  type RolloutReport,
  type RolloutView,
} from '../views.js';
import {
  ACTS_UNKNOWN,
  budgetUsed,
  DRIFTS_NOTE,
  driftsOf,
  goneLabel,
  earlierActsLabel,
  firstOf,
  frequent,
  type Group,
  leftOut,
  resourcesIn,
} from './report.js';
import { CALLS_HEAD, NO_REQUEST_ID, reportedCalls } from './calls.js';
import { outcomeClass, text } from './html.js';
import { frozen, timeline, TIMELINE_STYLE } from './report-timeline.js';
import { count, duration, fromTo, moment } from './text.js';

/** Acts that begin or end something stand out. */
const ACT_TONE: Readonly<Partial<Record<Act['act'], string>>> = {
  approve: 'good',
  resume: 'good',
  reject: 'bad',
  stop: 'bad',
  pause: 'mixed',
  skip: 'mixed',
};

/** In the bar of outcomes, from left to right. */
const TONES = ['good', 'mixed', 'bad', 'open'];

/** @param now milliseconds since the epoch, for what still runs */
export function renderHtmlReport(report: RolloutReport, now: number): string {
  const { view, rows, results, calls, freezes } = report;
  const byUpgrade = new Map(results.map((result) => [upgradeWorkflowId(result.resource), result]));
  const resultOf = (row: ResourceRow) => byUpgrade.get(row.workflowId) ?? null;
  const startedAt = Date.parse(view.startedAt);
  const endedAt = view.endedAt === null ? now : Date.parse(view.endedAt);
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
  ];
  const sections = [
    section('failures', 'Failures', failed.length, failed.map((row) => failure(row, resultOf(row))).join('')),
    groupSection('left-out', 'Left out', leftOut(rows, resultOf)),
    groupSection('drifts', 'Not as planned', driftsOf(results), `<p>${DRIFTS_NOTE}:</p>`),
    section('freezes', 'Freezes', freezes.length, told(freezes.map((freeze) => text(frozen(freeze))))),
    acts(view),
    callSection(calls),
  ].filter(({ isEmpty }) => !isEmpty);
  return page(`Rollout ${view.rollout}: ${view.state}`, [
    `<header class="${toneOf(view.state)}">`,
    `<p class="kind">Rollout</p><h1>${text(view.rollout)}</h1>`,
    `<p class="state">${text(view.state)}</p><p class="why">${text(view.reason)}</p>`,
    ...(hasEnded(view) ? [] : ['<p class="note">It has not ended: this report is of now.</p>']),
    ...(view.workerAnswers ? [] : ['<p class="note">No worker answered: this is what the server alone knows.</p>']),
    ...(goneLabel(rows) === null ? [] : [`<p class="note">${text(goneLabel(rows) ?? '')}</p>`]),
    `</header>`,
    `<dl class="facts">${facts.map(([name, value]) => `<div><dt>${name}</dt><dd>${text(value)}</dd></div>`).join('')}</dl>`,
    outcomes(view.counts, view.total),
    `<nav>${sections.map(({ id, title }) => `<a href="#${id}">${title}</a>`).join('')}</nav>`,
    timeline(report, resultOf, now),
    ...sections.map(({ id, title, html }) => `<h2 id="${id}">${title}</h2>${html}`),
    `<footer>Temporal run ${text(view.runId)}. All times UTC.</footer>`,
  ]);
}

/** A part of the page below the timeline, which may be long: the top of the page leads to it. */
interface Section {
  readonly id: string;
  readonly title: string;
  readonly html: string;
  readonly isEmpty: boolean;
}

function section(id: string, title: string, many: number, html: string): Section {
  return { id, title: `${title} (${many})`, html, isEmpty: many === 0 };
}

/** @param items HTML */
function told(items: readonly string[]): string {
  return `<ul class="told">${items.map((item) => `<li>${item}</li>`).join('\n')}</ul>`;
}

/** The outcomes as one bar, each as wide as its share, and their numbers below it: the narrow ones have no room for them. */
function outcomes(counts: RolloutReport['view']['counts'], total: number): string {
  const ended = (Object.entries(counts) as [Outcome, number][]).map(([outcome, n]) => ({
    tone: outcomeClass(outcome),
    label: text(`${n} ${outcome}`),
    n,
  }));
  const open = total - endedIn(counts);
  const parts = [...ended, { tone: 'open', label: `${open} open`, n: open }]
    .filter(({ n }) => n > 0)
    .toSorted((a, b) => TONES.indexOf(a.tone) - TONES.indexOf(b.tone));
  const bars = parts.map(({ tone, label, n }) => `<span class="${tone}" style="flex:${n}" title="${label}"></span>`);
  const labels = parts.map(({ tone, label }) => `<span class="${tone}">${label}</span>`);
  return `<div class="outcomes">${bars.join('')}</div><p class="counts">${labels.join('')}</p>`;
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

function groupSection(id: string, title: string, groups: readonly Group[], note = ''): Section {
  const { shown, more } = frequent(groups);
  const items = shown.map(({ outcome, reason, ids }) => {
    const first = firstOf(ids);
    return `<b>${outcome === null ? count(ids.length, 'resource') : `${ids.length} ${outcome}`}</b>: ${text(reason)}<br><span class="ids">${text(first.shown.join(', '))}${first.more}</span>`;
  });
  return section(id, title, resourcesIn(groups), `${note}${told(items)}${more === '' ? '' : `<p>${more}</p>`}`);
}

/** What people did to the rollout: each with who, when and why. */
function acts({ acts: done, actsLeftOut = 0, workerAnswers }: RolloutView): Section {
  const items = done.map(({ at, saidAt, act, what, actor, reason }) => {
    const heard = saidAt === undefined ? '' : `<small>heard at ${moment(at)}</small>`;
    return `<li><time>${moment(saidAt ?? at)}${heard}</time><b>${text(actor)}</b><span class="act ${ACT_TONE[act] ?? ''}">${act}</span><span>${text(what)}</span><q>${text(reason)}</q></li>`;
  });
  const rest = actsLeftOut === 0 ? '' : `<p>${text(earlierActsLabel(actsLeftOut))}</p>`;
  const isUnknown = done.length === 0 && !workerAnswers;
  const told = isUnknown ? `<p>${text(ACTS_UNKNOWN)}</p>` : `<ol class="acts">${items.join('\n')}</ol>${rest}`;
  const all = section('acts', 'What people did', done.length + actsLeftOut, told);
  return isUnknown ? { ...all, isEmpty: false } : all;
}

function callSection(calls: readonly ResourceCall[]): Section {
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
  return { ...section('calls', 'Mutating calls', rows.length, table), isEmpty: false };
}

function toneOf(state: string): string {
  if (state === 'Succeeded') return 'good';
  if (state === 'Failed' || state === 'Terminated') return 'bad';
  return state === 'Running' ? 'open' : 'mixed';
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
--good:#1f9d61;--bad:#d23f3f;--mixed:#a87008;--open:#7b8496}
@media(prefers-color-scheme:dark){:root{--bg:#12151b;--card:#1b2029;--ink:#e8ebf1;--soft:#9aa4b6;--line:#2c3442;--mixed:#c98a12;--bad:#e05252}}
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
.outcomes{display:flex;gap:2px;border-radius:8px;overflow:hidden;margin:6px 0}
.outcomes span{background:var(--tone);height:16px;min-width:2px}
.counts,nav{display:flex;flex-wrap:wrap;gap:4px 18px;margin:6px 0 0}.counts span{color:var(--tone);font-weight:600}
nav a{color:var(--soft)}
h2{font-size:17px;margin:28px 0 10px}
.failure{background:var(--card);border:1px solid var(--line);border-left:5px solid var(--bad);border-radius:8px;padding:8px 16px;margin:0 0 10px}
.failure h3{margin:0;font:600 14px ui-monospace,monospace}.failure .end{margin-left:12px}.failure p{margin:6px 0}
.failure ul{margin:0;padding-left:18px;color:var(--soft)}
.told{background:var(--card);border:1px solid var(--line);border-radius:10px;margin:0;padding:8px 16px 8px 34px;overflow-wrap:anywhere}
.told li{padding:3px 0}.ids{color:var(--soft);font:12px ui-monospace,monospace}
.acts{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:4px 16px}
.acts li{display:grid;grid-template-columns:190px 110px 100px minmax(140px,28%) 1fr;gap:12px;padding:6px 0;border-top:1px solid var(--line);align-items:baseline}
.acts li:first-child{border-top:0}.acts time{color:var(--soft);white-space:nowrap;font-variant-numeric:tabular-nums}.acts time small{display:block;font-size:.8em}.acts q{color:var(--soft)}
.act{--tone:var(--open);justify-self:start;padding:0 9px;border-radius:99px;background:var(--tone);color:#fff;font-size:12px;font-weight:600}
.act.good{--tone:var(--good)}.act.bad{--tone:var(--bad)}.act.mixed{--tone:var(--mixed)}
.scroll{overflow-x:auto}table{border-collapse:collapse;width:100%;background:var(--card);font-size:12px}
th,td{border:1px solid var(--line);padding:4px 8px;text-align:left;white-space:nowrap}
td:nth-child(3){white-space:normal;overflow-wrap:anywhere;min-width:24em}th{color:var(--soft)}
footer{margin-top:30px;color:var(--soft)}
@media(max-width:700px){.acts li{grid-template-columns:1fr auto;gap:4px 12px}.acts q{grid-column:1/-1}}
@media print{*{print-color-adjust:exact}main{padding:0}nav{display:none}.failure,.acts li,.facts,header{break-inside:avoid}h2{break-after:avoid}.scroll{overflow:visible}th,td{white-space:normal}td:nth-child(3){min-width:0}td:last-child{overflow-wrap:anywhere}}
${TIMELINE_STYLE}`;
