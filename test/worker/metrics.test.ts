/** What a worker's gauges say of rollouts, some of which cannot be asked. */
import type { Client } from '@temporalio/client';
import { defaultDataConverter, defaultPayloadConverter, type MetricMeter } from '@temporalio/common';
import { describe, expect, it } from 'vitest';
import { watchState } from '../../worker/metrics.js';
import { METRICS } from '../../workflows/contracts/metrics.js';

type Query = () => Promise<unknown>;

const answers: Query = async () => ({ budget: { max: 3, mode: 'strict' }, failures: 1, approval: null });
const never: Query = () => new Promise(() => {});
const fails: Query = async () => {
  throw new Error('its worker\nis too old');
};

/** A server with these rollouts, each of which answers its query as said; a deadline ends what has no answer yet. */
function serverWith(rollouts: ReadonlyMap<string, Query>, withinMs = 100): Client {
  const input = { payloads: [defaultPayloadConverter.toPayload({})] };
  return {
    options: { namespace: 'default', loadedDataConverter: defaultDataConverter },
    withDeadline: (_at: number, work: () => Promise<unknown>) =>
      Promise.race([
        work(),
        new Promise((_, reject) => {
          setTimeout(() => reject(new Error('no answer in time')), withinMs).unref();
        }),
      ]),
    workflowService: {
      getWorkflowExecutionHistory: async () => ({
        history: { events: [{ workflowExecutionStartedEventAttributes: { input } }] },
      }),
    },
    workflow: {
      count: async () => ({ count: 0 }),
      list: async function* () {
        for (const rollout of rollouts.keys()) yield { workflowId: `rollout/${rollout}`, runId: `run-of-${rollout}` };
      },
      getHandle: (workflowId: string) => ({ query: () => rollouts.get(workflowId.replace('rollout/', ''))?.() }),
    },
  } as unknown as Client;
}

/** The last value of each gauge that is about a rollout. */
function gauges() {
  const values = new Map<string, number>();
  const meter = {
    createGauge: (name: string) => ({
      set: (value: number, { rollout }: { rollout?: string }) => {
        if (rollout !== undefined) values.set(`${name} ${rollout}`, value);
      },
    }),
  } as unknown as MetricMeter;
  return { meter, of: ({ name }: { name: string }, rollout: string) => values.get(`${name} ${rollout}`) };
}

describe('watchState', () => {
  it('reads the other rollouts where some cannot be read, says so once, and knows when one is gone', async () => {
    const rollouts = new Map([
      ['throws', fails],
      ['hangs', never],
      ['answers', answers],
    ]);
    const { meter, of } = gauges();
    const said: string[] = [];
    const seen: unknown[] = [];
    const ending = new AbortController();
    const sleep = async () => {
      seen.push(
        ['throws', 'hangs', 'answers'].map((one) => [of(METRICS.rolloutsRunning, one), of(METRICS.budgetLeft, one)]),
      );
      if (seen.length === 2) for (const one of ['throws', 'answers']) rollouts.delete(one);
      if (seen.length === 3) ending.abort();
    };
    const warn = (line: string) => said.push(line);
    await watchState(serverWith(rollouts), meter, { now: () => 0, sleep }, warn, ending.signal);
    const before = [
      [1, undefined],
      [1, undefined],
      [1, 2],
    ];
    const after = [
      [0, undefined],
      [1, undefined],
      [0, 2],
    ];
    expect(seen).toEqual([before, before, after]);
    expect(said.toSorted()).toEqual([
      'metrics: hangs cannot be read: no answer in time',
      'metrics: throws cannot be read: its worker is too old',
    ]);
  });

  it('follows every running rollout, the oldest too, with few requests at a time; asks once for its windows', async () => {
    const waits = { budget: { max: 3, mode: 'strict' }, failures: 0, approval: { wave: 'first' } };
    let asking = 0;
    let most = 0;
    const ask: Query = async () => {
      most = Math.max(most, (asking += 1));
      await new Promise((resolve) => setTimeout(resolve, 1));
      asking -= 1;
      return waits;
    };
    // As the server lists them: the newest first.
    const names = Array.from({ length: 1_200 }, (_, age) => `aged-${age}`);
    const rollouts = new Map<string, Query>(names.map((name) => [name, ask]));
    const { meter, of } = gauges();
    const said: string[] = [];
    const seen: unknown[] = [];
    const ending = new AbortController();
    const client = serverWith(rollouts, 60_000);
    const inputs: string[] = [];
    const { getWorkflowExecutionHistory: input } = client.workflowService;
    Object.assign(client.workflowService, {
      getWorkflowExecutionHistory: (asked: { execution: { runId: string } }) => {
        inputs.push(asked.execution.runId);
        return (input as (what: unknown) => unknown)(asked);
      },
    });
    const sleep = async () => {
      seen.push(
        [METRICS.rolloutsRunning, METRICS.rolloutsWaiting].map(
          (metric) => names.filter((name) => of(metric, name) === 1).length,
        ),
      );
      if (seen.length === 1) rollouts.delete('aged-3');
      if (seen.length === 2) ending.abort();
    };
    await watchState(client, meter, { now: () => 0, sleep }, (line) => said.push(line), ending.signal);
    expect(seen).toEqual([
      [1_200, 1_200],
      [1_199, 1_199],
    ]);
    expect(of(METRICS.rolloutsWaiting, 'aged-1199')).toBe(1);
    expect(of(METRICS.rolloutsWaiting, 'aged-3')).toBe(0);
    expect(most).toBe(16);
    expect(inputs).toHaveLength(1_200);
    expect(said).toEqual([]);
  });

  it('ends at once when it is told to amid a look', async () => {
    const ending = new AbortController();
    const endless: Query = () => {
      ending.abort();
      return never();
    };
    const client = serverWith(new Map([['hangs', endless]]));
    // No deadline that would help.
    Object.assign(client, { withDeadline: (_at: number, work: () => Promise<unknown>) => work() });
    const sleep = (_ms: number, signal?: AbortSignal) =>
      signal?.aborted === true ? Promise.reject(new Error('ended')) : Promise.resolve();
    const said: string[] = [];
    await watchState(client, gauges().meter, { now: () => 0, sleep }, (line) => said.push(line), ending.signal);
    expect(said).toEqual([]);
  });
});
