/** What a chaos run upgrades: accounts of every kind, a seeded fleet of all services, and where each resource shall go. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { apiFor, CLOUD_APIS } from '../activities/clouds/index.js';
import { seedInventory } from '../simulator/inventory.js';
import type { Fate, SimulatedCredentials, SimulatedResource } from '../simulator/model.js';
import { digest, fraction } from '../simulator/random.js';
import type { Json } from '../workflows/contracts/json.js';
import type { UpgradeSpec } from '../workflows/contracts/upgrade.js';

/**
 * The one scale of a run: its operations take 10 to 30 s, where those of the clouds take about ten minutes, and every
 * bound of the submit protocol, every interval and every pause shrinks with it. Below it the time-outs of a send come
 * near to what a busy machine takes for one.
 */
export const SCALE = 0.05;
const DURATION_MS = { min: 10_000, max: 30_000 };
/** Past the deadline of every service that has stuck ones, so that they are overdue before they end. */
const STUCK_MS = 200_000;
/** Fewer upgrades are a short run, in which nothing is stuck for longer than all the rest takes. */
const LONG_RUN = 200;

/** Calls per second of each account; several workers share them. */
export const RATES = { reads: 20, writes: 5 };

const HUAWEI_REGION = 'eu-west-101';
const ALIBABA_REGION = 'cn-hangzhou';

export interface Planned {
  readonly spec: UpgradeSpec;
  /** Version of each component that the upgrade shall reach, in the simulator's words. */
  readonly to: Readonly<Record<string, string>>;
  readonly resource: SimulatedResource;
}

export interface Fleet {
  readonly credentials: readonly SimulatedCredentials[];
  /** In the order of the rollout: all services mixed. */
  readonly planned: readonly Planned[];
  /** Must be found nowhere but in the credentials files. */
  readonly secrets: readonly string[];
}

interface FleetAccount {
  readonly credentials: SimulatedCredentials;
  readonly resources: readonly SimulatedResource[];
}

/** The same fleet for the same seed and number, secrets included. */
export function seedFleet(seed: string, upgrades: number): Fleet {
  const isLong = upgrades >= LONG_RUN;
  const huawei = Array.from({ length: 2 + Math.floor(upgrades / LONG_RUN) }, (_, index) => index);
  const alibaba = Array.from({ length: 1 + Math.floor(upgrades / LONG_RUN) }, (_, index) => index);
  const clusters = Math.floor(upgrades / 5);
  const accounts: FleetAccount[] = [
    ...huawei.map((index) => {
      const name = `huawei-${index + 1}`;
      const mine = shareOf(upgrades - clusters, huawei.length, index);
      const [engines, caches] = [Math.floor(mine / 4), Math.floor(mine / 4)];
      const graphs = mine - engines - caches;
      const owner = digest(seed, name, 'project').slice(0, 32);
      return {
        credentials: credentialsOf(seed, name, 'huawei', owner, index % 2 === 1),
        resources: seedInventory({
          seed: `${seed}/${name}`,
          project: owner,
          huaweiRegion: HUAWEI_REGION,
          durationMs: DURATION_MS,
          graphs,
          engines,
          caches,
          graphFates: fates(graphs, ['rolls-back', 'job-says-success-but-old-version', 'ends-broken'], isLong),
          engineFates: fates(engines, ['rolls-back', 'ends-broken'], isLong),
          cacheFates: fates(caches, ['rolls-back', 'job-says-success-but-old-version'], false),
        }),
      };
    }),
    ...alibaba.map((index) => {
      const name = `alibaba-${index + 1}`;
      const mine = shareOf(clusters, alibaba.length, index);
      const owner = digest(seed, name, 'uid').replaceAll(/\D/g, '').padEnd(16, '7').slice(0, 16);
      return {
        credentials: credentialsOf(seed, name, 'alibaba', owner, false),
        resources: seedInventory({
          seed: `${seed}/${name}`,
          uid: owner,
          alibabaRegion: ALIBABA_REGION,
          durationMs: DURATION_MS,
          clusters: mine,
          // One that is RED is given half an hour, at scale 1, to become GREEN.
          clusterFates: fates(
            mine,
            ['precheck-fails', 'rolls-back', ...(isLong ? ['ends-broken' as const] : [])],
            false,
          ),
        }),
      };
    }),
  ];
  const planned = accounts.flatMap(({ credentials, resources }) =>
    resources.map((resource) => plannedOf(credentials.account, resource)),
  );
  return {
    credentials: accounts.map(({ credentials }) => credentials),
    planned: planned
      .map((one) => ({ one, at: fraction(seed, 'order', one.resource.id) }))
      .toSorted((a, b) => a.at - b.at)
      .map(({ one }) => one),
    secrets: accounts.flatMap(({ credentials: { secret, securityToken, login } }) =>
      [secret, securityToken, login?.password].filter((text) => text !== undefined),
    ),
  };
}

