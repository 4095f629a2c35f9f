/**
 * One run of one wave: which upgrade starts when, by the rules that shards keep (`workflows/limits.ts`), and how long
 * each takes. What waits for the same things stands in one line, and only the heads of lines are looked at, so that
 * 10,000 upgrades cost no more than their starts and ends.
 */
import type { Limits } from '../workflows/contracts/rollout.js';
import { RISK, SLOTS } from '../workflows/limits.js';
import { Heap } from './heap.js';
import type { Openings } from './openings.js';

/** One upgrade that has not ended. */
export interface Task {
  /** Limits that it draws on while it is in flight. */
  readonly draws: readonly string[];
  /** Names that it waits for, and those that it provides. */
  readonly after: readonly string[];
  readonly provides: readonly string[];
  /** `null`: it may start at any time. */
  readonly openings: Openings | null;
  /** Epoch milliseconds: a freeze lasts until then; 0 for none. */
  readonly notBefore: number;
  /** Epoch milliseconds, of one that is in flight. */
  readonly startedAt: number | null;
}

interface Line {
  /** Positions in `limits`. */
  readonly draws: readonly number[];
  /** Positions in `names`. */
  readonly after: readonly number[];
  readonly openings: Openings | null;
  readonly notBefore: number;
  /** Positions in `tasks`, in order. */
  readonly members: number[];
}

export interface WaveRun {
  readonly startsAt: number;
  /** By then the rollout's first upgrade has to start, or none does. */
  readonly startBy: number;
  /** Milliseconds that a task takes from its start, or of one in flight from `startsAt`. */
  readonly takes: (task: number) => number;
  /** Are given each start and end, epoch milliseconds. */
  readonly starts: Float64Array;
  readonly ends: Float64Array;
  /** Where in both the wave's tasks begin. */
  readonly offset: number;
}

/** A wave, laid out once for all runs. */
export class WaveModel {
  private readonly tasks: readonly Task[];
  private readonly limits: readonly number[];
  private readonly drawsOf: readonly (readonly number[])[];
  private readonly lines: Line[] = [];
  private readonly names: Map<string, number>;
  private readonly providers: readonly number[];
  private readonly provides: readonly (readonly number[])[];

  constructor(tasks: readonly Task[], limits: Limits) {
    this.tasks = tasks;
    // Slots and risk come first: without them nothing starts, whatever else has room.
    const bounded = [SLOTS, RISK, ...Object.keys(limits).filter((name) => name !== SLOTS && name !== RISK)];
    const position = new Map(bounded.map((name, at) => [name, at]));
    this.limits = bounded.map((name) => limits[name] ?? Infinity);
    this.drawsOf = tasks.map(({ draws }) => draws.flatMap((name) => position.get(name) ?? []));
    this.names = new Map([...new Set(tasks.flatMap(({ provides }) => provides))].map((name, at) => [name, at]));
    const at = (names: readonly string[]) => names.flatMap((name) => this.names.get(name) ?? []);
    this.provides = tasks.map(({ provides }) => at(provides));
    const providers = Array.from(this.names, () => 0);
    for (const list of this.provides) for (const name of list) providers[name] = (providers[name] ?? 0) + 1;
    this.providers = providers;

    const known = new Map<string, Line>();
    const gates = new Map([...new Set(tasks.map(({ openings }) => openings))].map((one, index) => [one, index]));
    tasks.forEach(({ after, openings, notBefore, startedAt }, index) => {
      if (startedAt !== null) return;
      const draws = this.drawsOf[index] ?? [];
      const key = `${draws.join()} ${at(after).join()} ${gates.get(openings)} ${notBefore}`;
      const line = known.get(key) ?? { draws, after: at(after), openings, notBefore, members: [] };
      if (!known.has(key)) this.lines.push(line);
      known.set(key, line);
      line.members.push(index);
    });
  }

  get size(): number {
    return this.tasks.length;
  }

  /** Plays it once. A task that is never started keeps `Infinity`. Returns when the last one ended. */
  play(run: WaveRun): number {
    const left = [...this.limits];
    const missing = [...this.providers];
    const heads = this.lines.map(() => 0);
    const ready = new Heap();
    const ending = new Heap();
    const opening = new Heap();
    const parked = new Map<number, Heap>();
    const waiting = missing.map((): number[] => []);
    let now = run.startsAt;
    let hasStarted = run.startBy === Infinity;
    let last = run.startsAt;

    const headOf = (line: number): number => this.lines[line]?.members[heads[line] ?? 0] ?? Infinity;
    const queue = (line: number): void => {
      if (headOf(line) !== Infinity) ready.push(headOf(line), line);
    };
    /** Room that a line leaves goes to the next one that waits for it. */
    const passOn = (limits: readonly number[]): void => {
      for (const limit of limits) {
        const line = (left[limit] ?? 0) > 0 ? parked.get(limit) : undefined;
        if (line !== undefined && line.size > 0) queue(line.pop());
      }
    };
    const park = (index: number, limit: number): void => {
      const lines = parked.get(limit) ?? new Heap();
      lines.push(headOf(index), index);
      parked.set(limit, lines);
    };
    const take = (task: number, until: number): void => {
      for (const limit of this.drawsOf[task] ?? []) left[limit] = (left[limit] ?? 0) - 1;
      ending.push(until, task);
      hasStarted = true;
    };
    const end = (task: number): void => {
      run.ends[run.offset + task] = now;
      last = now;
      for (const limit of this.drawsOf[task] ?? []) left[limit] = (left[limit] ?? 0) + 1;
      for (const name of this.provides[task] ?? []) {
        missing[name] = (missing[name] ?? 0) - 1;
        if (missing[name] === 0) waiting[name]?.splice(0).forEach(queue);
      }
      passOn(this.drawsOf[task] ?? []);
    };
    /** Starts the head of a line, or leaves the line where it has to wait. */
    const tryLine = (index: number): void => {
      const line = this.lines[index];
      if (line === undefined) return;
      const lacking = line.after.find((name) => (missing[name] ?? 0) > 0);
      const earliest = Math.max(now, line.notBefore);
      const from = line.openings === null ? earliest : line.openings.next(earliest);
      const full = line.draws.find((limit) => (left[limit] ?? 0) <= 0);
      if (lacking !== undefined) waiting[lacking]?.push(index);
      else if (from > now) {
        if (from < (hasStarted ? Infinity : run.startBy)) opening.push(from, index);
      } else if (!hasStarted && now >= run.startBy) return;
      else if (full !== undefined) park(index, full);
      else {
        const task = headOf(index);
        heads[index] = (heads[index] ?? 0) + 1;
        run.starts[run.offset + task] = now;
        take(task, now + run.takes(task));
        queue(index);
        if (headOf(index) !== Infinity) return;
      }
      passOn(line.draws);
    };

    this.tasks.forEach(({ startedAt }, task) => {
      if (startedAt === null) return;
      run.starts[run.offset + task] = startedAt;
      take(task, now + run.takes(task));
    });
    this.lines.forEach((_line, index) => {
      queue(index);
    });
    for (;;) {
      while (ready.size > 0 && (left[0] ?? 0) > 0 && (left[1] ?? 0) > 0) tryLine(ready.pop());
      now = Math.min(ending.lowest, opening.lowest);
      if (now === Infinity) return last;
      while (opening.lowest <= now) queue(opening.pop());
      while (ending.lowest <= now) end(ending.pop());
    }
  }
}
