/** Upgrades that were taken down from outside a moment ago: what they sent may still be on its way. */
import type { Client } from '@temporalio/client';
import { iso, type Clock } from './clock.js';
import { CoalescedRead } from './coalesced-read.js';

export interface Terminations {
  /**
   * Whether a run of this workflow was terminated, or timed out, within the last `withinMs`.
   *
   * @throws whatever the server says when it cannot be asked
   */
  recently(workflowId: string, withinMs: number): Promise<boolean>;
}

/** Longer than any settling time. */
const REACH_MS = 15 * 60_000;
/** Between two questions: a server takes ten queries of visibility a second by default, from all workers together. */
const SPACING_MS = 1_000;
/** One query each: for both at once, SQLite goes through every closed run of the namespace. */
const TAKEN_DOWN = ['Terminated', 'TimedOut'] as const;

/** As visibility has them: a wave of prechecks costs a few questions. */
export class VisibleTerminations implements Terminations {
  private readonly client: Client;
  private readonly clock: Clock;
  private readonly endedAt: CoalescedRead<ReadonlyMap<string, number>>;

  constructor(client: Client, clock: Clock) {
    this.client = client;
    this.clock = clock;
    this.endedAt = new CoalescedRead(clock, SPACING_MS, () => this.ask());
  }

  async recently(workflowId: string, withinMs: number): Promise<boolean> {
    const endedAt = (await this.endedAt.answer()).get(workflowId);
    return endedAt !== undefined && endedAt > this.clock.now() - withinMs;
  }

  private async ask(): Promise<ReadonlyMap<string, number>> {
    const since = iso(this.clock.now() - REACH_MS);
    const ended = new Map<string, number>();
    const look = async (status: (typeof TAKEN_DOWN)[number]) => {
      const query = `WorkflowType = 'upgrade' AND ExecutionStatus = '${status}' AND CloseTime > '${since}'`;
      for await (const { workflowId, closeTime } of this.client.workflow.list({ query })) {
        ended.set(workflowId, Math.max(ended.get(workflowId) ?? 0, closeTime?.getTime() ?? 0));
      }
    };
    await Promise.all(TAKEN_DOWN.map(look));
    return ended;
  }
}
