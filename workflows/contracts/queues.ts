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