/**
 * Writes the accounts file and one credentials file each, as a user would.
 *
 * @returns path of the accounts file
 */
export function writeAccounts(directory: string, fleet: Fleet, url: string, rates: typeof RATES = RATES): string {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const accounts = fleet.credentials.map(({ account, cloud, owner, accessKeyId, secret, securityToken, login }) => {
    const file = `${account}.credentials.yaml`;
    const keys = { accessKey: accessKeyId, secretKey: secret, ...(securityToken && { securityToken }) };
    writeFileSync(join(directory, file), stringify(login ?? keys), { mode: 0o600 });
    const families = cloud === 'huawei' ? ['ges', 'cse', 'dcs', 'iam'] : ['elasticsearch'];
    return [
      account,
      {
        cloud,
        region: cloud === 'huawei' ? HUAWEI_REGION : ALIBABA_REGION,
        // Who logs in leaves the project to be looked up.
        ...(cloud === 'huawei' && login === undefined ? { projectId: owner } : {}),
        credentials: { file: `./${file}` },
        endpoints: Object.fromEntries(families.map((family) => [family, url])),
        rates,
        concurrency: 1000,
      },
    ];
  });
  const file = join(directory, 'accounts.yaml');
  writeFileSync(
    file,
    stringify({ accounts: Object.fromEntries(accounts) as unknown }, { aliasDuplicateObjects: false }),
  );
  return file;
}

function shareOf(total: number, parts: number, index: number): number {
  return Math.floor(total / parts) + (index < total % parts ? 1 : 0);
}

function credentialsOf(
  seed: string,
  account: string,
  cloud: SimulatedCredentials['cloud'],
  owner: string,
  logsIn: boolean,
): SimulatedCredentials {
  const secret = (what: string): string => digest(seed, account, what).slice(0, 40);
  return {
    account,
    cloud,
    owner,
    accessKeyId: `SIM${digest(seed, account, 'key').slice(0, 20).toUpperCase()}`,
    secret: secret('secret'),
    // A temporary key: its token goes along with each call.
    ...(cloud === 'alibaba' ? { securityToken: secret('security token') } : {}),
    ...(logsIn ? { login: { user: account, password: secret('password'), domain: 'chaos' } } : {}),
  };
}

/** One in twelve ends otherwise for each of `kinds`, at least one where there is room; one in twenty is stuck. */
function fates(total: number, kinds: readonly Fate[], hasStuck: boolean): Partial<Record<Fate, number>> {
  const each = Math.min(Math.ceil(total / 24), Math.floor(total / (kinds.length + 1)));
  return {
    ...Object.fromEntries(kinds.map((kind) => [kind, each])),
    ...(hasStuck ? { stuck: Math.floor(total / 24) } : {}),
  };
}

function plannedOf(account: string, seeded: SimulatedResource): Planned {
  const resource = seeded.fate === 'stuck' ? { ...seeded, stuckMs: STUCK_MS } : seeded;
  const { family, id, region } = resource;
  // Both versions of the API.
  const service = family === 'ges' ? (fraction(id, 'api') < 0.5 ? 'ges-v1' : 'ges-v2') : family;
  const api = apiFor(CLOUD_APIS, service);
  if (api === undefined) throw new Error(`no api ${service}`);
  const { to, asked } = goalOf(resource);
  const target = api.target.parse(asked);
  return {
    resource,
    to,
    spec: {
      resource: { account, cloud: api.cloud, service, family, region, id },
      target: target as UpgradeSpec['target'],
      targetLabel: api.label(target),
      plannedFrom: null,
    },
  };
}

/** Above what a seeded resource has, or what is on offer; `asked` as a plan says it. */
function goalOf({ family, versions, facts }: SimulatedResource): {
  to: Record<string, string>;
  asked: Record<string, unknown>;
} {
  switch (family) {
    case 'ges':
      return { to: { graph: '2.4.4' }, asked: { version: '2.4.4' } };
    case 'cse':
      return { to: { engine: '2.4.2' }, asked: { version: '2.4.2' } };
    case 'dcs': {
      const parts = Object.keys(versions);
      const latest = { engine: textOf(facts['latestEngine']), proxy: textOf(facts['latestProxy']) };
      const to = Object.fromEntries(Object.entries(latest).filter(([part]) => parts.includes(part)));
      const asked = Object.fromEntries(parts.map((part) => [`${part}MinorVersion`, 'latest']));
      return { to, asked: { ...asked, pinned: to } };
    }
    default: {
      const version = textOf(facts['offeredEngine']);
      return { to: { engine: version }, asked: { version, type: 'engineVersion' } };
    }
  }
}

function textOf(fact: Json | undefined): string {
  return typeof fact === 'string' ? fact : '';
}
