/** A whole rollout on an account that logs in, whose token is revoked in the middle. */
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { systemClock } from '../../activities/clock.js';
import { openSessions } from '../../activities/clouds/sessions.js';
import { createTransport, type Transport } from '../../activities/transport.js';
import { createWorkers } from '../../worker/workers.js';
import { rolloutWorkflowId } from '../../workflows/contracts/ids.js';
import { QUEUES } from '../../workflows/contracts/queues.js';
import type { rollout } from '../../workflows/rollout.js';
import { accountAt } from '../clouds/fake-cloud.js';
import { type Clouds, LOGIN, simulatedClouds } from '../support/clouds.js';
import { type RealEnvironment, realEnvironment, workflowBundle } from '../support/environment.js';
import { historyText } from '../support/history-text.js';

/** Operations take seconds here, where production takes minutes: every bound shrinks alike. */
const SCALE = 0.05;
const GRAPHS = 12;

let env: RealEnvironment;
let clouds: Clouds;
let transport: Transport;

beforeAll(async () => {
  env = await realEnvironment();
});
afterAll(async () => {
  await env.teardown();
});
afterEach(async () => {
  await transport.close();
  await clouds.close();
});

it('is renewed silently, by one login for all who wait', async () => {
  const durationMs = { min: 3_000, max: 5_000 };
  clouds = await simulatedClouds({ clock: systemClock, scale: SCALE, seed: 'revoked', graphs: GRAPHS, durationMs });
  const { simulator } = clouds;
  transport = createTransport({ clock: systemClock });
  const log: string[] = [];
  const tokens = new Set<string>();
  const account = accountAt(simulator.url, 'huawei', {
    name: 'huawei',
    region: 'eu-west-101',
    projectId: '',
    credentials: { kind: 'env', prefix: 'TEAM' },
    endpoints: { ...simulator.endpoints, iam: simulator.url },
    rates: { reads: 200, writes: 100 },
  });
  const sessions = openSessions({
    accounts: new Map([['huawei', account]]),
    clock: systemClock,
    scale: SCALE,
    log: (line) => log.push(line),
    env: { TEAM_USER: LOGIN.user, TEAM_PASSWORD: LOGIN.password, TEAM_DOMAIN: LOGIN.domain },
    transport: {
      ...transport,
      read: (call) => {
        tokens.add(call.headers['x-auth-token'] ?? 'none');
        return transport.read(call);
      },
    },
  });
  const workers = await createWorkers({
    connection: env.nativeConnection,
    namespace: env.namespace,
    deps: { ...clouds.deps, sessions },
    workflowBundle: await workflowBundle(),
  });
  const running = workers.run();
  try {
    const handle = await env.client.workflow.start<typeof rollout>('rollout', {
      workflowId: rolloutWorkflowId('revoked'),
      taskQueue: QUEUES.main,
      args: [
        {
          rollout: 'revoked',
          planDigest: 'digest',
          startedBy: 'test',
          waves: [{ name: 'all', concurrency: GRAPHS, upgrades: clouds.specs('ges') }],
          budget: { max: GRAPHS, mode: 'loose' },
          accountLimits: {},
          timing: { scale: SCALE },
        },
      ],
    });
    // All of them are being polled by then.
    while (simulator.truth().submits.length < GRAPHS) await systemClock.sleep(20);
    expect(simulator.truth().logins).toEqual({ huawei: 1 });
    expect(simulator.iam.revokeTokens()).toBe(1);

    const result = await handle.result();
    const truth = simulator.truth();
    console.log(
      `rollout ${result.outcome} ${JSON.stringify(result.counts)}; calls refused for their token: ` +
        `${truth.signatureFailures['APIGW.0307']}, logins: ${truth.logins['huawei']}; ${log.join(' | ')}`,
    );
    expect(result.counts).toEqual({ Succeeded: GRAPHS });
    expect(truth.submits.map(({ resource }) => resource).toSorted()).toEqual(
      clouds
        .specs('ges')
        .map(({ resource }) => resource.id)
        .toSorted(),
    );
    expect(truth.signatureFailures['APIGW.0307']).toBeGreaterThan(0);
    expect(truth.logins).toEqual({ huawei: 2 });
    expect(log).toEqual([expect.stringContaining('is not accepted any more and is renewed')]);

    tokens.delete('none');
    expect(tokens.size).toBe(2);
    const secrets = new RegExp([...tokens, LOGIN.password].join('|').replaceAll('+', '\\+'));
    let histories = 0;
    for await (const { workflowId, runId } of env.client.workflow.list()) {
      const history = await env.client.workflow.getHandle(workflowId, runId).fetchHistory();
      const text = historyText(history);
      // The durations are learned by service and size, wherever.
      if (!workflowId.startsWith('ledger/')) expect(text, workflowId).toContain(`\\"region\\":\\"eu-west-101\\"`);
      expect(text, workflowId).not.toMatch(secrets);
      histories += 1;
    }
    expect(histories).toBeGreaterThan(GRAPHS);
  } finally {
    workers.shutdown();
    await running;
  }
});
