/** What people are told of a rollout, and where. Webhooks are named; only activities know their addresses and secrets. */
import type { Timing } from './upgrade.js';

/**
 * `in-24h`, `in-1h`: before an opening. `overrun-risk`: upgrades are in flight shortly before it closes. `failed` and
 * `stuck` are gathered: one notice may be of many.
 */
export const NOTICE_KINDS = [
  'in-24h',
  'in-1h',
  'opened',
  'overrun-risk',
  'closed',
  'approval-wanted',
  'failed',
  'stuck',
  'done',
] as const;

export type NoticeKind = (typeof NOTICE_KINDS)[number];

/** So long before an opening ends, what is in flight may outlast it, where nothing better is known. Milliseconds at scale 1. */
export const OVERRUN_RISK_MS = 10 * 60_000;

/** Which notices go to a webhook: the plan's part. */
export interface NoticeRule {
  /** A name in the accounts file. */
  readonly webhook: string;
  /** All of them when left out. */
  readonly events?: readonly NoticeKind[];
}

/** What happened, as it is sent. Nothing in it is secret. */
export interface Notice {
  /** Stable: whoever gets one twice can drop it. */
  readonly id: string;
  readonly kind: NoticeKind;
  readonly rollout: string;
  /** The schedule that created the rollout; `null` where people started it. */
  readonly schedule: string | null;
  /** ISO 8601, UTC: when it happened. */
  readonly at: string;
  /** One line for a person. */
  readonly text: string;
}

export interface NoticeInput {
  readonly notice: Notice;
  /** Names of webhooks. */
  readonly to: readonly string[];
  readonly timing: Timing;
}

/** The next opening of a rollout's windows, as people are told of it. Instants are ISO 8601, UTC. */
export interface NextOpening {
  readonly opens: string;
  /** `null`: without an end. */
  readonly closes: string | null;
  readonly windows: readonly string[];
  /** The longest `GateRule.riskMs` of what may start in it; left out where its rollout knows none. */
  readonly riskMs?: number;
}

export interface NoticeSteps {
  /** Delivers to one webhook; throws until it has answered with a 2xx. */
  deliverNotice(input: { readonly notice: Notice; readonly webhook: string }): Promise<void>;
}

export interface OpeningSteps {
  /**
   * The opening of any of the rollout's calendars that is open at `at` (ISO 8601) or comes next; `null` when none does.
   */
  nextOpening(input: {
    readonly rollout: string;
    readonly rolloutRun: string;
    readonly at: string;
  }): Promise<NextOpening | null>;
}
