/** The calls that simulated clouds get, and a hold on any of them: how a test stops an upgrade at an exact point. */
import type { CallWatcher, WatchedCall } from '../../simulator/requests.js';

export interface Hold {
  /** Resolves when the call is there, and held. */
  readonly reached: Promise<WatchedCall>;
  /** Lets it go on; a call that comes later is not held any more. */
  release(): void;
}

export class Calls {
  readonly seen: WatchedCall[] = [];
  private readonly holds = new Set<(call: WatchedCall) => Promise<void> | null>();

  /** What a simulator is given as `onCall`. */
  readonly watch: CallWatcher = async (call) => {
    this.seen.push(call);
    for (const hold of this.holds) await hold(call);
  };

  /** Holds the first call from now on that matches, and no other. */
  hold(matches: (call: WatchedCall) => boolean): Hold {
    let reach = (_call: WatchedCall): void => {};
    let release = (): void => {};
    const reached = new Promise<WatchedCall>((resolve) => (reach = resolve));
    const released = new Promise<void>((resolve) => (release = resolve));
    const hold = (call: WatchedCall): Promise<void> | null => {
      if (!matches(call)) return null;
      this.holds.delete(hold);
      reach(call);
      return released;
    };
    this.holds.add(hold);
    return {
      reached,
      release: () => {
        this.holds.delete(hold);
        release();
      },
    };
  }
}
