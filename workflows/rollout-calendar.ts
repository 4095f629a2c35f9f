/** The calendar on a rollout's page while it waits for people: then no shard asks for it. */
import { CancellationScope, patched, sleep } from '@temporalio/workflow';
import { hasBegun } from './contracts/outcome.js';
import type { RolloutState } from './rollout-state.js';
import { readGates } from './steps.js';

/** Of all that is waited for in a rollout: five weeks of daily windows, at eleven events for each edge. */
const MOST_LOOKS = 80;
/** Not sooner is asked again, whatever the clocks of server and workers say. */
const SHORTEST_WAIT_MS = 1_000;

/**
 * Asks at each edge, until the answer is called. After so many edges no calendar is shown: better none than an old one.
 *
 * @param changed there is something to be shown
 */
export function watchCalendar(state: RolloutState, changed: () => void): () => void {
  const { rollout, windows } = state.input;
  if (windows === undefined || !patched('calendar-while-waiting')) return () => undefined;
  const asked = { rollout, rolloutRun: state.runId, gates: [...windows.gates.keys()] };
  const scope = new CancellationScope();
  const watch = async () => {
    for (;;) {
      // Rollouts of older releases looked more often.
      if (state.calendarLooks >= MOST_LOOKS && patched('fewer-looks')) {
        state.gates.clear();
        changed();
        return;
      }
      state.calendarLooks += 1;
      const told = await readGates({ ...asked, hasStarted: hasBegun(state.counts) });
      for (const [gate, one] of Object.entries(told)) state.gates.set(Number(gate), one);
      changed();
      const edges = Object.values(told).flatMap(({ until }) => (until === null ? [] : [Date.parse(until)]));
      if (edges.length === 0) return;
      await sleep(Math.max(Math.min(...edges) - Date.now(), SHORTEST_WAIT_MS), { summary: 'Until the next edge' });
    }
  };
  // Nothing depends on it.
  void scope.run(watch).catch(() => undefined);
  return () => {
    scope.cancel();
  };
}
