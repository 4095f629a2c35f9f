/** The rollout's windows as a shard knows them: asked at each edge, once for all that waits there. */
import { condition, patched } from '@temporalio/workflow';
import { type GateState, type Shut, soonest } from './contracts/calendar.js';
import type { ShardCarried } from './contracts/rollout.js';
import type { GatesInput } from './contracts/steps.js';
import type { UpgradeSpec } from './contracts/upgrade.js';
import { readGates } from './steps.js';

/** Not sooner is asked again, whatever the clocks of server and workers say. */
const SHORTEST_WAIT_MS = 1_000;

export interface Watched {
  readonly rollout: Pick<GatesInput, 'rollout' | 'rolloutRun'>;
  /** Those that wait at a gate, or may come back to one. */
  readonly waiting: () => Iterable<Pick<UpgradeSpec, 'gate'>>;
  /** Whether anything of the rollout has started. */
  readonly hasStarted: () => boolean;
  readonly isOver: () => boolean;
  /** Gates are open, and what waits at them has not started yet. */
  readonly beforeOpening: () => Promise<void>;
  /** Gates have been asked. */
  readonly news: () => void;
  /** Whether all of it waits at the same gate, and so do the other shards of its wave (`WavePlan.oneGate`). */
  readonly sharesGate: boolean;
}

export class ShardWindows {
  private readonly watched: Watched;
  /** By gate, as this run or an earlier one was told. */
  private gates: ShardCarried['gates'];
  /** Before this run's first answer nothing that waits at a gate may start. */
  private isAsked = false;
  /** Shards of older releases told of their windows only when all waited. */
  private isTold = false;
  /** Shards of older releases did not care. */
  private readonly sharesGate: boolean;
  private hasEnded = false;
  /** What waits is open from now on, or never again. */
  private isForGood = false;

  constructor(watched: Watched, carried: ShardCarried['gates'] = {}) {
    this.watched = watched;
    this.gates = carried;
    this.sharesGate = watched.sharesGate && patched('quiet-while-shut');
  }

  /**
   * Whether nothing of its wave may start, in no shard of it, until the next opening: what it gave back could be nobody's.
   * It takes that for so until it has asked.
   */
  get isWaveShut(): boolean {
    if (!this.sharesGate || this.hasEnded) return false;
    return !this.isAsked || Object.values(this.gates).every(({ open, until }) => !open && until !== null);
  }

  /** As they were asked last. */
  get known(): ShardCarried['gates'] {
    return this.gates;
  }

  /** Changes when people are to hear of the windows again: a few times an opening. */
  edition(shut: Shut | null): string {
    const edges = Object.entries(this.gates).map(([gate, { open, until }]) => `${gate} ${open} ${until}`);
    return [shut?.until ?? '', ...(this.isTold ? edges : [])].join();
  }

  isOpen({ gate }: Pick<UpgradeSpec, 'gate'>): boolean {
    return gate === undefined || (this.isAsked && this.gates[gate]?.open === true);
  }

  /** What its gate said; `undefined` without one, or before it was asked. */
  stateFor({ gate }: Pick<UpgradeSpec, 'gate'>): GateState | undefined {
    return gate === undefined ? undefined : this.gates[gate];
  }

  /** Why none of these may start now, and until when; `null` while some may, or there are none. */
  whyShut(queue: readonly Pick<UpgradeSpec, 'gate'>[]): string | null {
    const [next] = queue;
    if (next === undefined || queue.some((one) => this.isOpen(one))) return null;
    const gate = this.stateFor(next);
    return gate === undefined || gate.open
      ? 'the windows, asked just now'
      : `${gate.until ?? 'its window'}: ${gate.reason}`;
  }

  /** The next opening for any of these; `null` while a window is open for one, or it is not known. */
  shut(queue: readonly Pick<UpgradeSpec, 'gate'>[]): Shut | null {
    if (queue.some((one) => one.gate === undefined || this.stateFor(one)?.open === true)) return null;
    const known = queue.flatMap((one) => {
      const { until = null, reason = '' } = this.stateFor(one) ?? {};
      return until === null ? [] : [{ until, reason }];
    });
    return soonest(known);
  }

  /** When the windows that are open now close, and may be outlasted from when on, in epoch milliseconds. */
  get closes(): { readonly end: number; readonly risk: number | null }[] {
    const ends = new Map<string, number | null>();
    for (const { open, closes, riskMs } of Object.values(this.gates)) {
      if (!open || closes === null) continue;
      const known = ends.get(closes) ?? null;
      const risk = riskMs === undefined ? null : Date.parse(closes) - riskMs;
      ends.set(closes, known === null || risk === null ? (known ?? risk) : Math.min(known, risk));
    }
    return [...ends].map(([end, risk]) => ({ end: Date.parse(end), risk }));
  }

  /** An upgrade has found its gate shut since it was asked. */
  isShut({ gate }: Pick<UpgradeSpec, 'gate'>, reason: string): void {
    const known = this.stateFor({ gate });
    // What was asked since is newer. Shards of older releases forgot it where several gates are waited at.
    if (known?.open === false && (this.sharesGate || patched('asked-is-newer'))) return;
    if (gate !== undefined && known !== undefined) {
      // When it opens again is known as soon as it is asked, at its edge.
      this.gates = { ...this.gates, [gate]: { ...known, open: false, until: null, reason } };
    }
  }

  /** Asks for as long as something waits: a constant number of events for an opening. */
  watch(): void {
    if (this.awaited().length === 0) {
      this.hasEnded = true;
      return;
    }
    this.isTold = patched('windows-told');
    this.begin();
  }

  /** For those that come back to their gates after nothing waited at any, which ends the asking. */
  watchAgain(): void {
    const { isOver } = this.watched;
    if (!this.hasEnded || this.isForGood || isOver() || this.awaited().length === 0) return;
    if (patched('asked-again')) this.begin();
  }

  private begin(): void {
    this.hasEnded = false;
    // It ends with the shard's own scope; what cannot be asked stays shut, and the server tries again.
    void this.askAtEachEdge()
      .catch(() => undefined)
      .finally(() => {
        this.hasEnded = true;
      });
  }

  private async askAtEachEdge(): Promise<void> {
    const { rollout, hasStarted, isOver, beforeOpening, news } = this.watched;
    for (let waiting = this.awaited(); waiting.length > 0; waiting = this.awaited()) {
      const asked = await readGates({ ...rollout, gates: waiting, hasStarted: hasStarted() });
      if (Object.values(asked).some(({ open }) => open)) await beforeOpening();
      this.gates = { ...this.gates, ...asked };
      this.isAsked = true;
      news();
      const edges = Object.values(asked).flatMap(({ until }) => (until === null ? [] : [Date.parse(until)]));
      // Without an edge all that waits is open for good, or never opens: nothing is left to be asked.
      this.isForGood = edges.length === 0;
      if (this.isForGood) return;
      const untilEdge = Math.max(Math.min(...edges) - Date.now(), SHORTEST_WAIT_MS);
      await condition(() => this.awaited().length === 0 || isOver(), untilEdge);
      if (isOver()) return;
    }
  }

  /** The gates that something waits at, or may wait at again. */
  private awaited(): number[] {
    const waiting = [...this.watched.waiting()].flatMap(({ gate }) => gate ?? []);
    return [...new Set(waiting)].filter((gate) => this.gates[gate]?.over !== true);
  }
}
