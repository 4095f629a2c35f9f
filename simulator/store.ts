/** The simulator's whole state, and the file it may lie in. */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Json } from '../workflows/contracts/json.js';
import type { FaultState } from './faults.js';
import type { IamState } from './huawei/iam.js';
import type { SimulatedOperation, SimulatedResource } from './model.js';
import { emptyTruth, type Truth } from './truth.js';

const FORMAT = 1;
/** Counters of reads may lag behind by this much when the process is killed; accepted submits never do. */
const LAZY_MS = 200;

/** The first result of a client token. */
export interface Remembered {
  readonly parameters: string;
  readonly result: Json;
}

export interface State {
  readonly format: typeof FORMAT;
  readonly seed: string;
  /** How often a process started on this state: keeps ids apart that a killed one may have given out unsaved. */
  boots: number;
  /** Advances with every id given out. */
  sequence: number;
  resources: SimulatedResource[];
  operations: SimulatedOperation[];
  /** By `owner/token`. */
  tokens: Record<string, Remembered>;
  /** Left out until somebody asked for a token. */
  iam?: IamState;
  faults: FaultState;
  truth: Truth;
}

export class Store {
  readonly state: State;
  readonly #file: string | null;
  #timer: NodeJS.Timeout | null = null;
  #closed = false;

  /**
   * Comes back with the state in `file` if there is one, and with `resources` otherwise.
   * @throws Error in one line when the file cannot be read or is none of ours
   */
  constructor(seed: string, resources: readonly SimulatedResource[], file: string | undefined) {
    this.#file = file ?? null;
    this.state = (file === undefined ? null : load(file)) ?? {
      format: FORMAT,
      seed,
      boots: 0,
      sequence: 0,
      resources: [...resources],
      operations: [],
      tokens: {},
      faults: { rules: [], armed: 0 },
      truth: emptyTruth(),
    };
    this.state.boots += 1;
    this.save();
  }

  /** Writes soon: for counters. */
  touch(): void {
    if (this.#file === null || this.#timer !== null || this.#closed) return;
    this.#timer = setTimeout(() => this.save(), LAZY_MS);
    this.#timer.unref();
  }

  /** Writes for the last time. */
  close(): void {
    this.save();
    this.#closed = true;
  }

  /** Writes before it returns, whole or not at all. */
  save(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    if (this.#file === null || this.#closed) return;
    mkdirSync(dirname(this.#file), { recursive: true });
    const temporary = `${this.#file}.${process.pid}.tmp`;
    writeFileSync(temporary, JSON.stringify(this.state), { mode: 0o600 });
    renameSync(temporary, this.#file);
  }
}

function load(file: string): State | null {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw new Error(`${file}: the simulator's state cannot be read (${(error as Error).message})`);
  }
  try {
    const state = JSON.parse(text) as State;
    // What the truth counts since is not in an older file.
    if (state.format === FORMAT) return { ...state, truth: { ...emptyTruth(), ...state.truth } };
  } catch {
    // told below
  }
  throw new Error(`${file}: not a state file of this simulator; delete it to begin anew`);
}
