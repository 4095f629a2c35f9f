/** Whether a rollout's windows let its upgrades start. They are read from the rollout's own input, where they stand once. */
import { Context } from '@temporalio/activity';
import type { Client } from '@temporalio/client';
import { LRUCache } from 'lru-cache';
import { Gates } from '../calendar/gate.js';
import { inputOf } from '../temporal/reads.js';
import { rolloutWorkflowId } from '../workflows/contracts/ids.js';
import type { RolloutInput } from '../workflows/contracts/rollout.js';
import type { OpeningSteps } from '../workflows/contracts/notices.js';
import type { GateSteps, StepInput } from '../workflows/contracts/steps.js';
import type { Clock } from './clock.js';

/** How long the server may take to answer. */
const WITHIN_MS = 5_000;
/** So many rollouts' calendars are kept: they never change. */
const KEPT = 50;

/** So many openings are told ahead. */
const NEXT = 3;

export type GatesOf = (input: Pick<StepInput, 'rollout' | 'rolloutRun'>) => Promise<Gates>;

/** @throws the server's error, and a RangeError for a rollout without windows: who cannot ask may not send */
export function gatesReader(clientOf: () => Client = () => Context.current().client): GatesOf {
  const kept = new LRUCache<string, Gates>({ max: KEPT });
  return async ({ rollout, rolloutRun }) => {
    const known = kept.get(rolloutRun);
    if (known !== undefined) return known;
    const client = clientOf();
    const { windows } = await client.withDeadline(Date.now() + WITHIN_MS, () =>
      inputOf<RolloutInput>(client, rolloutWorkflowId(rollout), rolloutRun),
    );
    if (windows === undefined) throw new RangeError(`rollout ${rollout} has no windows`);
    const gates = new Gates(windows);
    kept.set(rolloutRun, gates);
    return gates;
  };
}

export function gateSteps(clock: Clock, gatesOf: GatesOf): GateSteps & OpeningSteps {
  return {
    readGates: async ({ gates, hasStarted, ...rollout }) => {
      const all = await gatesOf(rollout);
      const now = clock.now();
      return Object.fromEntries(
        gates.map((gate) => [gate, { ...all.state(gate, now, hasStarted), next: all.next(gate, now, NEXT) }]),
      );
    },
    nextOpening: async ({ at, ...rollout }) => (await gatesOf(rollout)).openingFrom(Date.parse(at)),
  };
}
