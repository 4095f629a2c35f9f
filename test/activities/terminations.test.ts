/** Asking for runs that were taken down: seldom, and never with an answer that is older than its question. */
import type { Client } from '@temporalio/client';
import { expect, it } from 'vitest';
import { VisibleTerminations } from '../../activities/terminations.js';
import { VirtualClock } from '../support/virtual-clock.js';

function serverWith(clock: VirtualClock) {
  const ended: { workflowId: string; closeTime: Date; status: string }[] = [];
  let queries = 0;
  let refused = '';
  const list = ({ query }: { query: string }) => {
    queries += 1;
    return (async function* () {
      if (refused !== '' && query.includes(refused)) throw new Error('resource exhausted');
      yield* await Promise.resolve(ended.filter(({ status }) => query.includes(`ExecutionStatus = '${status}'`)));
    })();
  };
  const terminations = new VisibleTerminations({ workflow: { list } } as unknown as Client, clock);
  return {
    terminations,
    terminate: (workflowId: string, status = 'Terminated') =>
      ended.push({ workflowId, closeTime: new Date(clock.now()), status }),
    refuse: (part: string) => (refused = part),
    /** Of one query for each way to be taken down. */
    questions: () => queries / 2,
  };
}

it('asks once for all who want to know at the same time', async () => {
  const { terminations, terminate, questions } = serverWith(new VirtualClock());
  terminate('upgrade/7');
  terminate('upgrade/8', 'TimedOut');
  const answers = await Promise.all(
    Array.from({ length: 200 }, (_, at) => terminations.recently(`upgrade/${at}`, 60_000)),
  );
  expect(answers.flatMap((was, at) => (was ? [at] : []))).toEqual([7, 8]);
  expect(questions()).toBe(1);
});

it('gives nobody an answer that is older than his question', async () => {
  const { terminations, terminate, questions } = serverWith(new VirtualClock());
  const first = terminations.recently('upgrade/1', 60_000);
  await first;
  terminate('upgrade/1');
  expect([await first, await terminations.recently('upgrade/1', 60_000)]).toEqual([false, true]);
  expect(questions()).toBe(2);
});

it('asks no more than once a second, however many come one after the other', async () => {
  const clock = new VirtualClock();
  const { terminations, questions } = serverWith(clock);
  const begin = clock.now();
  for (let at = 0; at < 10; at += 1) await terminations.recently(`upgrade/${at}`, 60_000);
  expect(questions()).toBe(10);
  expect(clock.now() - begin).toBe(9 * 1_000);
});

it.each(['Terminated', 'TimedOut'])('says that it does not know where the answer on %s is missing', async (status) => {
  const { terminations, refuse } = serverWith(new VirtualClock());
  refuse(status);
  await expect(terminations.recently('upgrade/1', 60_000)).rejects.toThrow('resource exhausted');
  refuse('');
  await expect(terminations.recently('upgrade/1', 60_000)).resolves.toBe(false);
});
