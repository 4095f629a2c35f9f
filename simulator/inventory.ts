/** The resources of the simulated clouds: a seeded fleet, and a hold on it for tests. */
import type { Clock } from '../activities/clock.js';
import { seedCluster } from './alibaba/elasticsearch.js';
import { seedEngine } from './huawei/cse.js';
import { seedCache } from './huawei/dcs.js';
import { seedGraph } from './huawei/ges.js';
import { stageOf, type Fate, type SimulatedOperation, type SimulatedResource, type Stage } from './model.js';
import { fraction } from './random.js';
import type { SimulatedService } from './service.js';
import type { Store } from './store.js';
import { newUuid, World } from './world.js';

export interface SeedOptions {
  readonly seed: string;
  /** How many GES graphs, in `project`. */
  readonly graphs?: number;
  /** How many CSE engines, in `project`. */
  readonly engines?: number;
  /** How many DCS caches, in `project`. */
  readonly caches?: number;
  /** How many Elasticsearch clusters, of `uid`. */
  readonly clusters?: number;
  readonly project?: string;
  readonly uid?: string;
  readonly huaweiRegion?: string;
  readonly alibabaRegion?: string;
  /** Bounds of an upgrade's duration in milliseconds of the simulator's clock; going back takes half as long. */
  readonly durationMs?: { readonly min: number; readonly max: number };
  /** How many of the graphs, engines, caches or clusters end otherwise than well; chance says which. */
  readonly graphFates?: Partial<Record<Fate, number>>;
  readonly engineFates?: Partial<Record<Fate, number>>;
  readonly cacheFates?: Partial<Record<Fate, number>>;
  readonly clusterFates?: Partial<Record<Fate, number>>;
}

/** Owners that a seeded inventory has when none are given. */
export const DEMO_PROJECT = '0605767a6f00d5762ff1c001c70e7359';
export const DEMO_UID = '1390262184017350';

const MINUTE = 60_000;

/** The same fleet for the same options, on any machine. */
export function seedInventory(options: SeedOptions): SimulatedResource[] {
  const { seed, durationMs = { min: 4 * MINUTE, max: 12 * MINUTE } } = options;
  const common = (kind: string, index: number) => {
    const duration = Math.round(
      durationMs.min + fraction(seed, kind, index, 'duration') * (durationMs.max - durationMs.min),
    );
    return { seed, index, durationMs: duration, rollbackMs: Math.round(duration / 2) };
  };
  const graphFates = dealFates(options.graphs ?? 0, options.graphFates ?? {}, `${seed}/ges`);
  const engineFates = dealFates(options.engines ?? 0, options.engineFates ?? {}, `${seed}/cse`);
  const cacheFates = dealFates(options.caches ?? 0, options.cacheFates ?? {}, `${seed}/dcs`);
  const clusterFates = dealFates(options.clusters ?? 0, options.clusterFates ?? {}, `${seed}/elasticsearch`);
  return [
    ...graphFates.map((fate, index) =>
      seedGraph({
        ...common('ges', index),
        fate,
        owner: options.project ?? DEMO_PROJECT,
        region: options.huaweiRegion ?? 'eu-west-101',
      }),
    ),
    ...engineFates.map((fate, index) =>
      seedEngine({
        ...common('cse', index),
        fate,
        owner: options.project ?? DEMO_PROJECT,
        region: options.huaweiRegion ?? 'eu-west-101',
      }),
    ),
    ...cacheFates.map((fate, index) =>
      seedCache({
        ...common('dcs', index),
        fate,
        owner: options.project ?? DEMO_PROJECT,
        region: options.huaweiRegion ?? 'eu-west-101',
      }),
    ),
    ...clusterFates.map((fate, index) =>
      seedCluster({
        ...common('elasticsearch', index),
        fate,
        owner: options.uid ?? DEMO_UID,
        region: options.alibabaRegion ?? 'cn-hangzhou',
      }),
    ),
  ];
}

/** What a service's half needs to make one resource of a fleet. */
export interface ResourceSeed {
  readonly seed: string;
  readonly index: number;
  readonly owner: string;
  readonly region: string;
  readonly durationMs: number;
  readonly rollbackMs: number;
  readonly fate: Fate;
}

