/** What processes use, by Linux's own books. */
import { readFileSync } from 'node:fs';

/** Of the kernel's clock for CPU times, on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100;
const LOOK_EVERY_MS = 1_000;

/** Seconds of CPU that a process has used so far, all threads; `null` when there is none of this id. */
export function cpuSeconds(pid: number): number | null {
  const text = read(`/proc/${pid}/stat`);
  // The name before it may hold spaces: fields are counted after its bracket.
  const fields = text?.slice(text.lastIndexOf(')') + 2).split(' ');
  return fields === undefined ? null : (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

/** Resident memory in MB. */
export function rssMb(pid: number): number | null {
  const kb = /VmRSS:\s+(\d+) kB/.exec(read(`/proc/${pid}/status`) ?? '')?.[1];
  return kb === undefined ? null : Number(kb) / 1024;
}

function read(file: string): string | null {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return null;
  }
}

export interface Usage {
  /** Seconds of CPU, added up over restarts. */
  readonly workerCpu: number;
  readonly serverCpu: number;
  /** Megabytes of the (first) worker: the middle of all looks, and the most. */
  readonly workerRss: { readonly middle: number; readonly most: number };
}

/** Looks at the worker and the server each second from `start` until `stop`. */
export class Meter {
  private readonly pids: () => { readonly temporal: number | null; readonly workers: readonly number[] };
  /** First and latest CPU seconds, by process. */
  private readonly cpu = new Map<string, { readonly first: number; latest: number }>();
  private readonly rss: number[] = [];
  private timer: NodeJS.Timeout | null = null;

  constructor(pids: Meter['pids']) {
    this.pids = pids;
  }

  start(): this {
    this.look();
    this.timer = setInterval(() => {
      this.look();
    }, LOOK_EVERY_MS);
    return this;
  }

  stop(): Usage {
    if (this.timer !== null) clearInterval(this.timer);
    this.look();
    return {
      workerCpu: this.used('worker'),
      serverCpu: this.used('server'),
      workerRss: { middle: middle(this.rss), most: Math.max(...this.rss) },
    };
  }

  private look(): void {
    const { temporal, workers } = this.pids();
    const processes = [...workers.map((pid) => `worker ${pid}`), ...(temporal === null ? [] : [`server ${temporal}`])];
    for (const process of processes) {
      const seconds = cpuSeconds(Number(process.split(' ')[1]));
      if (seconds === null) continue;
      const known = this.cpu.get(process);
      if (known === undefined) this.cpu.set(process, { first: seconds, latest: seconds });
      else known.latest = seconds;
    }
    const mb = workers[0] === undefined ? null : rssMb(workers[0]);
    if (mb !== null) this.rss.push(mb);
  }

  private used(what: string): number {
    const of = [...this.cpu].filter(([process]) => process.startsWith(what));
    return of.reduce((sum, [, { first, latest }]) => sum + latest - first, 0);
  }
}

/** The median; of none, not a number. */
export function middle(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const below = sorted[Math.ceil(sorted.length / 2) - 1] ?? Number.NaN;
  return (below + (sorted[Math.floor(sorted.length / 2)] ?? Number.NaN)) / 2;
}

export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(Math.floor(sorted.length * share), sorted.length - 1)] ?? Number.NaN;
}
