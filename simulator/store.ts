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
  /** By owner and family; made anew when resources came or went. */
  #resources: {
    readonly of: readonly SimulatedResource[];
    readonly count: number;
    readonly byOwner: ResourcesByOwner;
  } = { of: [], count: -1, byOwner: new Map() };
  readonly #operations = new Grouped<SimulatedOperation>();
  readonly #operationsOfOne = new Grouped<SimulatedOperation>();
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

  /** An owner's resources of a service, in a stable order. */
  resourcesOf({ owner, family }: Owned): readonly SimulatedResource[] {
    return [...(this.#byOwner().get(keyOf(owner, family))?.values() ?? [])];
  }

  resource({ owner, family }: Owned, id: string): SimulatedResource | null {
    return this.#byOwner().get(keyOf(owner, family))?.get(id) ?? null;
  }

  /** All operations of an owner's resources of a service, oldest first. */
  operationsOf({ owner, family }: Owned): readonly SimulatedOperation[] {
    return this.#operations.get(this.state.operations, keyOf(owner, family), (one) => keyOf(one.owner, one.family));
  }

  /** All operations of one resource, oldest first. */
  operationsOfOne({ owner, family, id }: SimulatedResource): readonly SimulatedOperation[] {
    return this.#operationsOfOne.get(this.state.operations, keyOf(owner, family, id), (one) =>
      keyOf(one.owner, one.family, one.resource),
    );
  }

  #byOwner(): ResourcesByOwner {
    const { resources } = this.state;
    if (this.#resources.of !== resources || this.#resources.count !== resources.length) {
      const byOwner: ResourcesByOwner = new Map();
      for (const resource of resources) {
        const key = keyOf(resource.owner, resource.family);
        const mine = byOwner.get(key) ?? new Map<string, SimulatedResource>();
        // The first one of an id is the one that is found.
        if (!mine.has(resource.id)) mine.set(resource.id, resource);
        byOwner.set(key, mine);
      }
      this.#resources = { of: resources, count: resources.length, byOwner };
    }
    return this.#resources.byOwner;
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

type Owned = Pick<SimulatedResource, 'owner' | 'family'>;
type ResourcesByOwner = Map<string, Map<string, SimulatedResource>>;

function keyOf(...parts: readonly string[]): string {
  return parts.join('/');
}

/** A list that only grows, by a key: of ten thousand operations, nobody has to look at all of them for one call. */
class Grouped<T> {
  readonly #groups = new Map<string, T[]>();
  #known = 0;

  get(list: readonly T[], key: string, keyOfOne: (one: T) => string): readonly T[] {
    for (const one of list.slice(this.#known)) {
      const group = this.#groups.get(keyOfOne(one));
      if (group === undefined) this.#groups.set(keyOfOne(one), [one]);
      else group.push(one);
    }
    this.#known = list.length;
    return this.#groups.get(key) ?? [];
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