/** @throws RangeError for more fates than resources */
function dealFates(total: number, fates: Partial<Record<Fate, number>>, seed: string): Fate[] {
  const special = Object.entries(fates).flatMap(([fate, number]) => Array<Fate>(number).fill(fate as Fate));
  if (special.length > total) throw new RangeError(`${special.length} fates for ${total} resources`);
  const all = [...special, ...Array<Fate>(total - special.length).fill('succeeds')];
  return all
    .map((fate, index) => ({ fate, at: fraction(seed, 'fate', index) }))
    .toSorted((a, b) => a.at - b.at)
    .map(({ fate }) => fate);
}

/** A resource as its service's reads show it now. JSON at `GET /_simulator/inventory`. */
export interface ResourceNow {
  readonly family: string;
  readonly owner: string;
  readonly region: string;
  readonly id: string;
  readonly name: string;
  readonly status: string;
  readonly version: string;
  readonly fate: Fate;
}

/** The resources of a running simulator. */
export class Inventory {
  readonly #store: Store;
  readonly #services: readonly SimulatedService[];
  readonly #clock: Clock;

  constructor(store: Store, services: readonly SimulatedService[], clock: Clock) {
    this.#store = store;
    this.#services = services;
    this.#clock = clock;
  }

  /** All resources, with status and version of this instant. */
  now(): ResourceNow[] {
    return this.#store.state.resources.map((resource) => {
      const { family, owner, region, id, name, fate } = resource;
      const shown = this.#service(family).describe(resource, this.#world(resource));
      return { family, owner, region, id, name, status: shown.status, version: shown.version, fate };
    });
  }

  /** @throws Error for an id that is not there */
  get(id: string): SimulatedResource {
    const resource = this.#store.state.resources.find((candidate) => candidate.id === id);
    if (resource === undefined) throw new Error(`the simulator has no resource ${id}`);
    return resource;
  }

  /** All upgrades that a resource has seen, oldest first, and where each stands: ours have an account. */
  operations(id: string): { readonly operation: SimulatedOperation; readonly stage: Stage }[] {
    const { family } = this.get(id);
    return this.#store.state.operations
      .filter((operation) => operation.resource === id && operation.family === family)
      .map((operation) => ({ operation, stage: stageOf(operation, this.#clock.now()) }));
  }

  add(...resources: readonly SimulatedResource[]): void {
    this.#store.state.resources.push(...resources);
    this.#store.save();
  }

  /**
   * Changes what a resource is, as somebody at the console could: for drift, or another fate. A given `versions` or
   * `status` is what it now has, whatever upgrades have ended before.
   * @throws Error for an id that is not there
   */
  change(id: string, patch: Partial<Omit<SimulatedResource, 'id' | 'family' | 'owner'>>): void {
    const resource = this.get(id);
    const restates = patch.versions !== undefined || patch.status !== undefined;
    const changed = { ...resource, ...patch, ...(restates && { changedAt: this.#clock.now() }) };
    this.#store.state.resources = this.#store.state.resources.map((other) => (other === resource ? changed : other));
    this.#store.save();
  }

  remove(id: string): void {
    const resource = this.get(id);
    this.#store.state.resources = this.#store.state.resources.filter((other) => other !== resource);
    this.#store.save();
  }

  /**
   * Starts an upgrade that no client of ours submitted. `to` in the words of the resource's `versions`. It is in no
   * count of accepted submits.
   */
  upgradeElsewhere(id: string, to: Readonly<Record<string, string>>): SimulatedOperation {
    const resource = this.get(id);
    const world = this.#world(resource);
    return world.accept(resource, to, { id: world.uuid('elsewhere') + '000000001' });
  }

  #world(resource: SimulatedResource): World {
    const { owner, family } = resource;
    const caller = { account: null, owner, family, requestId: newUuid(this.#store, 'console').toUpperCase() };
    return new World(this.#store, caller, this.#clock.now());
  }

  #service(family: string): SimulatedService {
    const service = this.#services.find((candidate) => candidate.family === family);
    if (service === undefined) throw new Error(`the simulator has no service for ${family}`);
    return service;
  }
}
