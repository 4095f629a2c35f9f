/** The business state that the Temporal UI can filter by. SQL visibility has room for ten keywords; these are nine. */
import { defineSearchAttributeKey } from '@temporalio/common';

/** The server's own: the instant that a schedule's run was due. */
export const SCHEDULED_FOR = defineSearchAttributeKey('TemporalScheduledStartTime', 'DATETIME');

export const ATTRIBUTES = {
  rollout: defineSearchAttributeKey('UpliftRollout', 'KEYWORD'),
  cloud: defineSearchAttributeKey('UpliftCloud', 'KEYWORD'),
  service: defineSearchAttributeKey('UpliftService', 'KEYWORD'),
  region: defineSearchAttributeKey('UpliftRegion', 'KEYWORD'),
  account: defineSearchAttributeKey('UpliftAccount', 'KEYWORD'),
  resource: defineSearchAttributeKey('UpliftResource', 'KEYWORD'),
  target: defineSearchAttributeKey('UpliftTarget', 'KEYWORD'),
  phase: defineSearchAttributeKey('UpliftPhase', 'KEYWORD'),
  outcome: defineSearchAttributeKey('UpliftOutcome', 'KEYWORD'),
} as const;
