/** Simulated clouds, accounts that reach them, and upgrades of their resources: what tests over HTTP share. */
import type { Clock } from '../../activities/clock.js';
import { apiFor, CLOUD_APIS } from '../../activities/clouds/index.js';
import { openSessions, type Sessions } from '../../activities/clouds/sessions.js';
import type { StepDeps } from '../../activities/step.js';
import { createTransport, type Transport } from '../../activities/transport.js';
import type { Account } from '../../plan/accounts.js';
import { DEMO_PROJECT, DEMO_UID, type Inventory, seedInventory, type SeedOptions } from '../../simulator/inventory.js';
import type { SimulatedCredentials, SimulatedResource } from '../../simulator/model.js';
import type { CallWatcher } from '../../simulator/requests.js';
import { startSimulator, type Simulator } from '../../simulator/server.js';
import type { UpgradeSpec } from '../../workflows/contracts/upgrade.js';

/** Unmistakable in any file or log: nothing but the request's signature may ever come from them. */
export const SECRETS = {
  huawei: 'SECRET-huawei-Wq7ZxN2v',
  alibaba: 'SECRET-alibaba-k3PtY9aB',
  password: 'SECRET-password-h7UmQs4w',
} as const;

/** The user who may log in for the project that the Huawei key reaches. */
export const LOGIN = { user: 'upgrader', password: SECRETS.password, domain: 'example' } as const;

export const CLOUD_ENV = {
  CLOUD_SDK_AK: 'AKHUAWEIDEMO',
  CLOUD_SDK_SK: SECRETS.huawei,
  ALIBABA_CLOUD_ACCESS_KEY_ID: 'LTAIALIBABADEMO',
  ALIBABA_CLOUD_ACCESS_KEY_SECRET: SECRETS.alibaba,
} as const;

/** The same keys, as the simulated clouds know them. */
export const CREDENTIALS: readonly SimulatedCredentials[] = [
  {
    account: 'huawei',
    cloud: 'huawei',
    owner: DEMO_PROJECT,
    accessKeyId: CLOUD_ENV.CLOUD_SDK_AK,
    secret: SECRETS.huawei,
    login: LOGIN,
  },
  {
    account: 'alibaba',
    cloud: 'alibaba',
    owner: DEMO_UID,
    accessKeyId: CLOUD_ENV.ALIBABA_CLOUD_ACCESS_KEY_ID,
    secret: SECRETS.alibaba,
  },
];

export interface Clouds {
  readonly simulator: Simulator;
  readonly sessions: Sessions;
  readonly deps: StepDeps;
  /** An upgrade for every resource of a family: graphs alternate between the two API versions. */
  specs(family: string): UpgradeSpec[];
  close(): Promise<void>;
}

export interface CloudsOptions extends Omit<SeedOptions, 'seed'> {
  readonly clock: Clock;
  /** The simulated clouds' own, where it is another one. */
  readonly cloudClock?: Clock;
  readonly seed?: string;
  readonly scale?: number;
  /** Calls per second of each account; ample by default. */
  readonly rates?: Account['rates'];
  /** Told of every call, and may hold it. */
  readonly onCall?: CallWatcher;
}

const AMPLE: Account['rates'] = { reads: 200, writes: 100 };

export async function simulatedClouds({
  clock,
  cloudClock = clock,
  seed = 'test',
  scale = 1,
  rates = AMPLE,
  onCall,
  ...fleet
}: CloudsOptions): Promise<Clouds> {
  const simulator = await startSimulator({
    clock: cloudClock,
    seed,
    ...(onCall === undefined ? {} : { onCall }),
    inventory: seedInventory({ seed, ...fleet }),
    credentials: CREDENTIALS,
  });
  const transport: Transport = createTransport({ clock });
  const accounts = accountsOf(simulator.endpoints, rates);
  const sessions = openSessions({
    accounts,
    clock,
    transport,
    env: CLOUD_ENV,
    scale,
  });
  return {
    simulator,
    sessions,
    deps: { apis: CLOUD_APIS, sessions, clock, accounts },
    specs: (family) => specsOf(simulator.inventory, family),
    close: async () => {
      await transport.close();
      await simulator.close();
    },
  };
}

export function accountsOf(endpoints: Account['endpoints'], rates = AMPLE): Map<string, Account> {
  const account = (name: string, cloud: string, region: string, projectId: string, prefix: string): Account => ({
    name,
    cloud,
    region,
    projectId,
    credentials: { kind: 'env', prefix },
    endpoints,
    allowPlainHttp: false,
    rates,
    concurrency: 100,
  });
  return new Map([
    ['huawei', account('huawei', 'huawei', 'eu-west-101', DEMO_PROJECT, 'CLOUD_SDK')],
    ['alibaba', account('alibaba', 'alibaba', 'cn-hangzhou', '', 'ALIBABA_CLOUD')],
  ]);
}

export function specsOf(inventory: Inventory, family: string): UpgradeSpec[] {
  return inventory
    .now()
    .filter((resource) => resource.family === family)
    .map((resource, index) => {
      const service = family === 'ges' ? (index % 2 === 0 ? 'ges-v2' : 'ges-v1') : family;
      const api = apiFor(CLOUD_APIS, service);
      if (api === undefined) throw new Error(`no api ${service}`);
      const target = api.target.parse(targetOf(inventory.get(resource.id)));
      return {
        resource: {
          account: api.cloud,
          cloud: api.cloud,
          service,
          family,
          region: resource.region,
          id: resource.id,
        },
        target: target as UpgradeSpec['target'],
        targetLabel: api.label(target),
        plannedFrom: null,
      };
    });
}

/** Above what a seeded resource has; of caches and clusters what is on offer, pinned as a plan does it. */
function targetOf({ family, versions, facts }: SimulatedResource): Record<string, unknown> {
  if (family === 'elasticsearch') return { version: facts['offeredEngine'] };
  if (family !== 'dcs') return { version: '9.9.9' };
  const hasProxy = versions['proxy'] !== undefined;
  return {
    engineMinorVersion: 'latest',
    ...(hasProxy ? { proxyMinorVersion: 'latest' } : {}),
    pinned: { engine: facts['latestEngine'], ...(hasProxy ? { proxy: facts['latestProxy'] } : {}) },
  };
}
