/** How long the bench may take, and which fleet still fits into it. */
import { availableParallelism } from 'node:os';

/** Until something was measured: milliseconds of CPU of all processes per upgrade. */
const SUPPOSED_CPU_MS = 250;
/** What a large fleet has of the cores, its first and last operations included. */
const SHARE_OF_CORES = 0.8;
/** Starting and taking down what a row needs, its last operations, and reading what it left. */
const AROUND_MS = 100_000;

export class TimeLimit {
  private readonly endsAt: number;
  private cpuMs: number | null = null;

  /** @param minutes from now; 0 for none */
  constructor(minutes: number) {
    this.endsAt = minutes === 0 ? Infinity : Date.now() + minutes * 60_000;
  }

  /** What an upgrade was seen to need of CPU, in milliseconds and all processes: the least counts, without long waits. */
  learn(cpuMs: number): void {
    this.cpuMs = Math.min(cpuMs, this.cpuMs ?? Infinity);
  }

  /**
   * At most `upgrades`, cut to what this share of the time left allows.
   *
   * @param leastMs what each takes of the wall time on the fastest machine, in milliseconds
   */
  fitting(upgrades: number, share: number, leastMs: number): number {
    const leftMs = (this.endsAt - Date.now()) * share - AROUND_MS;
    const byCpu = (this.cpuMs ?? SUPPOSED_CPU_MS) / (availableParallelism() * SHARE_OF_CORES);
    const fit = Math.floor(leftMs / Math.max(byCpu, leastMs) / 100) * 100;
    return Math.max(0, Math.min(upgrades, fit));
  }
}

/** For the head of a table. */
export function cutLine(upgrades: number, wanted: number): string[] {
  if (upgrades >= wanted) return [];
  return [`  ${upgrades} instead of ${wanted}, so that the bench ends in time; in full with --minutes 0`];
}
