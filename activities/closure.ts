/** Whether what waits for anything else could be sent at all: its window may have closed meanwhile, or a freeze begun. */
import { freezeLabel, freezeOf } from '../workflows/contracts/freezes.js';
import type { Closure, StepInput } from '../workflows/contracts/steps.js';
import { holding } from './freeze.js';
import type { StepDeps } from './step.js';

/** An opening this near is waited for in place. */
export const SOON_MS = 60_000;

/**
 * Why an upgrade that cannot go on now had better come back later; `null` while it may stay, and where nobody can tell,
 * since its send asks again.
 */
export async function closureFor(
  { gatesOf, freezesOf, clock }: Pick<StepDeps, 'gatesOf' | 'freezesOf' | 'clock'>,
  { rollout, rolloutRun, spec }: StepInput,
  tags: Readonly<Record<string, string>> = spec.tags ?? {},
): Promise<Closure | null> {
  try {
    if (spec.gate !== undefined && gatesOf !== undefined) {
      const now = clock.now();
      // What waits already is not kept by `startBy`: that is asked right before the send.
      const { open, until, over, reason } = (await gatesOf({ rollout, rolloutRun })).state(spec.gate, now, true);
      const opensIn = until === null ? Infinity : Date.parse(until) - now;
      if (!open && opensIn > SOON_MS) return { reason, over };
    }
    const freezes = freezesOf === undefined ? [] : await holding(clock, freezesOf);
    const freeze = freezeOf(freezes, { resource: spec.resource, rollout, tags });
    return freeze === null ? null : { reason: freezeLabel(freeze), over: false, freeze };
  } catch {
    return null;
  }
}
