/** A rollout as the UI shows it and the status query tells it. */
import type { GateState } from './contracts/calendar.js';
import { whenLabel } from './contracts/control.js';
import { countOf } from './contracts/outcome.js';
import { sizeOf, type RolloutStatus, type WaveStatus } from './contracts/rollout.js';
import { FAILED_OUTCOMES, GOOD_OUTCOMES } from './contracts/upgrade.js';
import { markdown } from './details.js';
import { type RolloutState, shutIn } from './rollout-state.js';

export function statusOf(state: RolloutState): RolloutStatus {
  return {
    rollout: state.input.rollout,
    planDigest: state.input.planDigest,
    ...state.standing(),
    budget: state.input.budget,
    failures: state.failures,
    approval: state.gate === undefined ? null : state.approvals.state(state.gate, state.gateSince),
    acts: state.acts,
    ...(state.actsLeftOut === 0 ? {} : { actsLeftOut: state.actsLeftOut }),
    ...(state.undelivered === null ? {} : { undelivered: state.undelivered }),
    waves: wavesOf(state),
  };
}

export function wavesOf(state: RolloutState): readonly WaveStatus[] {
  return state.waves.map(({ plan, workflowId, state: waveState, counts, failures, concurrency, soak }) => ({
    name: plan.name,
    concurrency,
    workflowId,
    state: waveState,
    total: sizeOf(plan),
    counts,
    failures,
    ...(soak === null ? {} : { soak: soak.told }),
  }));
}

/** Markdown for the UI's current details. */
export function detailsOf(rollout: RolloutState): string {
  const { state, reason } = rollout.standing();
  const running = rollout.runningWave;
  const shut = state === 'Waiting' && running !== null ? shutIn(running) : null;
  const pending = rollout.waves.find((wave) => wave.state === 'Pending');
  const { budget } = rollout.input;
  return markdown({
    state: `**${state}**: ${reason}`,
    next:
      rollout.result !== null
        ? 'nothing: this is the end'
        : shut !== null
          ? `the opening of its window, ${shut.until}`
          : pending === undefined || rollout.isOver
            ? 'the report'
            : `wave ${pending.plan.name}`,
    why: `failure budget ${budget.max} (${budget.mode}), ${rollout.failures} used`,
    more: [
      ...(rollout.lastFailure === null ? [] : [['Latest failure:', rollout.lastFailure] as const]),
      ...(rollout.undelivered === null ? [] : [['Not told:', rollout.undelivered] as const]),
    ],
    tables: [
      {
        head: ['wave', 'state', 'at target', 'failed', 'in flight', 'ended', 'total'],
        rows: rollout.waves.map(({ plan, state: waveState, counts, shards }) => [
          plan.name,
          waveState,
          countOf(counts, GOOD_OUTCOMES),
          countOf(counts, FAILED_OUTCOMES),
          // As of the shards' last words.
          waveState === 'Running' ? [...shards.values()].reduce((sum, { inFlight }) => sum + inFlight, 0) : 0,
          countOf(counts),
          sizeOf(plan),
        ]),
      },
      { head: ['window', 'now', 'then'], rows: calendarRows(rollout) },
      {
        head: ['soak of', 'state', 'healthy'],
        rows: rollout.waves.flatMap(({ plan, soak }) =>
          soak === null ? [] : [[plan.name, soak.told.state, soak.label]],
        ),
      },
      {
        head: ['at', 'act', 'on', 'by', 'reason'],
        rows: rollout.acts
          .slice(-10)
          .map(({ act, what, actor, reason: why, ...times }) => [whenLabel(times), act, what, actor, why]),
      },
    ],
  });
}

/** The calendar: what is open now, why not, and when next, as the shards that wait for it were told. */
function calendarRows({ input: { windows }, gates, result }: RolloutState): (readonly [string, string, string])[] {
  if (windows === undefined || result !== null) return [];
  return [...gates]
    .toSorted(([a], [b]) => a - b)
    .map(([gate, state]) => {
      const { calendar = 0, needsMs = 0 } = windows.gates[gate] ?? {};
      const names = [...new Set(windows.calendars[calendar]?.windows.map(({ name }) => name))];
      const needs = needsMs === 0 ? '' : `, ${Math.ceil(needsMs / 60_000)} min needed`;
      return [`${names.join(', ') || 'any time'}${needs}`, nowOf(state), (state.next ?? []).map(spanOf).join('; ')];
    });
}

function nowOf({ open, until, closes, reason, over }: GateState): string {
  if (open) {
    const starts = until === null || until === closes ? '' : `, starts until ${minute(until)}`;
    return closes === null ? 'open' : `open until ${minute(closes)}${starts}`;
  }
  if (over) return `not any more: ${reason}`;
  return `${until === null ? 'shut' : `shut until ${minute(until)}`}: ${reason}`;
}

function spanOf({ opens, closes }: NonNullable<GateState['next']>[number]): string {
  return closes === null ? `from ${minute(opens)}` : `${minute(opens)} to ${minute(closes)}`;
}

/** `2026-12-05 21:00Z`; where there are seconds, with them. */
function minute(instant: string): string {
  return instant.replace('T', ' ').replace('.000Z', 'Z').replace(':00Z', 'Z');
}
