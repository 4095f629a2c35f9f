/** How long the bench may take, and which fleet still fits into it. */
import { availableParallelism } from 'node:os';

/** Until something was measured: milliseconds of CPU of all processes per upgrade. */
const SUPPOSED_CPU_MS = 250;
/** What a large fleet has of the cores, its first and last operations included. */
const SHARE_OF_CORES = 0.8;
/** Starting and taking down what a row needs, and reading what it left. */
const AROUND_MS = 45_000;
/** Fewer say nothing about many. */
const LEAST_UPGRADES = 500;

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

  /** At most `upgrades`, cut to what this share of the time left allows. */
  fitting(upgrades: number, share: number): number {
    const leftMs = (this.endsAt - Date.now()) * share - AROUND_MS;
    const perUpgradeMs = (this.cpuMs ?? SUPPOSED_CPU_MS) / (availableParallelism() * SHARE_OF_CORES);
    const fit = Math.floor(leftMs / perUpgradeMs / 100) * 100;
    return Math.min(upgrades, Math.max(fit, LEAST_UPGRADES));
  }
}

/** For the head of a table. */
export function cutLine(upgrades: number, wanted: number): string[] {
  if (upgrades >= wanted) return [];
  return [`  cut to ${upgrades} of ${wanted}, so that the bench ends in time (--minutes 0 runs all of them)`];
}
