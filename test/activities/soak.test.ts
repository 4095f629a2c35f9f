/** The clock of a soak: when it runs, stands and starts again, and what one activity carries to the next. */
import { once } from 'node:events';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { ActivityCancellationDetails } from '@temporalio/common';
import { MockActivityEnvironment } from '@temporalio/testing';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../activities/clock.js';
import { CloudError } from '../../activities/clouds/errors.js';
import { gesV2 } from '../../activities/clouds/huawei/ges-v2.js';
import type { CloudApi, CloudReader, Health, ResourceState } from '../../activities/clouds/port.js';
import { httpProbe } from '../../activities/probe.js';
import { soak } from '../../activities/soak.js';
import type { StepDeps } from '../../activities/step.js';
import { createTransport } from '../../activities/transport.js';
import type { SoakInput, SoakProgress, SoakResult } from '../../workflows/contracts/soak.js';
import type { UpgradeSpec } from '../../workflows/contracts/upgrade.js';
import { VirtualClock } from '../support/virtual-clock.js';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

function specs(count: number): UpgradeSpec[] {
  return Array.from({ length: count }, (_, at) => ({
    resource: { account: 'a', cloud: 'huawei', service: 'ges-v2', family: 'ges', region: 'r', id: `g${at + 1}` },
    target: { version: '2.4.1' },
    targetLabel: '2.4.1',
    plannedFrom: null,
  }));
}

/** What a resource is at so many milliseconds; `null` for a read that fails. */
type Told = (id: string, elapsedMs: number) => (Partial<ResourceState> & Partial<Health>) | null;

async function soaked(
  told: Told,
  over: Partial<SoakInput> = {},
  {
    members = specs(1),
    heartbeat,
    env = new MockActivityEnvironment(heartbeat === undefined ? {} : { heartbeatDetails: heartbeat }),
  }: { members?: readonly UpgradeSpec[]; heartbeat?: SoakProgress; env?: MockActivityEnvironment } = {},
) {
  const clock = new VirtualClock({ inProcess: true });
  const began = clock.now();
  const read: string[] = [];
  const api: CloudApi = {
    ...(gesV2 as CloudApi),
    describe: async (_reader, id) => {
      read.push(id);
      const said = told(id, clock.now() - began);
      if (said === null) {
        const facts = {
          errorClass: 'transient',
          call: 'GET /graph',
          status: 502,
          code: null,
          requestId: null,
        } as const;
        throw new CloudError(`GET /graph: HTTP 502`, { ...facts, sent: true });
      }
      return Promise.resolve({
        id,
        name: id,
        status: '200',
        condition: 'ready',
        version: '2.4.1',
        tags: {},
        ...said,
      } satisfies ResourceState);
    },
    health: async (_reader, id) => {
      const { healthy = true, detail = 'fine' } = told(id, clock.now() - began) ?? {};
      return Promise.resolve({ healthy, detail });
    },
  };
  const sessions = { reader: () => Promise.resolve({} as CloudReader) } as unknown as StepDeps['sessions'];
  const input: SoakInput = {
    rollout: 'r',
    rolloutRun: 'run',
    wave: 1,
    shards: 1,
    soak: { forMs: 30 * MINUTE, everyMs: MINUTE, health: { sample: 20 } },
    scale: 1,
    before: null,
    quietMs: 6 * HOUR,
    ...over,
  };
  const deps = { apis: [api], sessions, clock, upgradedOf: () => Promise.resolve(members), probes: NO_TRANSPORT };
  const result: SoakResult = await env.run(() => soak(deps, input));
  return { result, read, elapsedMs: clock.now() - began };
}

const NO_TRANSPORT = createTransport({ clock: systemClock });
const healthy: Told = () => ({});

