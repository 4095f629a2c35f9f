/** Clients of the simulator that sign with the vendors' own functions, and so share nothing with Uplift's adapters. */
import { createHash } from 'node:crypto';
import { createRequire } from 'node:module';
import { OpenApiUtil } from '@alicloud/openapi-core';
import type { Clock } from '../../activities/clock.js';
import { DEMO_PROJECT, DEMO_UID, seedInventory, type SeedOptions } from '../../simulator/inventory.js';
import type { SimulatedCredentials, SimulatedResource } from '../../simulator/model.js';
import { startSimulator, type Simulator, type SimulatorOptions } from '../../simulator/server.js';

// Not exported from the package's root, whose other exports log secrets.
interface HuaweiSigner {
  sign(request: unknown, credential: { getAk(): string; getSk(): string }): Record<string, string>;
}
const { AKSKSigner } = createRequire(import.meta.url)('@huaweicloud/huaweicloud-sdk-core/auth/AKSKSigner.js') as {
  AKSKSigner: HuaweiSigner;
};

export const HUAWEI: SimulatedCredentials = {
  account: 'north',
  cloud: 'huawei',
  owner: DEMO_PROJECT,
  accessKeyId: 'HUAWEI-AK',
  secret: 'huawei-secret',
};
export const HUAWEI_TEMPORARY: SimulatedCredentials = {
  ...HUAWEI,
  account: 'north-temporary',
  accessKeyId: 'HUAWEI-TEMPORARY-AK',
  securityToken: 'huawei-token/+=',
};
export const ALIBABA: SimulatedCredentials = {
  account: 'east',
  cloud: 'alibaba',
  owner: DEMO_UID,
  accessKeyId: 'ALIBABA-AK',
  secret: 'alibaba-secret',
};
export const ALIBABA_TEMPORARY: SimulatedCredentials = {
  ...ALIBABA,
  account: 'east-temporary',
  accessKeyId: 'STS.ALIBABA',
  securityToken: 'alibaba-token/+=',
};

/** A clock that goes on by hand. Its sleepers wake at once, and time has passed for them. */
export class ManualClock implements Clock {
  #now = Date.UTC(2026, 10, 21, 5, 26, 0);

  now(): number {
    return this.#now;
  }

  advance(ms: number): void {
    this.#now += ms;
  }

  async sleep(ms: number): Promise<void> {
    this.advance(ms);
  }
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** The parsed body; a body that is no JSON throws here. */
  readonly json: Record<string, unknown>;
}

export interface Call {
  readonly method?: string;
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly body?: unknown;
  /** Added, and signed. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Changes the request after it was signed. */
  readonly tamper?: (request: { url: string; headers: Record<string, string>; body: string | null }) => void;
}

const ACTIONS: readonly [RegExp, string][] = [
  [/\/upgrade-version$/, 'UpgradeEngineVersion'],
  [/\/upgradeInfo$/, 'UpgradeInfo'],
  [/\/action-records$/, 'ListActionRecords'],
  [/\/elasticsearch-health$/, 'DescribeElasticsearchHealth'],
  [/\/instances$/, 'ListInstance'],
  [/./, 'DescribeInstance'],
];

export class Clouds {
  readonly simulator: Simulator;
  readonly clock: ManualClock;
  #nonce = 0;

  constructor(simulator: Simulator, clock: ManualClock) {
    this.simulator = simulator;
    this.clock = clock;
  }

  async huawei(call: Call, key = HUAWEI): Promise<Answer> {
    const { method = 'GET', path, query = {}, body } = call;
    const signed = AKSKSigner.sign(
      {
        method,
        endpoint: `${this.simulator.url}${path}`,
        queryParams: { ...query },
        headers: {
          'X-Sdk-Date': basicDate(this.clock.now()),
          'content-type': 'application/json',
          ...(key.securityToken === undefined ? {} : { 'X-Security-Token': key.securityToken }),
          ...call.headers,
        },
        data: body,
      },
      { getAk: () => key.accessKeyId, getSk: () => key.secret },
    );
    return this.#send(call, signed);
  }

  async alibaba(call: Call, key = ALIBABA): Promise<Answer> {
    const { method = 'GET', path, query = {}, body } = call;
    const text = body === undefined ? '' : JSON.stringify(body);
    const hash = createHash('sha256').update(text).digest('hex');
    this.#nonce += 1;
    const headers: Record<string, string> = {
      host: new URL(this.simulator.url).host,
      'content-type': 'application/json; charset=utf-8',
      'x-acs-action': ACTIONS.find(([pattern]) => pattern.test(path))?.[1] ?? '',
      'x-acs-version': '2017-06-13',
      'x-acs-date': new Date(this.clock.now()).toISOString().replace(/\.\d+Z$/, 'Z'),
      'x-acs-signature-nonce': `nonce-${this.#nonce}`,
      'x-acs-content-sha256': hash,
      ...(key.securityToken === undefined
        ? {}
        : { 'x-acs-security-token': key.securityToken, 'x-acs-accesskey-id': key.accessKeyId }),
      ...call.headers,
    };
    const request = { method, pathname: path, query: { ...query }, headers };
    const authorization = OpenApiUtil.getAuthorization(
      request as Parameters<typeof OpenApiUtil.getAuthorization>[0],
      'ACS3-HMAC-SHA256',
      hash,
      key.accessKeyId,
      key.secret,
    );
    return this.#send(call, { ...headers, authorization });
  }

  async #send(call: Call, headers: Record<string, string>): Promise<Answer> {
    const { method = 'GET', path, query = {}, body } = call;
    const search = Object.entries(query).map(([name, value]) => `${name}=${encodeURIComponent(value)}`);
    const request = {
      url: `${this.simulator.url}${path}${search.length > 0 ? `?${search.join('&')}` : ''}`,
      headers: { ...headers },
      body: body === undefined ? null : JSON.stringify(body),
    };
    call.tamper?.(request);
    delete request.headers['host'];
    const response = await fetch(request.url, { method, headers: request.headers, body: request.body });
    const text = await response.text();
    return {
      status: response.status,
      headers: response.headers,
      text,
      get json() {
        return JSON.parse(text) as Record<string, unknown>;
      },
    };
  }

  /** The only resource of a family, or the first. */
  first(family: string): SimulatedResource {
    const found = this.simulator.inventory.now().find((resource) => resource.family === family);
    if (found === undefined) throw new Error(`no ${family}`);
    return this.simulator.inventory.get(found.id);
  }
}

function basicDate(ms: number): string {
  return new Date(ms).toISOString().replace(/[-:]|\.\d+/g, '');
}

export const DURATION_MS = 600_000;

export interface CloudsOptions {
  readonly fleet?: Omit<SeedOptions, 'seed'>;
  readonly options?: Partial<SimulatorOptions>;
}

/** One graph and one cluster whose upgrades take ten minutes, unless told otherwise. */
export async function startClouds({ fleet, options }: CloudsOptions = {}): Promise<Clouds> {
  const clock = new ManualClock();
  const simulator = await startSimulator({
    clock,
    seed: 'test',
    credentials: [HUAWEI, HUAWEI_TEMPORARY, ALIBABA, ALIBABA_TEMPORARY],
    inventory: seedInventory({
      seed: 'test',
      graphs: 1,
      clusters: 1,
      durationMs: { min: DURATION_MS, max: DURATION_MS },
      ...fleet,
    }),
    ...options,
  });
  return new Clouds(simulator, clock);
}
