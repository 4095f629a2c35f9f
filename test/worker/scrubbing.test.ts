/** A canary on every way out of a worker: nothing that Temporal, a log or a terminal gets may show it. */
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../activities/clock.js';
import { CloudError } from '../../activities/clouds/errors.js';
import { apiFor, CLOUD_APIS } from '../../activities/clouds/index.js';
import type { CloudApi, ResourceState } from '../../activities/clouds/port.js';
import type { Sessions } from '../../activities/clouds/sessions.js';
import { Credentials } from '../../activities/credentials.js';
import { scrub, scrubError } from '../../activities/secrets.js';
import { createLog } from '../../worker/logging.js';
import { createWorkers } from '../../worker/workers.js';
import { QUEUES } from '../../workflows/contracts/queues.js';
import type { upgrade } from '../../workflows/upgrade.js';
import { type RealEnvironment, realEnvironment, workflowBundle } from '../support/environment.js';
import { historyText } from '../support/history-text.js';
import { upgradeInput } from '../workflows/scripted-steps.js';

const CANARY = 'canary-7f"3/a+b=&\\c';

function known(): void {
  new Credentials({ kind: 'login', login: { user: 'u', password: CANARY, domain: 'd' } });
}

/** As libraries throw: the secret in the message, in the cause, in fields of their own. */
function careless(): Error {
  return Object.assign(
    new Error(`GET https://x.example/?key=${encodeURIComponent(CANARY)} failed`, {
      cause: new Error(`with ${JSON.stringify({ 'x-auth-token': CANARY })}`),
    }),
    { headers: { 'x-auth-token': CANARY } },
  );
}

function expectClean(text: string): void {
  expect(text).toContain('***');
  for (const form of [CANARY, encodeURIComponent(CANARY), JSON.stringify(CANARY).slice(1, -1), 'canary-7f']) {
    expect(text).not.toContain(form);
  }
}

describe('whatever is known to be secret', () => {
  known();

  it('is scrubbed from texts as it is, in a URL and in JSON, the longer one first', () => {
    new Credentials({ kind: 'token', token: `${CANARY}-and-more` });
    expect(scrub(`a ${CANARY} b ${encodeURIComponent(CANARY)} c ${JSON.stringify({ d: CANARY })}`)).toBe(
      'a *** b *** c {"d":"***"}',
    );
    expect(scrub(`${CANARY}-and-more`)).toBe('***');
    expect(scrub('a canary')).toBe('a canary');
  });

  it('is scrubbed from an error, its stack and its causes, and the error stays what it is', () => {
    const error = careless();
    expect(scrubError(error)).toBe(error);
    expectClean(`${error.message} ${error.stack} ${String((error.cause as Error).message)}`);
    expectClean(String((error.cause as Error).stack));
  });

  it('never gets into a log line', () => {
    const lines: string[] = [];
    const log = createLog('info', { write: (line) => lines.push(line) });
    log.error({ err: careless(), nested: { token: CANARY } }, `it was ${CANARY}`);
    expect(lines).toHaveLength(1);
    expectClean(lines.join(''));
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({ msg: 'it was ***', nested: { token: '***' } });
  });
});

describe('to the server', () => {
  let env: RealEnvironment;
  beforeAll(async () => {
    env = await realEnvironment();
  });
  afterAll(async () => {
    await env.teardown();
  });

  it('no result, failure or heartbeat shows it', async () => {
    known();
    let looks = 0;
    const ready: ResourceState = {
      id: 'g1',
      name: CANARY,
      status: `at ${CANARY}`,
      condition: 'ready',
      version: '1.0',
      tags: {},
    };
    const real = apiFor(CLOUD_APIS, 'ges-v2') as CloudApi;
    const api: CloudApi = {
      ...real,
      operations: async () => [],
      precheck: async () => [],
      describe: async () => {
        looks += 1;
        if (looks === 1) return ready;
        if (looks === 2) throw careless();
        const facts = {
          errorClass: 'transient',
          call: 'GET',
          status: null,
          code: null,
          requestId: null,
          sent: true,
        } as const;
        throw new CloudError(`the cloud says ${CANARY}`, facts);
      },
    };
    const sessions = {
      admit: async () => {},
      reader: async () => ({}),
      sender: async () => ({}),
    } as unknown as Sessions;
    const workers = await createWorkers({
      connection: env.nativeConnection,
      namespace: env.namespace,
      deps: { apis: [api], sessions, clock: systemClock },
      workflowBundle: await workflowBundle(),
    });
    const running = workers.run();
    const handle = await env.client.workflow.start<typeof upgrade>('upgrade', {
      workflowId: 'upgrade/canary',
      taskQueue: QUEUES.main,
      args: [{ ...upgradeInput('g1', { target: { version: '9.9.9' } }), timing: { scale: 0.05 } }],
    });
    try {
      const pending: string[] = [];
      const isTold = () =>
        pending.some((text) => text.includes('the cloud says')) && pending.some((text) => text.includes('GET https'));
      while (!isTold()) {
        const { raw } = await handle.describe();
        pending.push(historyText(raw));
        await delay(50);
      }
      pending.forEach((text) => expect(text).not.toContain('canary-7f'));
      expectClean(pending.at(-1) ?? '');
      const history = historyText(await handle.fetchHistory());
      expectClean(history);
      expect(history).toContain('at ***');
    } finally {
      await handle.terminate('seen enough');
      workers.shutdown();
      await running;
    }
  });
});