describe('the clock', () => {
  it('runs while every round passes, from the first one on', async () => {
    const { result, elapsedMs, read } = await soaked(healthy);
    expect(result).toMatchObject({ soaked: true, healthyMs: 30 * MINUTE, restarts: 0, verdict: 'passing', rounds: 31 });
    expect(elapsedMs).toBe(30 * MINUTE);
    expect(read).toHaveLength(31);
  });

  it.each([
    ['unhealthy', { healthy: false, detail: 'two nodes down' }, 'g1: version 2.4.1, status 200, two nodes down'],
    ['broken', { condition: 'broken' }, 'g1: broken: version 2.4.1, status 200'],
    ['below its target', { version: '2.3.1' }, 'g1: not at its target any more: version 2.3.1, status 200'],
    ['rolling back', { condition: 'rolling-back' }, 'g1: rolling-back: version 2.4.1, status 200'],
  ] as const)('starts again when one is %s', async (_what, state, reason) => {
    const { result, elapsedMs } = await soaked((_id, at) => (at === 20 * MINUTE ? state : {}));
    expect(result).toMatchObject({ soaked: true, healthyMs: 30 * MINUTE, restarts: 1, lastRestart: { reason } });
    // It passes again a minute after the bad round, and soaks from there.
    expect(elapsedMs).toBe(51 * MINUTE);
  });

  it.each([
    ['a read that fails', null],
    ['a resource that is busy', { condition: 'busy' }],
  ] as const)('stands still for %s, and takes nothing away', async (_what, state) => {
    const { result, elapsedMs } = await soaked((_id, at) => (at >= 10 * MINUTE && at < 15 * MINUTE ? state : {}));
    expect(result).toMatchObject({ soaked: true, healthyMs: 30 * MINUTE, restarts: 0 });
    // 9 min before, then from the round at 15 min on.
    expect(elapsedMs).toBe(36 * MINUTE);
  });

  it('never runs where nothing is there to be read', async () => {
    const { result, elapsedMs } = await soaked(healthy, {}, { members: [] });
    expect(result).toMatchObject({
      soaked: false,
      healthyMs: 0,
      verdict: 'unread',
      reason: 'nothing of the wave reached its target, so this does not end by itself: waive it, or stop the rollout',
    });
    expect(elapsedMs).toBeGreaterThanOrEqual(6 * HOUR);
  });
});

describe('from one activity to the next', () => {
  const before: SoakProgress = {
    wave: 1,
    healthyMs: 12 * MINUTE,
    verdict: 'passing',
    reason: '',
    restarts: 1,
    lastRestart: { at: 'then', reason: 'it was' },
    rounds: 20,
    probedAt: '2026-11-20T00:00:00.000Z',
    next: 0,
    suspects: [],
  };

  it.each([
    ['its input', { before }, undefined],
    ['the beat of an attempt that died', {}, before],
  ] as const)('goes on from %s, and counts nothing of the gap', async (_what, over, heartbeat) => {
    const { result, elapsedMs } = await soaked(healthy, over, heartbeat === undefined ? {} : { heartbeat });
    expect(result).toMatchObject({ soaked: true, healthyMs: 30 * MINUTE, restarts: 1, rounds: 39 });
    expect(elapsedMs).toBe(18 * MINUTE);
  });

  it('tells of another verdict, once it may', async () => {
    const bad: Told = (_id, at) => (at >= 5 * MINUTE ? { healthy: false, detail: 'down' } : {});
    const told = await soaked(bad, { quietMs: MINUTE });
    expect(told.result).toMatchObject({ soaked: false, verdict: 'failing', healthyMs: 0, restarts: 1 });
    expect(told.elapsedMs).toBe(5 * MINUTE);
    const later = await soaked(bad, { quietMs: 60 * MINUTE });
    expect(later.elapsedMs).toBe(60 * MINUTE);
    const known = await soaked(bad, { quietMs: 0, before: { ...before, verdict: 'failing' } });
    expect(known.result.verdict).toBe('passing');
    expect(known.elapsedMs).toBe(0);
  });

  it('comes back after six hours, whatever it sees', async () => {
    const week = { forMs: 7 * 24 * HOUR, everyMs: 10 * MINUTE, health: { sample: 20 } };
    const { result, elapsedMs } = await soaked(healthy, { soak: week });
    expect(result).toMatchObject({ soaked: false, healthyMs: 6 * HOUR });
    expect(elapsedMs).toBe(6 * HOUR);
  });
});

describe('cancelled', () => {
  const endedBy = (details: ActivityCancellationDetails) => {
    const ending = new MockActivityEnvironment();
    const told: Told = (_id, at) => {
      if (at >= 5 * MINUTE) ending.cancel('CANCELLED', details);
      return {};
    };
    return soaked(told, {}, { env: ending });
  };
  it('answers what it saw, without the round that was broken off', async () => {
    const { result } = await endedBy(new ActivityCancellationDetails({ cancelRequested: true }));
    expect(result).toMatchObject({ soaked: false, healthyMs: 4 * MINUTE, verdict: 'passing', rounds: 5 });
  });
  it('leaves the rest to another worker where its own one ends', async () => {
    await expect(endedBy(new ActivityCancellationDetails({ workerShutdown: true }))).rejects.toThrow('CANCELLED');
  });
});

