/** A rollout as the UI shows it and the status query tells it. */
import { countOf } from './contracts/outcome.js';
import { sizeOf, type RolloutStatus, type WaveStatus } from './contracts/rollout.js';
import { FAILED_OUTCOMES, GOOD_OUTCOMES } from './contracts/upgrade.js';
import { markdown } from './details.js';
import type { RolloutState } from './rollout-state.js';

export function statusOf(state: RolloutState): RolloutStatus {
  return {
    rollout: state.input.rollout,
    planDigest: state.input.planDigest,
    ...state.standing(),
    budget: state.input.budget,
    failures: state.failures,
    approval: state.gate === undefined ? null : state.approvals.state(state.gate, state.gateSince),
    acts: state.acts,
    ...(state.undelivered === null ? {} : { undelivered: state.undelivered }),
    waves: wavesOf(state),
  };
}

export function wavesOf(state: RolloutState): readonly WaveStatus[] {
  return state.waves.map(({ plan, workflowId, state: waveState, counts, concurrency, soak }) => ({
    name: plan.name,
    concurrency,
    workflowId,
    state: waveState,
    total: sizeOf(plan),
    counts,
    ...(soak === null ? {} : { soak: soak.told }),
  }));
}

/** Markdown for the UI's current details. */
export function detailsOf(rollout: RolloutState): string {
  const { state, reason } = rollout.standing();
  const pending = rollout.waves.find((wave) => wave.state === 'Pending');
  const { budget } = rollout.input;
  return markdown({
    state: `**${state}**: ${reason}`,
    next:
      rollout.result !== null
        ? 'nothing: this is the end'
        : pending === undefined
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
      {
        head: ['soak of', 'state', 'healthy'],
        rows: rollout.waves.flatMap(({ plan, soak }) =>
          soak === null ? [] : [[plan.name, soak.told.state, soak.label]],
        ),
      },
      {
        head: ['at', 'act', 'on', 'by', 'reason'],
        rows: rollout.acts.slice(-10).map(({ at, act, what, actor, reason: why }) => [at, act, what, actor, why]),
      },
    ],
  });
}
