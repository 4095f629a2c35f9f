/** The best that any engine could do with the same operations: nothing between them takes any time. */

/**
 * Milliseconds of a list schedule: each task, in order, as soon as one of `slots` is free.
 *
 * @param tasks how long each holds its slot, in milliseconds
 */
export function listSchedule(tasks: readonly number[], slots: number): number {
  const free = Array.from({ length: Math.min(slots, tasks.length) }, () => 0);
  for (const ms of tasks) {
    const next = free.indexOf(Math.min(...free));
    free[next] = (free[next] ?? 0) + ms;
  }
  return Math.max(0, ...free);
}