describe('a sample', () => {
  const plan = { forMs: 3 * MINUTE, everyMs: MINUTE, health: { sample: 2 } };
  it('goes through all of them in turn', async () => {
    const { read } = await soaked(healthy, { soak: plan }, { members: specs(5) });
    expect(read).toEqual(['g1', 'g2', 'g3', 'g4', 'g5', 'g1', 'g2', 'g3']);
  });
  it('keeps what did not pass until it does', async () => {
    const told: Told = (id, at) => (id === 'g2' && at < 3 * MINUTE ? { healthy: false, detail: 'down' } : {});
    const { result, read } = await soaked(told, { soak: plan }, { members: specs(5) });
    expect(read.slice(0, 8)).toEqual(['g1', 'g2', 'g2', 'g3', 'g2', 'g4', 'g2', 'g5']);
    expect(result).toMatchObject({ soaked: true, restarts: 0, suspects: [] });
  });
});

describe('a probe over HTTP', () => {
  const transport = createTransport({ clock: systemClock, maxBodyBytes: 1_000 });
  let server: Server;
  let url: string;
  let asked: { method: string | undefined; url: string | undefined; headers: Record<string, unknown> }[];
  let answer: (response: ServerResponse) => void;
  beforeAll(async () => {
    server = createServer((request, response) => {
      asked.push({ method: request.method, url: request.url, headers: request.headers });
      answer(response);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  beforeEach(() => {
    asked = [];
  });
  afterAll(async () => {
    await transport.close();
    server.closeAllConnections();
    server.close();
  });

  const probe = (over: Partial<Parameters<typeof httpProbe>[1]> = {}) =>
    httpProbe(transport, { url: `${url}/healthz?verbose=1`, timeoutMs: 500, ...over }, new AbortController().signal);
  const says = (status: number, body: string, headers: Record<string, string> = {}) => {
    answer = (response) => response.writeHead(status, headers).end(body);
  };

  it('asks plainly, without credentials', async () => {
    says(204, '');
    expect(await probe()).toEqual({ passes: true, reason: `GET ${url}/healthz: HTTP 204` });
    expect(asked).toHaveLength(1);
    expect(asked[0]).toMatchObject({ method: 'GET', url: '/healthz?verbose=1' });
    expect(Object.keys(asked[0]?.headers ?? {}).toSorted()).toEqual(['accept', 'connection', 'host', 'user-agent']);
  });

  it.each([
    ['another status', 500, 'secret-body', {}, 'HTTP 500'],
    ['not the expected status', 200, '', { status: 204 }, 'HTTP 200'],
    ['not the expected text', 200, 'secret-body', { body: 'ok' }, 'HTTP 200 without the expected text'],
    ['a redirect', 302, '', {}, 'HTTP 302, and redirects are not followed'],
    ['too much', 200, 'x'.repeat(2_000), {}, 'the answer is larger than 1000 bytes'],
  ] as const)('does not pass on %s, and tells nothing of the body', async (_what, status, body, expected, reason) => {
    says(status, body, status === 302 ? { location: `${url}/elsewhere` } : {});
    expect(await probe(expected)).toEqual({ passes: false, reason: `GET ${url}/healthz: ${reason}` });
    expect(asked).toHaveLength(1);
  });

  it('passes on the status and text that are expected', async () => {
    says(418, 'all is ok');
    expect(await probe({ status: 418, body: 'ok' })).toMatchObject({ passes: true });
  });

  it('does not pass when no answer comes in time, or nobody is there', async () => {
    answer = () => {};
    expect(await probe({ timeoutMs: 50 })).toMatchObject({ passes: false });
    expect(await probe({ url: 'http://127.0.0.1:1/' })).toMatchObject({ passes: false });
  });

  it('runs no clock for a wave of which nothing reached its target', async () => {
    says(200, '');
    const http = { url: `${url}/`, timeoutMs: 2_000 };
    const input = { soak: { forMs: 3, everyMs: 1, http }, scale: 1e-6 };
    const { result } = await soaked(healthy, { ...input, reached: 0 });
    expect(result).toMatchObject({ soaked: false, healthyMs: 0, verdict: 'unread' });
    expect(result.reason).toMatch(/^nothing of the wave reached its target/);
    expect(await soaked(healthy, { ...input, reached: 1 })).toMatchObject({ result: { soaked: true }, read: [] });
  });

  it('decides a soak together with the health', async () => {
    let bad = true;
    answer = (response) => {
      response.writeHead(bad ? 503 : 200).end();
      bad = false;
    };
    const http = { url: `${url}/`, timeoutMs: 2_000 };
    const { result } = await soaked(healthy, { soak: { forMs: 3, everyMs: 1, health: { sample: 1 }, http } });
    expect(result).toMatchObject({ soaked: true, verdict: 'passing', restarts: 0 });
    expect(result.rounds).toBeGreaterThan(2);
  });
});
