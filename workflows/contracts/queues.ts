/**
 * Task queues. Submits, short reads and long waits have slots of their own, so that a thousand waiting upgrades never
 * keep one from being submitted.
 */
export const QUEUES = {
  /** Workflows and short reads. */
  main: 'uplift',
  submit: 'uplift-submit',
  wait: 'uplift-wait',
} as const;

/** The queue where it is an account's own (`uplift-submit@prod`), or else everybody's. */
export function queueOf(kind: keyof typeof QUEUES, own?: string): string {
  return own === undefined ? QUEUES[kind] : `${QUEUES[kind]}@${own}`;
}

/**
 * The queue of accounts that are read together, by one worker: their own where all have the same.
 *
 * @param owns of each account; `undefined` for one that has none
 * @returns `undefined` for everybody's
 */
export function commonQueue(owns: Iterable<string | undefined>): string | undefined {
  const [first, ...others] = new Set(owns);
  return others.length === 0 ? first : undefined;
}
