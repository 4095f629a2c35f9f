/** Freezes as a shard knows them: asked before it starts anything, told by whoever finds one, watched until they end. */
import { CancellationScope, condition, isCancellation, patched } from '@temporalio/workflow';
import { covers, type Freeze, freezeLabel } from './contracts/freezes.js';
import { upgradeWorkflowId } from './contracts/ids.js';
import type { ShardCarried } from './contracts/rollout.js';
import type { UpgradeSpec } from './contracts/upgrade.js';
import { freezesEnded, readFreezes } from './steps.js';

export interface Frozen {
  /** The rollout's id. */
  readonly rollout: string;
  /** Those that have not started. */
  readonly waiting: () => Iterable<UpgradeSpec>;
  /** Freezes were read; `isNews` when it is others that hold something up. */
  readonly news: (isNews: boolean) => void;
}

export class ShardFreezes {
  private readonly frozen: Frozen;
  /** Shards of older releases learn of a freeze only from an upgrade that finds it. */
  private asks = false;
  private holding: readonly Freeze[] = [];
  /** By upgrade: found frozen right before its send, where its tags are known as they are now. */
  private readonly found = new Map<UpgradeSpec, string>();
  private byUpgrade = new Map<UpgradeSpec, Freeze | null>();
  private watches = false;
  private readonly scope = new CancellationScope();

  constructor(frozen: Frozen) {
    this.frozen = frozen;
  }

  /** Before the first upgrade starts. */
  async begin(): Promise<void> {
    this.asks = patched('freezes');
    try {
      await this.ask();
    } catch (error) {
      // Stopped meanwhile: nothing is started anyway.
      if (!isCancellation(error)) throw error;
    }
  }

  /** Before others start: after a wait of weeks for a window, for example. */
  async ask(): Promise<void> {
    if (this.asks) this.hear(await readFreezes());
  }

  /** An upgrade was about to send, and found itself frozen. */
  isFound(spec: UpgradeSpec, freeze: Freeze): void {
    this.found.set(spec, freeze.id);
    this.hear([...this.holding.filter(({ id }) => id !== freeze.id), freeze]);
  }

  /** As an earlier run was told of one that waits. */
  recall(spec: UpgradeSpec, { [upgradeWorkflowId(spec.resource)]: freeze }: ShardCarried['frozen']): void {
    if (freeze !== undefined) this.found.set(spec, freeze);
  }

  /** For the next run. */
  get carried(): ShardCarried['frozen'] {
    const waiting = new Set(this.frozen.waiting());
    const found = [...this.found].filter(([spec]) => waiting.has(spec));
    return Object.fromEntries(found.map(([{ resource }, freeze]) => [upgradeWorkflowId(resource), freeze]));
  }

  /** Why it may not start; `null` when no freeze is known that covers it. */
  freezeFor(spec: UpgradeSpec): Freeze | null {
    const known = this.byUpgrade.get(spec);
    if (known !== undefined) return known;
    const { rollout } = this.frozen;
    const { resource, tags = {} } = spec;
    const id = this.found.get(spec);
    const freeze = this.holding.find((one) => one.id === id || covers(one, { resource, rollout, tags })) ?? null;
    this.byUpgrade.set(spec, freeze);
    return freeze;
  }

  /** How many it keeps from starting, and why the first of them; `null` while nothing is frozen. */
  get held(): { readonly count: number; readonly why: string } | null {
    const held = [...this.frozen.waiting()].flatMap((spec) => this.freezeFor(spec) ?? []);
    const [first] = held;
    return first === undefined ? null : { count: held.length, why: freezeLabel(first) };
  }

  /** Nothing more will be started. */
  end(): void {
    this.scope.cancel();
  }

  private hear(holding: readonly Freeze[]): void {
    const before = this.ids().join();
    this.holding = holding;
    this.byUpgrade = new Map();
    this.frozen.news(this.ids().join() !== before);
    if (!this.watches && this.ids().length > 0) void this.watch();
  }

  /** The freezes that hold something up. */
  private ids(): string[] {
    const ids = [...this.frozen.waiting()].flatMap((spec) => this.freezeFor(spec)?.id ?? []);
    return [...new Set(ids)].toSorted();
  }

  /** One activity until a freeze ends, however long that takes: a constant number of events for each. */
  private async watch(): Promise<void> {
    this.watches = true;
    try {
      await this.scope.run(async () => {
        for (let ids = this.ids(); ids.length > 0; ids = this.ids()) {
          const ended = await this.endOf(ids);
          if (ended !== null) this.hear(ended);
        }
      });
    } catch (error) {
      if (!isCancellation(error)) throw error;
    } finally {
      this.watches = false;
    }
  }

  /** What holds once one of these does not any more; `null` as soon as it is others that hold something up. */
  private async endOf(ids: readonly string[]): Promise<readonly Freeze[] | null> {
    const asking = new CancellationScope();
    const answer = asking.run(() => freezesEnded(ids));
    let isOver = false;
    const over = () => {
      isOver = true;
    };
    answer.then(over, over);
    await condition(() => isOver || this.ids().join() !== ids.join());
    if (isOver) return answer;
    asking.cancel();
    await answer.catch(() => null);
    return null;
  }
}
