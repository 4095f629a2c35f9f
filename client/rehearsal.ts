/**
 * A rehearsal: a simulated fleet in a folder, with everything that upgrading it takes. The accounts file and the plan in
 * it are ordinary ones, so that what works there works on real accounts.
 */
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse, stringify } from 'yaml';
import { DEMO_PROJECT, DEMO_UID, seedInventory } from '../simulator/inventory.js';
import type { Cloud, Fate, SimulatedCredentials, SimulatedResource } from '../simulator/model.js';
import type { SimulatorOptions } from '../simulator/server.js';

/** How many resources a rehearsal has when nobody says. */
export const FLEET = { graphs: 9, engines: 5, caches: 5, clusters: 6 } as const;
export type Fleet = Readonly<Record<keyof typeof FLEET, number>>;

export interface RehearsalOptions extends Fleet {
  readonly directory: string;
  readonly port: number;
  readonly seed: string;
  /** Bounds of an upgrade's duration, milliseconds. */
  readonly durationMs: { readonly min: number; readonly max: number };
  /** How many of each kind end otherwise than well. */
  readonly graphFates: Partial<Record<Fate, number>>;
  readonly engineFates: Partial<Record<Fate, number>>;
  readonly cacheFates: Partial<Record<Fate, number>>;
  readonly clusterFates: Partial<Record<Fate, number>>;
}

export interface Rehearsal {
  readonly accountsFile: string;
  readonly planFile: string;
  readonly simulator: SimulatorOptions;
}

const HUAWEI = { account: 'huawei-sim', region: 'eu-west-101' };
const ALIBABA = { account: 'alibaba-sim', region: 'cn-hangzhou' };
/** Above every version that a seeded graph or engine has. */
const GRAPH_TARGET = '2.4.4';
const ENGINE_TARGET = '2.4.2';
/** What the ordinary time of an upgrade is at scale 1, about: the rehearsal's scale follows from it. */
const ORDINARY_MS = 10 * 60_000;
/** Below it the bounds of a send come near to what a busy machine takes for one. */
const SMALLEST_SCALE = 0.05;
const CANARIES = 3;

/**
 * Writes the folder's files: accounts file, plan, a key pair for each cloud that only the owner can read. Keys that are
 * there are kept, so that a simulator that starts again takes what its clients still sign with.
 */
export function prepareRehearsal(options: RehearsalOptions): Rehearsal {
  const { directory, port, seed, durationMs } = options;
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const inventory = seedInventory({
    ...options,
    huaweiRegion: HUAWEI.region,
    alibabaRegion: ALIBABA.region,
  });

  const accountsFile = join(directory, 'accounts.yaml');
  const planFile = join(directory, 'rollout.yaml');
  const url = `http://127.0.0.1:${port}`;
  writeFileSync(accountsFile, `# The simulated clouds of \`uplift simulator\`.\n${stringify(accounts(url))}`);
  writeFileSync(planFile, `# All that \`uplift simulator\` holds.\n${stringify(plan(inventory, seed, durationMs))}`);
  return {
    accountsFile,
    planFile,
    simulator: {
      port,
      seed,
      inventory,
      stateFile: join(directory, 'state.json'),
      credentials: [
        keysOf(directory, HUAWEI.account, 'huawei', DEMO_PROJECT),
        keysOf(directory, ALIBABA.account, 'alibaba', DEMO_UID),
      ],
    },
  };
}

function accounts(url: string) {
  const common = { rates: { reads: 200, writes: 50 }, concurrency: 50 };
  const credentials = (account: string) => ({ file: `./${keysFile(account)}` });
  return {
    accounts: {
      [HUAWEI.account]: {
        cloud: 'huawei',
        region: HUAWEI.region,
        projectId: DEMO_PROJECT,
        credentials: credentials(HUAWEI.account),
        endpoints: { ges: url, cse: url, dcs: url },
        ...common,
      },
      [ALIBABA.account]: {
        cloud: 'alibaba',
        region: ALIBABA.region,
        credentials: credentials(ALIBABA.account),
        endpoints: { elasticsearch: url },
        ...common,
      },
    },
  };
}

/** Every resource of the fleet: a few canaries, a middle wave, the rest. */
function plan(inventory: readonly SimulatedResource[], seed: string, durationMs: RehearsalOptions['durationMs']) {
  const graphs = inventory.filter(({ family }) => family === 'ges').map(({ id }) => id);
  const engines = inventory.filter(({ family }) => family === 'cse').map(({ id }) => id);
  const caches = inventory.filter(({ family }) => family === 'dcs');
  const clusters = inventory.filter(({ family }) => family === 'elasticsearch');
  const half = Math.ceil(graphs.length / 2);
  const offers = [...new Set(clusters.map(offerOf))];
  const targets = [
    { service: 'ges-v1', account: HUAWEI.account, ids: graphs.slice(0, half), version: GRAPH_TARGET },
    { service: 'ges-v2', account: HUAWEI.account, ids: graphs.slice(half), version: GRAPH_TARGET },
    { service: 'cse', account: HUAWEI.account, ids: engines, version: ENGINE_TARGET },
    ...[true, false].map((hasProxy) => ({
      service: 'dcs',
      account: HUAWEI.account,
      ids: caches.filter(({ versions }) => 'proxy' in versions === hasProxy).map(({ id }) => id),
      engineMinorVersion: 'latest',
      ...(hasProxy ? { proxyMinorVersion: 'latest' } : {}),
    })),
    ...offers.map((version) => ({
      service: 'elasticsearch',
      account: ALIBABA.account,
      ids: clusters.filter((cluster) => offerOf(cluster) === version).map(({ id }) => id),
      version,
      type: 'engineVersion',
    })),
  ].filter(({ ids }) => ids.length > 0);
  const all = targets.flatMap(({ ids }) => ids);
  const canaries = [...all.slice(0, CANARIES - 1), ...all.slice(-1)].slice(0, all.length);
  const scale = (durationMs.min + durationMs.max) / 2 / ORDINARY_MS;
  return {
    apiVersion: 'uplift/v1',
    kind: 'Rollout',
    metadata: { name: seed },
    spec: {
      targets,
      waves:
        all.length <= CANARIES
          ? [{ name: 'all', concurrency: all.length, rest: true }]
          : [
              { name: 'canary', concurrency: CANARIES, targets: canaries },
              { name: 'first half', percent: 40, concurrency: 5 },
              { name: 'everything else', rest: true, concurrency: 8 },
            ],
      failureBudget: { max: 2, mode: 'loose' },
      timeScale: Math.min(Math.max(Number(scale.toPrecision(3)), SMALLEST_SCALE), 1),
    },
  };
}

function offerOf({ facts }: SimulatedResource): string {
  const { offeredEngine } = facts;
  if (typeof offeredEngine !== 'string') throw new Error('the simulator offers this cluster no version');
  return offeredEngine;
}

function keysFile(account: string): string {
  return `${account}.credentials.yaml`;
}

function keysOf(directory: string, account: string, cloud: Cloud, owner: string): SimulatedCredentials {
  const file = join(directory, keysFile(account));
  if (!existsSync(file)) {
    const keys = {
      accessKey: `SIM${randomBytes(10).toString('hex').toUpperCase()}`,
      secretKey: randomBytes(24).toString('hex'),
    };
    writeFileSync(file, stringify(keys), { mode: 0o600 });
  }
  const { accessKey, secretKey } = parse(readFileSync(file, 'utf8')) as { accessKey: string; secretKey: string };
  return { account, cloud, owner, accessKeyId: accessKey, secret: secretKey };
}
