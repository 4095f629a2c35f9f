/** A worker that hears a person's word in time and answers after that: its sender waits for it, on a real server. */
import { setTimeout as delay } from 'node:timers/promises';
import { Worker } from '@temporalio/worker';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { takenUpdate } from '../../client/upgrades.js';
import type { ConcurrencyRequest } from '../../workflows/contracts/control.js';
import { rolloutWorkflowId } from '../../workflows/contracts/ids.js';
import { MESSAGES } from '../../workflows/contracts/messages.js';
import { QUEUES } from '../../workflows/contracts/queues.js';
import type { rollout } from '../../workflows/rollout.js';
import { type RealEnvironment, realEnvironment, workflowBundle } from '../support/environment.js';
import { rolloutInput } from './scripted-steps.js';

/** The word may be heard for ten seconds; a task that has begun then may take ten more. */
const BEGINS_MS = 6_000;
const ANSWERS_MS = 10_500;

let env: RealEnvironment;

beforeAll(async () => {
  env = await realEnvironment();
});
afterAll(async () => {
  await env.teardown();
});

it('is recorded, and its sender is told so', async () => {
  let answersAt = 0;
  let isLate = false;
  const worker = await Worker.create({
    connection: env.nativeConnection,
    namespace: env.namespace,
    taskQueue: QUEUES.main,
    workflowBundle: await workflowBundle(),
    dataConverter: {
      payloadCodecs: [
        {
          encode: async (payloads) => payloads,
          // It has its task by now, and what it is about is still being read.
          decode: async (payloads) => {
            const left = answersAt - Date.now();
            isLate ||= left > 0;
            await delay(Math.max(left, 0));
            return payloads;
          },
        },
      ],
    },
  });
  const approval = { quorum: 1, approvers: ['ben'], expiresAfterMs: 86_400_000 };
  const input = rolloutInput('late-answer', { ids: ['g1'], concurrency: 2 }, { max: 9, mode: 'loose' });
  const handle = await env.client.workflow.start<typeof rollout>('rollout', {
    workflowId: rolloutWorkflowId('late-answer'),
    taskQueue: QUEUES.main,
    args: [{ ...input, approval }],
  });

  const sentAt = Date.now();
  answersAt = sentAt + ANSWERS_MS;
  const request: ConcurrencyRequest = { wave: null, concurrency: 4, actor: 'ana', reason: 'a test' };
  const answer = takenUpdate<string>(env.client, handle.workflowId, MESSAGES.setConcurrency, request);
  // Whatever it is: looked at below.
  answer.catch(() => undefined);
  await delay(BEGINS_MS);
  await worker.runUntil(async () => {
    expect(await answer).toBe('4 at a time');
  });
  expect(isLate).toBe(true);
  await handle.terminate();
});
