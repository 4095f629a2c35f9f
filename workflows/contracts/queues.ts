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
